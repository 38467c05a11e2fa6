"""How long a build would take, and how much disk: from what its own runs have taken so far.

A stage's time is what its past runs took on average, shared by the workers of its pool; a
download takes at least the interval that the pace keeps. Stages of one pool add up, pools work
side by side. What has never run is not known and says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from avpipe.dag import Node
from avpipe.engine.pacing import interval_seconds
from avpipe.engine.plan import StageCount
from avpipe.engine.profile import Profile
from avpipe.ledger import Rate
from avpipe.stages import Pool


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """What the runs of one stage would take."""

    pool: Pool
    runs: int
    """At most: what must run and what may."""
    seconds_each: float | None
    """Of one worker; None: it has never run."""
    hours: float | None
    """On all workers of the pool."""
    bytes: int | None
    """Disk space."""

    def as_json(self) -> dict[str, Any]:
        """As `--json` shows it."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a build would take."""

    stages: Mapping[str, StageEstimate]

    @property
    def hours(self) -> float:
        """Of the busiest pool, as far as it is known."""
        pools: dict[Pool, float] = {}
        for stage in self.stages.values():
            pools[stage.pool] = pools.get(stage.pool, 0.0) + (stage.hours or 0.0)
        return max(pools.values(), default=0.0)

    @property
    def bytes(self) -> int:
        """Disk space, as far as it is known."""
        return sum(stage.bytes or 0 for stage in self.stages.values())

    @property
    def unknown(self) -> tuple[str, ...]:
        """Stages that would run and have never run."""
        return tuple(n for n, s in self.stages.items() if s.runs and s.seconds_each is None)

    def as_json(self) -> dict[str, Any]:
        """As `--json` shows it."""
        return {
            "hours": self.hours,
            "bytes": self.bytes,
            "unknown": list(self.unknown),
            "stages": {name: stage.as_json() for name, stage in self.stages.items()},
        }


def estimate(
    nodes: Sequence[Node],
    counts: Mapping[str, StageCount],
    rates: Mapping[str, Rate],
    locators: Sequence[str],
    profile: Profile,
    cpu_workers: int = 0,
) -> Estimate:
    """What the runs of a plan would take.

    Args:
        nodes: the line.
        counts: stage -> what runs, as the plan says.
        rates: stage -> what its past runs took.
        locators: where recordings are downloaded from.
        profile: who would do the work.
        cpu_workers: CPU workers; 0: one per core.
    """
    sizes = profile.sizes(cpu_workers)
    stages = {}
    for node in nodes:
        runs = counts[node.name].run + counts[node.name].maybe
        pool: Pool = node.pool if sizes[node.pool] else "cpu"
        rate = rates.get(node.name)
        apart = None if rate is None else rate.seconds / sizes[pool]
        if not node.needs and locators:
            pace = sum(interval_seconds(x, profile.pace) for x in locators) / len(locators)
            apart = max(apart or 0.0, pace) if apart is not None or pace else None
        stages[node.name] = StageEstimate(
            pool,
            runs,
            None if rate is None else rate.seconds,
            None if apart is None else runs * apart / 3600,
            None if rate is None else round(runs * rate.bytes),
        )
    return Estimate(stages)
