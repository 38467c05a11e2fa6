"""Builds in bad weather: one pace for all workers, pauses instead of burning through the list."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from avpipe.build import Report, Request, build
from avpipe.engine.pacing import PaceConfig
from avpipe.engine.profile import Profile
from avpipe.ledger import FILE, Ledger
from avpipe.manifest import read_manifest
from small_builds import DaskCluster, Silent, profile, settings, write_manifest
from web import Server, serve

NAMES = [f"r-{i:02}" for i in range(12)]


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory, importable_plugins: None) -> Iterator[Profile]:
    """Four downloads at a time."""
    with DaskCluster(tmp_path_factory.mktemp("dask"), net=4, cpu=1) as address:
        yield profile(address)


@pytest.fixture
def server(tmp_path: Path, clips: Path) -> Iterator[Server]:
    (tmp_path / "web").mkdir()
    for name in NAMES:
        shutil.copy(clips / "violin.mp4", tmp_path / "web" / f"{name}.mp4")
    with serve(tmp_path / "web") as running:
        yield running


@pytest.fixture
def request_(tmp_path: Path, server: Server) -> Request:
    source = server.url("mirror", "{id}.mp4")
    manifest = write_manifest(tmp_path / "manifest", source, NAMES)
    return Request(read_manifest(manifest), tmp_path / "out", settings(), until="download")


def run(request: Request, profile: Profile, **pace: float) -> Report:
    config = replace(profile.pace, **pace)
    return build(request, replace(profile, pace=config), Silent())


def firsts(server: Server) -> list[float]:
    """When every recording was first asked for."""
    times: dict[str, float] = {}
    for at, name in server.log:
        times.setdefault(name, at)
    return sorted(times.values())


def attempts(request: Request) -> int:
    with Ledger(request.out / FILE) as ledger:
        return sum(len(ledger.attempts(name)) for name in NAMES)


def test_all_workers_together_keep_one_pace(
    request_: Request, four: Profile, server: Server
) -> None:
    report = run(replace(request_, limit=6), four, interval_seconds=1.0, jitter=0.1)
    assert report.failures == []
    first, *_, last = firsts(server)
    assert last - first > 5 * 0.9 - 1.5  # a worker's first download takes its time to start
    assert [b - a < 0.05 for a, b in pairwise(firsts(server))].count(True) <= 1


def test_one_wish_to_be_left_alone_pauses_all_downloads(
    request_: Request, four: Profile, server: Server
) -> None:
    server.moods["r-00.mp4"] = "too-many-once"
    report = run(replace(request_, ids=("r-00",)), four)
    assert report.failures == []
    asked = [at for at, name in server.log if name == "r-00.mp4"]
    assert asked[1] - asked[0] > 1.9
    server.moods["r-01.mp4"] = "too-many-once"
    only = replace(request_, ids=("r-01", "r-02", "r-03"))
    server.log.clear()
    slots = replace(four, address=None, pools={"net": 1, "cpu": 1, "gpu": 0})
    assert run(only, slots).failures == []
    refused = next(at for at, name in server.log if name == "r-01.mp4")
    assert all(at - refused > 1.9 for at, _ in server.log if at > refused)


@pytest.mark.parametrize(
    ("mood", "failure"), [("challenge", "bot"), ("too-many", "rate_limited"), ("500", "network")]
)
def test_what_concerns_all_ends_the_downloads_and_not_the_list(
    request_: Request, four: Profile, server: Server, mood: str, failure: str
) -> None:
    server.moods.update({f"{name}.mp4": mood for name in NAMES})
    pace = PaceConfig(pause_seconds=0.05, blocked_pause_seconds=0.05, longest_pause_seconds=20.0)
    report = build(request_, replace(four, pace=pace), Silent())
    assert (report.stopped or "").startswith(f"downloads ended, {failure}: ")
    assert report.transient == len(NAMES)
    assert not any(f.permanent for f in report.failures)
    asked = {name for _, name in server.log}
    # those under way, those it takes to see that it is the network, and the probes
    assert len(asked) <= 4 + pace.network_failures + pace.pauses < len(NAMES)
    server.moods.clear()
    report = run(request_, four)
    assert (report.failures, report.left, report.stopped) == ([], 0, None)


def test_a_dead_network_is_not_asked_for_the_whole_list(request_: Request, four: Profile) -> None:
    dead = replace(request_, source="http://127.0.0.1:9/{id}.mp4")
    report = run(dead, four)
    assert (report.stopped or "").startswith("downloads ended, network: ")
    assert attempts(request_) <= 4 + four.pace.network_failures + four.pace.pauses
    assert report.transient == len(NAMES)


def test_permanent_failures_are_asked_for_once_and_stop_nobody(
    request_: Request, four: Profile, server: Server
) -> None:
    ways = {"404": "removed", "403": "private", "451": "geo", "to-login": "login"}
    for name, mood in zip(NAMES, ways, strict=False):
        server.moods[f"{name}.mp4"] = mood
    report = run(request_, four)
    assert [f.failure for f in report.failures] == list(ways.values())
    assert (report.left, report.stopped) == (0, None)
    assert attempts(request_) == len(NAMES)
    asked = len(server.log)
    assert len(run(request_, four).failures) == len(ways)
    assert len(server.log) == asked


def test_a_failure_that_passes_is_tried_again_in_the_same_build(
    request_: Request, four: Profile, server: Server
) -> None:
    server.moods["r-03.mp4"] = "500-twice"
    report = run(request_, four)
    assert (report.failures, report.stopped) == ([], None)
    with Ledger(request_.out / FILE) as ledger:
        log = [(row["number"], row["status"], row["class"]) for row in ledger.attempts("r-03")]
    assert log == [(1, "failed", "network"), (2, "failed", "network"), (3, "done", None)]
    times = [at for at, name in server.log if name == "r-03.mp4"]
    assert times[1] - times[0] > 0.5
    assert times[2] - times[1] > 1.0
