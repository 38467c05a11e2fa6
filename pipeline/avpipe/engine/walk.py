"""Recordings on their way down the line, and what became of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from avpipe.dag import Node
from avpipe.engine.plan import StageCount, Status, Step
from avpipe.engine.verdict import History
from avpipe.ledger import Failure
from avpipe.stages import Pool
from avpipe.store import sha256_text
from avpipe.types import Recording


@dataclass(frozen=True, slots=True)
class Complete:
    """The artifacts of a recording that is through the line."""

    keys: Mapping[str, str]
    """Stage -> key."""
    digests: Mapping[str, str]
    """Stage -> content digest."""
    stale: tuple[str, ...]
    """Frozen stages whose artifact is not what the line would make now."""

    def signature(self, grid: tuple[float, int]) -> str:
        """One text for these artifacts on this time grid, another for any others."""
        artifacts = (f"{name} {key} {self.digests[name]}" for name, key in self.keys.items())
        return sha256_text("\n".join((*artifacts, *self.stale, str(grid))))


@dataclass(slots=True)
class Walk:
    """One recording on its way down the line."""

    recording: Recording
    steps: dict[str, Step] = field(default_factory=dict)
    histories: dict[str, History] = field(default_factory=dict)
    ordered: set[tuple[str, str]] = field(default_factory=set)
    """Artifacts (stage, key) that are under way for it."""
    told: dict[str, Status] = field(default_factory=dict)
    """How the stages ended that are behind it."""

    @property
    def digests(self) -> dict[str, str]:
        """Stage -> content digest of what is there."""
        return {n: step.digest for n, step in self.steps.items() if step.digest is not None}


@dataclass(frozen=True, slots=True)
class Task:
    """One stage to be run for one recording."""

    walk: Walk
    node: Node
    step: Step
    depth: int
    """Place of the stage in the line."""

    @property
    def pool(self) -> Pool:
        return self.node.pool

    @property
    def urgency(self) -> tuple[int, ...]:
        return int(self.step.reason == "retry"), -self.depth

    @property
    def artifact(self) -> tuple[str, str]:
        assert self.step.key is not None
        return self.node.name, self.step.key


@dataclass
class Result:
    """What became of the recordings."""

    stages: dict[str, StageCount]
    complete: dict[str, Complete] = field(default_factory=dict)
    """Recording -> its artifacts."""
    failures: list[Failure] = field(default_factory=list)
    left: int = 0
    """Recordings neither through nor failed: stopped, offline, or behind a dead network."""
    stopped: str | None = None
    """Why the run ended early, if it did."""

    def settle_complete(self, walk: Walk) -> bool:
        """Counts a recording that is through the line; False if it is not."""
        digests = walk.digests
        if len(digests) < len(walk.steps):
            return False
        keys = {name: step.key or "" for name, step in walk.steps.items()}
        stale = tuple(name for name, step in walk.steps.items() if step.stale)
        for name, step in walk.steps.items():
            self.stages[name].add(walk.told[name], "frozen" if step.stale else None)
        self.complete[walk.recording.id] = Complete(keys, digests, stale)
        return True

    def settle_incomplete(self, walk: Walk) -> None:
        """Counts a recording that failed, or for which nothing more will be done now."""
        failed = any(step.status is Status.FAILED for step in walk.steps.values())
        self.left += not failed
        for name in walk.steps:
            if name in walk.told:
                self.stages[name].add(walk.told[name])
            elif not failed:
                self.stages[name].add(Status.MAYBE)
