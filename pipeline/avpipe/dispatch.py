"""Which task goes to which pool next.

Tasks of later stages go first, so that recordings finish; those that failed in an earlier build go
last. A pool gets one task per slot; while tasks are short and many, one more that waits at the
worker, so that it is not idle while the outcome of one and the order for the next are under way.
An artifact is made once, even if two recordings with the same bytes ask for it.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from avpipe.stages import Pool
from avpipe.walk import Task

_SHORT_SECONDS = 5.0


@dataclass
class Queue:
    """Tasks that are ready, wait for their time, or are in flight."""

    _ready: dict[Pool, list[tuple[tuple[int, ...], int, Task]]] = field(default_factory=dict)
    _later: list[tuple[float, int, Task]] = field(default_factory=list)
    _claims: dict[tuple[str, str], list[Task]] = field(default_factory=dict)
    """Artifact that a task of the queue makes -> further tasks that want it."""
    _in_flight: dict[Pool, int] = field(default_factory=dict)
    _seconds: dict[Pool, float] = field(
        default_factory=lambda: {"net": _SHORT_SECONDS, "cpu": 0.0, "gpu": _SHORT_SECONDS}
    )
    """How long tasks take of late."""
    _tickets: Iterator[int] = field(default_factory=itertools.count)

    def put(self, task: Task) -> None:
        """The task may start, unless another one is to make the same artifact."""
        if self._claim(task):
            self._push(task)

    def put_later(self, task: Task, at: float) -> None:
        """The same from the time `at` on."""
        if self._claim(task):
            heapq.heappush(self._later, (at, next(self._tickets), task))

    def start(
        self, slots: Mapping[Pool, int], now: float, may_start: Callable[[Task], bool]
    ) -> Iterator[tuple[Task, Pool]]:
        """Takes tasks, and the pool each goes to, until the slots are full.

        Args:
            slots: pool -> tasks at a time.
            now: the time.
            may_start: asked for the first task of a pool; if not, the pool waits.
        """
        while self._later and self._later[0][0] <= now:
            self._push(heapq.heappop(self._later)[2])
        for pool, ready in self._ready.items():
            place: Pool = pool if pool in slots else "cpu"
            while ready and self._in_flight.get(place, 0) < self._room(place, slots, len(ready)):
                if not may_start(ready[0][2]):
                    break
                self._in_flight[place] = self._in_flight.get(place, 0) + 1
                yield heapq.heappop(ready)[2], place

    def _room(self, place: Pool, slots: Mapping[Pool, int], ready: int) -> int:
        """Tasks that may be in flight; what waits behind a long task would wait long."""
        size = slots.get(place, 0)
        ahead = place != "net" and ready > size and self._seconds[place] < _SHORT_SECONDS
        return 2 * size if ahead else size

    def landed(self, task: Task, place: Pool, seconds: float) -> list[Task]:
        """The task is no longer in flight; returns those that wanted the same artifact.

        Args:
            task: as `start` gave it.
            place: its pool.
            seconds: how long it was at work.
        """
        self._in_flight[place] -= 1
        self._seconds[place] += 0.1 * (seconds - self._seconds[place])
        return self._claims.pop(task.artifact)

    @property
    def in_flight(self) -> int:
        """Tasks in flight."""
        return sum(self._in_flight.values())

    def waiting(self) -> Iterator[Task]:
        """Tasks that have not started."""
        yield from (task for ready in self._ready.values() for _, _, task in ready)
        yield from (task for _, _, task in self._later)

    def asked(self, pool: Pool) -> int:
        """How many tasks are ready for a pool."""
        return len(self._ready.get(pool, ()))

    def _claim(self, task: Task) -> bool:
        """True if no task of the queue makes this artifact; else the task waits for that one."""
        if task.artifact in self._claims:
            self._claims[task.artifact].append(task)
            return False
        self._claims[task.artifact] = []
        return True

    def _push(self, task: Task) -> None:
        ready = self._ready.setdefault(task.pool, [])
        heapq.heappush(ready, (task.urgency, next(self._tickets), task))
