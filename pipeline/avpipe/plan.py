"""The plan: what must run for which recording, and why.

A recording's step at a stage follows from the digests of what feeds it: with all of them known,
the key is known, and the artifact is there (reuse) or is not (run, with a reason). Downstream of
what must run, outputs are not known yet: those steps *may* run.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from avpipe.dag import Node
from avpipe.ledger import Failure, Ledger
from avpipe.store import Store
from avpipe.types import Recording


class Status(StrEnum):
    """What happens to a recording at a stage."""

    REUSE = "reuse"
    RUN = "run"
    MAYBE = "maybe"
    FAILED = "failed"
    BLOCKED = "blocked"
    """An earlier stage of the recording failed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One recording at one stage."""

    status: Status
    key: str | None = None
    """Known unless an input is not."""
    digest: str | None = None
    """Content digest of what is reused."""
    reason: str | None = None
    """Why it runs."""
    failure: Failure | None = None
    """What stands in its way."""


_MAYBE = Step(Status.MAYBE)
_BLOCKED = Step(Status.BLOCKED)


@dataclass(slots=True)
class StageCount:
    """Recordings by what happens at a stage."""

    run: int = 0
    maybe: int = 0
    reuse: int = 0
    failed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """As `--json` shows it."""
        return {
            "run": self.run,
            "maybe": self.maybe,
            "reuse": self.reuse,
            "failed": self.failed,
            "reasons": dict(sorted(self.reasons.items())),
        }


class Planner:
    """Decides steps from the store, the ledger and the line.

    Args:
        dataset: name of the dataset.
        nodes: its line.
        store: its artifacts.
        ledger: its ledger, or None where there is none yet.
        sources: recording id -> where it is downloaded from, as it is remembered.
        retry_failed: also try again what failed permanently.
    """

    def __init__(
        self,
        dataset: str,
        nodes: Sequence[Node],
        store: Store,
        ledger: Ledger | None,
        sources: Mapping[str, str],
        *,
        retry_failed: bool = False,
    ) -> None:
        self.dataset = dataset
        self.nodes = tuple(nodes)
        self.store = store
        self._ledger = ledger
        self._sources = sources
        self._retry_failed = retry_failed
        self._published = {node.name: store.keys(node.name) for node in self.nodes}
        self._current = ledger.current() if ledger else {}
        failures = ledger.failures() if ledger else []
        self._failures = {(f.recording, f.stage): f for f in failures}

    def plan(self, recordings: Iterable[Recording]) -> Iterator[tuple[Recording, dict[str, Step]]]:
        """The steps of each recording, stage by stage."""
        for recording in recordings:
            yield recording, self.steps(recording)

    def steps(self, recording: Recording) -> dict[str, Step]:
        """What happens to a recording, as far as it can be known now."""
        steps: dict[str, Step] = {}
        digests: dict[str, str] = {}
        for node in self.nodes:
            step = self.step(recording, node, digests, steps)
            steps[node.name] = step
            if step.digest is not None:
                digests[node.name] = step.digest
        return steps

    def step(
        self,
        recording: Recording,
        node: Node,
        digests: Mapping[str, str],
        before: Mapping[str, Step],
    ) -> Step:
        """What happens at one stage.

        Args:
            recording: the recording.
            node: the stage.
            digests: content digests of the artifacts that are there.
            before: steps of the stages before it.
        """
        if any(before[n].status in (Status.FAILED, Status.BLOCKED) for n in node.needs):
            return _BLOCKED
        if any(n not in digests for n in node.needs):
            return _MAYBE
        key = node.key(recording, self.dataset, digests)
        if key in self._published[node.name]:
            return Step(Status.REUSE, key, self._digest(recording, node, key))
        failure = self._failures.get((recording.id, node.name))
        if (
            failure is not None
            and failure.key == key
            and failure.source == self.source(node, recording)
        ):
            if failure.permanent and not self._retry_failed:
                return Step(Status.FAILED, key, failure=failure)
            return Step(Status.RUN, key, reason="retry", failure=failure)
        return Step(Status.RUN, key, reason=self._reason(recording, node, key))

    def published(self, stage: str, key: str) -> None:
        """Notes an artifact that came to be since the store was listed."""
        self._published[stage].add(key)

    def source(self, node: Node, recording: Recording) -> str | None:
        """Where a recording is downloaded from: a failure there says nothing of another place."""
        return None if node.needs else self._sources[recording.id]

    def adopt(self, recording: Recording, node: Node, step: Step) -> None:
        """Tells the ledger of a reused artifact that it does not have for this recording yet."""
        known = self._current.get(recording.id, {}).get(node.name)
        if self._ledger is None or step.key is None or known == (step.key, step.digest):
            return
        if self._ledger.digest(node.name, step.key) is None:
            restore(self._ledger, self.store, node.name, step.key)
        self._ledger.reached(recording.id, node.name, step.key)

    def _digest(self, recording: Recording, node: Node, key: str) -> str:
        known = self._current.get(recording.id, {}).get(node.name)
        if known is not None and known[0] == key and known[1] is not None:
            return known[1]
        digest = self._ledger.digest(node.name, key) if self._ledger else None
        return digest or self.store.read(node.name, key).digest

    def _reason(self, recording: Recording, node: Node, key: str) -> str:
        known = self._current.get(recording.id, {}).get(node.name)
        if known is None or self._ledger is None:
            return "new"
        if known[0] == key:
            return "artifact missing"
        identity = self._ledger.identity(node.name, known[0])
        if identity is None:
            return "artifact missing"
        return explain(identity, node.identity) or "input changed"


def restore(ledger: Ledger, store: Store, stage: str, key: str) -> str:
    """Tells the ledger of an artifact from its sidecar; returns the recording it was made for."""
    provenance = store.provenance(stage, key)
    identity = {k: v for k, v in provenance["document"].items() if k != "inputs"}
    ledger.done(
        store.read(stage, key), identity, provenance["document"]["inputs"], provenance["facts"]
    )
    return str(provenance["facts"]["recording"])


def explain(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """How two identities of a stage differ, in words; None if they do not."""
    before, after = dict(_flat(old)), dict(_flat(new))
    changes = [
        f"{name} {_short(before.get(name))} -> {_short(after.get(name))}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    return "; ".join(changes) or None


_KINDS = {"parameters": "parameter", "tool": "tool", "version": "version", "stage": "stage"}


def _flat(identity: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for kind, value in identity.items():
        name = _KINDS.get(kind, kind)
        if isinstance(value, Mapping):
            yield from ((f"{name} {path}", leaf) for path, leaf in _leaves(value))
        else:
            yield name, value


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else text[:12] + "…"
