"""The planner on artifacts it is told of: statuses, reasons, frozen stages, and no surprise."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from avpipe.dag import Node
from avpipe.engine.plan import Planner, StageCount, Status, Step
from avpipe.ledger import Failure, Ledger
from avpipe.store import Artifact, Store
from avpipe.types import Recording

A = Recording("a", "violin")
SOURCES = {"a": "http://here/a"}


def node(name: str, *needs: str, version: int = 1) -> Node:
    identity = {"stage": name} | ({"version": version} if needs else {})
    return Node(name, needs, "cpu", None, identity)


def line(**versions: int) -> tuple[Node, ...]:
    return (
        node("download"),
        node("video", "download", version=versions.get("video", 1)),
        node("detect", "video", version=versions.get("detect", 1)),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "work")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite", write=True) as opened:
        yield opened


def planner(store: Store, ledger: Ledger | None, **options: object) -> Planner:
    nodes = options.pop("nodes", line())
    return Planner("set", nodes, store, ledger, SOURCES, **options)  # type: ignore[arg-type]


def make(store: Store, ledger: Ledger | None, content: str = "", until: str = "detect") -> None:
    """Runs the stages up to `until`, each of which writes its name and `content`."""
    plan = planner(store, ledger)
    for made in line():
        step = plan.steps(A)[made.name]
        assert step.key is not None
        folder = store.temporary()
        (folder / "data").write_text(made.name + content)
        digests = {n: s.digest for n, s in plan.steps(A).items() if s.digest}
        inputs = plan.inputs(made, A, digests)
        document = {"inputs": inputs, **made.identity}
        artifact = store.publish(folder, made.name, step.key, document, {"recording": "a"})
        plan.published(artifact, A)
        if ledger is not None:
            ledger.done(artifact, made.identity, inputs, {})
            ledger.reached("a", made.name, step.key, artifact.digest)
        if made.name == until:
            return


def statuses(plan: Planner) -> str:
    return " ".join(step.status for step in plan.steps(A).values())


def test_nothing_is_there_yet(store: Store, ledger: Ledger) -> None:
    plan = planner(store, ledger)
    assert statuses(plan) == "run maybe maybe"
    assert plan.steps(A)["download"].reason == "new"
    assert statuses(planner(store, None)) == "run maybe maybe"


@pytest.mark.parametrize("with_ledger", [True, False])
def test_what_is_there_is_reused_with_or_without_a_ledger(
    store: Store, ledger: Ledger, with_ledger: bool
) -> None:
    make(store, ledger if with_ledger else None)
    assert statuses(planner(store, ledger if with_ledger else None)) == "reuse reuse reuse"


def test_a_new_version_runs_and_says_so(store: Store, ledger: Ledger) -> None:
    make(store, ledger)
    plan = planner(store, ledger, nodes=line(video=2))
    assert statuses(plan) == "reuse run maybe"
    assert plan.steps(A)["video"].reason == "version 1 -> 2"


def test_changed_input_and_missing_artifact_are_told_apart(store: Store, ledger: Ledger) -> None:
    make(store, ledger)
    key = ledger.current()["a"]["video"][0]
    store.remove("video", key)
    plan = planner(store, ledger)
    assert (statuses(plan), plan.steps(A)["video"].reason) == (
        "reuse run maybe",
        "artifact missing",
    )
    folder = store.temporary()
    (folder / "data").write_text("other content")
    plan.published(store.publish(folder, "video", key, {"inputs": {}}, {"recording": "a"}), A)
    assert (statuses(plan), plan.steps(A)["detect"].reason) == ("reuse reuse run", "input changed")


def test_equal_outputs_cut_the_rerun_off(store: Store, ledger: Ledger) -> None:
    make(store, ledger)
    plan = planner(store, ledger, nodes=line(video=2))
    key = plan.steps(A)["video"].key
    assert key is not None
    folder = store.temporary()
    (folder / "data").write_text("video")
    plan.published(store.publish(folder, "video", key, {"inputs": {}}, {"recording": "a"}), A)
    assert statuses(plan) == "reuse reuse reuse"


def fail(ledger: Ledger, plan: Planner, permanent: bool, source: str | None = None) -> None:
    key = plan.steps(A)["download"].key
    assert key is not None
    ledger.failed(Failure("a", "download", key, source, "removed", "gone", permanent, 1))


@pytest.mark.parametrize(
    ("permanent", "source", "retry", "expected"),
    [
        (True, "http://here/a", False, "failed blocked blocked"),
        (True, "http://here/a", True, "run maybe maybe"),
        (False, "http://here/a", False, "run maybe maybe"),
        (True, "http://elsewhere/a", False, "run maybe maybe"),
    ],
)
def test_a_permanent_failure_stands_for_its_source_until_it_is_retried(
    store: Store, ledger: Ledger, permanent: bool, source: str, retry: bool, expected: str
) -> None:
    fail(ledger, planner(store, ledger), permanent, source)
    plan = planner(store, ledger, retry_failed=retry)
    assert statuses(plan) == expected
    step = plan.steps(A)["download"]
    assert step.reason == {"f": None, "r": "retry"}[expected[0]] or source == "http://elsewhere/a"


def test_a_failure_of_this_build_stands_for_its_key(store: Store, ledger: Ledger) -> None:
    plan = planner(store, ledger)
    step = plan.steps(A)["download"]
    failed = Step(Status.FAILED, step.key)
    assert plan.step(A, line()[0], {}, failed) is failed
    assert plan.step(A, line()[0], {}, Step(Status.FAILED, "other")).status is Status.RUN


def test_a_frozen_stage_is_not_run_again_where_it_has_an_output(
    store: Store, ledger: Ledger
) -> None:
    make(store, ledger)
    plan = planner(store, ledger, nodes=line(video=2, detect=2), freeze=("detect",))
    assert statuses(plan) == "reuse run reuse"
    assert plan.steps(A)["detect"].stale
    assert not planner(store, ledger, freeze=("detect",)).steps(A)["detect"].stale
    store.remove("detect", ledger.current()["a"]["detect"][0])
    plan = planner(store, ledger, nodes=line(detect=2), freeze=("detect",))
    assert statuses(plan) == "reuse reuse run"


def test_a_damaged_artifact_is_discarded_once(store: Store, ledger: Ledger) -> None:
    make(store, ledger)
    plan = planner(store, ledger)
    key = plan.steps(A)["video"].key
    assert key is not None
    assert plan.discard("video", key)
    assert not plan.discard("video", key)
    assert statuses(plan) == "reuse run maybe"


def test_an_artifact_that_the_ledger_does_not_know_is_adopted(store: Store, ledger: Ledger) -> None:
    make(store, None)
    plan = planner(store, ledger)
    for step, made in zip(plan.steps(A).values(), line(), strict=True):
        plan.adopt(A, made, step)
    assert statuses(planner(store, ledger)) == "reuse reuse reuse"
    assert ledger.counts() == {"download": 1, "video": 1, "detect": 1}
    assert ledger.identity("video", ledger.current()["a"]["video"][0]) == line()[1].identity


def test_what_lies_beside_the_artifacts_is_looked_at_where_the_recording_comes_from(
    store: Store, ledger: Ledger
) -> None:
    """And while it is out of reach, what was made of it stands."""
    beside: dict[str, dict[str, str] | None] = {SOURCES["a"]: {"file": "1"}}
    notes = replace(node("notes", "download"), outside=lambda r: beside[str(r.url)])
    make(store, ledger, until="download")
    plan = planner(store, ledger, nodes=(line()[0], notes))
    step, digests = plan.steps(A)["notes"], {"download": plan.steps(A)["download"].digest or ""}
    inputs = plan.inputs(plan.nodes[1], A, digests)
    assert inputs == {"file": "1", "download": digests["download"]}
    folder = store.temporary()
    (folder / "data").touch()
    document = {"inputs": inputs, **notes.identity}
    plan.published(store.publish(folder, "notes", step.key or "", document, {}), A)
    assert plan.steps(A)["notes"].status is Status.REUSE
    beside[SOURCES["a"]] = {"file": "2"}
    assert plan.steps(A)["notes"].status is Status.RUN
    beside[SOURCES["a"]] = None
    assert plan.steps(A)["notes"].status is Status.REUSE


def test_counts_are_those_of_the_contract() -> None:
    count = StageCount()
    count.add(Status.RUN, "new")
    count.add(Status.REUSE)
    count.add(Status.BLOCKED)
    assert count.as_json() == {
        "run": 1, "maybe": 0, "reuse": 1, "failed": 0, "reasons": {"new": 1}
    }  # fmt: skip


@hypothesis_settings(max_examples=30, deadline=None)
@given(st.sets(st.sampled_from(["download", "video", "detect"])))
def test_what_is_missing_runs_first_at_the_earliest_gap(
    tmp_path_factory: pytest.TempPathFactory, missing: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("plan")
    store = Store(folder / "work")
    with Ledger(folder / "ledger.sqlite", write=True) as ledger:
        make(store, ledger)
        for stage, key in list(store.artifacts()):
            if stage in missing:
                store.remove(stage, key)
        found = [s.status for s in planner(store, ledger).steps(A).values()]
    first = next((i for i, n in enumerate(line()) if n.name in missing), 3)
    assert found == [
        Status.REUSE if i < first else Status.RUN if i == first else Status.MAYBE for i in range(3)
    ]
    assert Artifact("video", "k", "d", 1).stage == "video"
