"""Which task goes to which pool next.

Tasks of later stages go first, so that recordings finish; those that failed in an earlier build go
last. A worker gets one task at a time; while tasks are short and many, a bundle of them, and one
more bundle that waits there: so the way to the worker and back is paid once for all of them, and no
worker is idle meanwhile. (A bundle that waits too long is stolen by a worker that is done, which is
Dask's doing.) Downloads queue up by host: one that has to wait holds back nobody else's. An
artifact is made once, even if two recordings with the same bytes ask for it.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from avpipe.engine.walk import Task
from avpipe.stages import Pool

_BUNDLE_SECONDS = 1.0
"""As much work travels together."""

_WAITING_SECONDS = 5.0
"""What waits behind a task that is longer than this would wait long."""

_Ready = list[tuple[tuple[int, ...], int, Task]]
"""A heap: urgency, ticket, task."""


@dataclass
class Queue:
    """Tasks that are ready, wait for their time, or are in flight."""

    host: Callable[[Task], str | None] = lambda _: None
    """The host that a task downloads from. Such tasks travel alone: how long one takes says nothing
    of the next one."""
    _ready: dict[Pool, dict[str | None, _Ready]] = field(default_factory=dict)
    """Pool -> host -> tasks."""
    _later: list[tuple[float, int, Task]] = field(default_factory=list)
    _claims: dict[tuple[str, str], list[Task]] = field(default_factory=dict)
    """Artifact that a task of the queue makes -> further tasks that want it."""
    _in_flight: dict[Pool, int] = field(default_factory=dict)
    """Pool -> bundles."""
    _seconds: dict[str, float] = field(default_factory=dict)
    """Stage -> how long its tasks take of late."""
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
    ) -> Iterator[tuple[list[Task], Pool]]:
        """Takes bundles of tasks, and the pool each goes to, until the slots are full.

        Args:
            slots: pool -> workers.
            now: the time.
            may_start: asked for the first task of a host; if not, its tasks wait.
        """
        while self._later and self._later[0][0] <= now:
            self._push(heapq.heappop(self._later)[2])
        for pool, hosts in self._ready.items():
            place: Pool = pool if pool in slots else "cpu"
            size = slots.get(place, 0)
            heads = [ready for ready in hosts.values() if ready]
            heapq.heapify(heads)  # by their first tasks: tickets differ
            while heads and self._in_flight.get(place, 0) < self._room(size, heads[0]):
                ready = heads[0]
                if may_start(ready[0][2]):
                    self._in_flight[place] = self._in_flight.get(place, 0) + 1
                    yield self._bundle(ready, len(ready) // (2 * size)), place
                    if ready:
                        heapq.heapreplace(heads, ready)
                        continue
                heapq.heappop(heads)

    def _room(self, size: int, ready: _Ready) -> int:
        """Bundles that may be in flight; the last tasks do not wait behind others."""
        may_wait = len(ready) > size and self._expected(ready[0][2]) < _WAITING_SECONDS
        return 2 * size if may_wait else size

    def _bundle(self, ready: _Ready, most: int) -> list[Task]:
        """The first task, and those behind it that are as short."""
        tasks = [heapq.heappop(ready)[2]]
        seconds = self._expected(tasks[0])
        while len(tasks) < most:
            seconds += self._expected(ready[0][2])
            if seconds > _BUNDLE_SECONDS:
                break
            tasks.append(heapq.heappop(ready)[2])
        return tasks

    def _expected(self, task: Task) -> float:
        """Seconds that it will take; infinite if nobody can know."""
        failed = task.step.failure is not None or task.node.name in task.walk.histories
        if failed or self.host(task) is not None:
            return float("inf")
        return self._seconds.get(task.node.name, float("inf"))

    def freed(self, place: Pool) -> None:
        """A bundle is no longer in flight; its tasks have `landed` after that."""
        self._in_flight[place] -= 1

    def landed(self, task: Task, seconds: float | None) -> list[Task]:
        """The task is over; returns those that wanted the same artifact.

        Args:
            task: as `start` gave it.
            seconds: how long it was at work; None: it was not.
        """
        if seconds is not None:
            before = self._seconds.setdefault(task.node.name, seconds)
            self._seconds[task.node.name] += 0.1 * (seconds - before)
        return self._claims.pop(task.artifact)

    @property
    def in_flight(self) -> int:
        """Bundles in flight."""
        return sum(self._in_flight.values())

    def waiting(self) -> Iterator[Task]:
        """Tasks that have not started."""
        for hosts in self._ready.values():
            yield from (task for ready in hosts.values() for _, _, task in ready)
        yield from (task for _, _, task in self._later)

    def asked(self, pool: Pool) -> int:
        """How many tasks are ready for a pool."""
        return sum(map(len, self._ready.get(pool, {}).values()))

    def _claim(self, task: Task) -> bool:
        """True if no task of the queue makes this artifact; else the task waits for that one."""
        if task.artifact in self._claims:
            self._claims[task.artifact].append(task)
            return False
        self._claims[task.artifact] = []
        return True

    def _push(self, task: Task) -> None:
        ready = self._ready.setdefault(task.pool, {}).setdefault(self.host(task), [])
        heapq.heappush(ready, (task.urgency, next(self._tickets), task))
