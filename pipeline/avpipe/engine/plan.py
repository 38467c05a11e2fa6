"""The plan: what must run for which recording, and why.

A recording's step at a stage follows from the digests of what feeds it: with all of them known,
the key is known, and the artifact is there (reuse) or is not (run, with a reason). Downstream of
what must run, outputs are not known yet: those steps *may* run.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, cast

from avpipe.dag import Node
from avpipe.engine.reasons import explain
from avpipe.errors import RecordingFailed
from avpipe.ledger import Failure, Ledger
from avpipe.store import Artifact, Store
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
    stale: bool = False
    """What is reused is not what the stage would make now: it is frozen."""
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

    def add(self, status: Status, reason: str | None = None) -> None:
        """Counts a recording."""
        if status is not Status.BLOCKED:
            setattr(self, status.value, getattr(self, status.value) + 1)
        if reason is not None:
            self.reasons[reason] += 1

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
        freeze: stages that are not run again where they have an output, however stale.
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
        freeze: Collection[str] = (),
    ) -> None:
        self.nodes = tuple(map(self._remembering, nodes))
        self.store = store
        self._dataset, self._sources = dataset, sources
        self._ledger = ledger
        self._retry_failed, self._freeze = retry_failed, freeze
        self._published = {node.name: store.keys(node.name) for node in self.nodes}
        self._current = ledger.current() if ledger else {}
        failures = ledger.failures() if ledger else []
        self._failures = {(f.recording, f.stage): f for f in failures}
        self._failed_media = {(f.key, f.source): f for f in failures if f.source}

    def steps(self, recording: Recording) -> dict[str, Step]:
        """What happens to a recording at every stage, as far as it can be known now."""
        while True:
            steps: dict[str, Step] = {}
            for node in self.nodes:
                steps[node.name] = self.step(recording, node, steps)
            if not self._wanted_back(steps):
                return steps

    def want_back(self, recording: Recording) -> None:
        """Counts what was released of a recording as missing if a stage that runs needs it."""
        if self.store.has_released():
            self.steps(recording)

    def _wanted_back(self, steps: Mapping[str, Step]) -> bool:
        """Whether a stage that runs reads what was released: from now on that counts as missing."""
        if not self.store.has_released():
            return False
        wanted = {
            (name, key)
            for node in self.nodes
            if steps[node.name].status in (Status.RUN, Status.MAYBE)
            for name in node.needs
            if (key := steps[name].key) is not None
            and key in self._published[name]
            and self.store.is_released(name, key)
        }
        for name, key in wanted:
            self._published[name].discard(key)
        return bool(wanted)

    def step(
        self,
        recording: Recording,
        node: Node,
        before: Mapping[str, Step],
        failed: Step | None = None,
    ) -> Step:
        """What happens at one stage.

        Args:
            recording: the recording.
            node: the stage.
            before: steps of the stages before it.
            failed: how the stage failed in this build, if it did; it stands for the same key.
        """
        step = self._fresh(recording, node, before, failed)
        if node.name in self._freeze and step.status is not Status.REUSE:
            known = self._current.get(recording.id, {}).get(node.name)
            if known is not None and known[0] in self._published[node.name]:
                digest = self._digest(recording, node, known[0])
                step = Step(Status.REUSE, known[0], digest, stale=True)
        return self._refusal(recording, node, step) or step

    def _refusal(self, recording: Recording, node: Node, step: Step) -> Step | None:
        """The failure that a finished step is by now, if its output may not be used any more."""
        if node.admission is None or step.status is not Status.REUSE or step.key is None:
            return None
        facts = self._ledger.facts(node.name, step.key) if self._ledger else {}
        try:
            node.admission(recording, facts or self.store.provenance(node.name, step.key)["facts"])
        except RecordingFailed as error:
            failure = Failure(
                recording.id,
                node.name,
                step.key,
                self.source(node, recording),
                error.failure.value,
                str(error),
                error.permanent,
                attempts=0,
            )
            return Step(Status.FAILED, step.key, failure=failure)
        return None

    def _fresh(
        self, recording: Recording, node: Node, before: Mapping[str, Step], failed: Step | None
    ) -> Step:
        digests = {}
        for name in node.needs:
            if before[name].status in (Status.FAILED, Status.BLOCKED):
                return _BLOCKED
            digests[name] = before[name].digest
        if None in digests.values():
            return _MAYBE
        key = self._key(recording, node, cast(dict[str, str], digests))
        if key in self._published[node.name]:
            return Step(Status.REUSE, key, self._digest(recording, node, key))
        if failed is not None and failed.key == key:
            return failed
        failure = self._failure(recording, node, key)
        if failure is not None:
            if failure.permanent and not self._retry_failed:
                return Step(Status.FAILED, key, failure=failure)
            return Step(Status.RUN, key, reason="retry", failure=failure)
        return Step(Status.RUN, key, reason=self._reason(recording, node, key))

    def _failure(self, recording: Recording, node: Node, key: str) -> Failure | None:
        """The failure that stands in the way of an artifact: also that of another recording, if
        it was to come from the very same address."""
        source = self.source(node, recording)
        own = self._failures.get((recording.id, node.name))
        if own is not None and (own.key, own.source) == (key, source):
            return own
        if source is None or "://" not in source:
            return None
        other = self._failed_media.get((key, source))
        return other and replace(other, recording=recording.id)

    def _remembering(self, node: Node) -> Node:
        """The stage; what it reads beside the artifacts is looked at where the recording comes
        from, and is what it was where it is out of reach."""
        ask = node.outside
        if ask is None:
            return node

        def outside(recording: Recording) -> dict[str, Any] | None:
            found = ask(replace(recording, url=self._sources[recording.id]))
            known = self._current.get(recording.id, {}).get(node.name)
            if found is not None or known is None or known[0] not in self._published[node.name]:
                return found
            provenance = self.store.provenance(node.name, known[0])
            return dict(provenance["document"]["inputs"])

        return replace(node, outside=outside)

    def _key(self, recording: Recording, node: Node, digests: Mapping[str, str]) -> str:
        key = node.key(recording, self._dataset, digests)
        known = self._current.get(recording.id, {}).get(node.name)
        return known[0] if known is not None and known[0] == key else key  # one string, not two

    def inputs(
        self, node: Node, recording: Recording, digests: Mapping[str, str]
    ) -> dict[str, Any]:
        """What the key of a step holds beside the identity of its stage."""
        return node.inputs(recording, self._dataset, digests)

    def published(self, artifact: Artifact, recording: Recording) -> None:
        """Notes an artifact that came to be since the store was listed."""
        self._published[artifact.stage].add(artifact.key)
        current = self._current.setdefault(recording.id, {})
        current[artifact.stage] = artifact.key, artifact.digest

    def discard(self, stage: str, key: str) -> bool:
        """Removes a damaged artifact, so that it is made again; False if that was done before."""
        if key not in self._published[stage]:
            return False
        self._published[stage].discard(key)
        self.store.remove(stage, key)
        return True

    def source(self, node: Node, recording: Recording) -> str | None:
        """Where a recording is downloaded from: a failure there says nothing of another place."""
        return None if node.needs else self._sources[recording.id]

    def adopt(self, recording: Recording, node: Node, step: Step) -> None:
        """Tells the ledger of a reused artifact that it does not have for this recording yet."""
        current = self._current.setdefault(recording.id, {})
        known = current.get(node.name) == (step.key, step.digest)
        if step.key is None or (known and (recording.id, node.name) not in self._failures):
            return
        current[node.name] = step.key, step.digest
        if self._ledger is not None:
            if self._ledger.digest(node.name, step.key) is None:
                restore(self._ledger, self.store, node.name, step.key)
            self._ledger.reached(recording.id, node.name, step.key, step.digest)

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
