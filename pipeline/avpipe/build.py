"""A build: plan, run what must run through the pools, pack what is complete, report.

The driver walks each recording down the line as its inputs become known: bounded windows (as many
orders in flight as a pool has slots), depth first, so that recordings finish. What can be
expected to fail is an outcome; one recording never stops a build.
"""

import heapq
import itertools
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from avpipe.cluster import Pools, Profile
from avpipe.dag import Node
from avpipe.errors import AvpipeError, FailureClass
from avpipe.ledger import Attempt, Failure, Ledger
from avpipe.pacing import Breaker, Pace
from avpipe.plan import Planner, StageCount, Status, Step
from avpipe.stages import Pool
from avpipe.types import Recording
from avpipe.work import Order, Outcome

ATTEMPTS = {
    FailureClass.NETWORK: 3,
    FailureClass.RATE_LIMITED: 3,
    FailureClass.BOT: 2,
    FailureClass.CRASHED: 2,
}
"""Tries per build of a failure that may pass; every other class: one."""

DEATHS = 2
"""Deaths of its process (crash, hang, memory) after which a recording is quarantined."""

_BACKOFF_SECONDS = 1.0
_TICK_SECONDS = 0.25
_COMMIT_SECONDS = 1.0


class Observer(Protocol):
    """Who wants to watch a build."""

    def planned(self, counts: Mapping[str, StageCount]) -> None:
        """The plan is made."""

    def finished(self, stage: str, status: Status, failure: str | None) -> None:
        """A recording is through a stage (run, reuse or failed with a class)."""

    def message(self, text: str) -> None:
        """Something a person should know."""


@dataclass
class Result:
    """What a run of the line did."""

    stages: dict[str, StageCount] = field(default_factory=dict)
    complete: dict[str, dict[str, str]] = field(default_factory=dict)
    """recording -> stage -> key, of the selected recordings that are through."""
    failures: list[Failure] = field(default_factory=list)
    left: int = 0
    """Recordings that neither finished nor failed: stopped, offline or behind a dead network."""
    stopped: str | None = None
    """Why the run ended early."""


class Stop:
    """Asked by a signal handler: first to drain, then to end at once."""

    def __init__(self) -> None:
        self._drain, self._now = threading.Event(), threading.Event()
        self.reason = "interrupted"

    def ask(self, reason: str = "interrupted") -> None:
        """Stops submitting; asked again, also stops waiting for what runs."""
        if self._drain.is_set():
            self._now.set()
        self.reason = reason
        self._drain.set()

    @property
    def draining(self) -> bool:
        """No new orders."""
        return self._drain.is_set()

    @property
    def now(self) -> bool:
        """Do not wait for the orders in flight."""
        return self._now.is_set()


@dataclass(slots=True)
class _Walk:
    """One recording on its way down the line."""

    recording: Recording
    steps: dict[str, Step] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    """Stages ordered and not yet settled."""
    attempts: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Task:
    walk: _Walk
    node: Node
    step: Step


class Run:
    """Brings recordings down the line.

    Args:
        planner: what is there and what must run.
        ledger: open for writing.
        locators: recording id -> where it is downloaded from.
        profile: who does the work.
        cpu_workers: CPU workers; 0: one per core.
        stop: asked to end early.
        observer: who watches.
        offline: nothing is fetched over a network.
        drain_seconds: how long to wait for what runs when asked to stop.
    """

    def __init__(
        self,
        planner: Planner,
        ledger: Ledger,
        locators: Mapping[str, str],
        profile: Profile,
        *,
        cpu_workers: int,
        stop: Stop,
        observer: Observer,
        offline: bool = False,
        drain_seconds: float = 20.0,
    ) -> None:
        self._planner = planner
        self._ledger = ledger
        self._locators = locators
        self._profile = profile
        self._cpu_workers = cpu_workers
        self._stop = stop
        self._observer = observer
        self._offline = offline
        self._drain_seconds = drain_seconds
        self._pace, self._breaker = Pace(profile.pace), Breaker(profile.pace)
        self._depth = {node.name: i for i, node in enumerate(planner.nodes)}
        self._ready: dict[Pool, list[tuple[int, int, _Task]]] = {}
        self._later: list[tuple[float, int, _Task]] = []
        self._ticket = itertools.count()
        self._flying: dict[tuple[str, str], list[_Walk]] = {}
        self._in_flight: Counter[Pool] = Counter()
        self._skipped: set[str] = set()
        self._result = Result({node.name: StageCount() for node in planner.nodes})

    def __call__(self, recordings: Sequence[Recording]) -> Result:
        """Runs what must run for `recordings`; failures are in the result.

        Raises:
            AvpipeError: nothing of this build can work (a program or a model is missing).
        """
        walks = []
        for recording in recordings:
            walk = _Walk(recording)
            walks.append(walk)
            self._advance(walk)
        if any(self._ready.values()):
            with self._pools() as pools:
                self._loop(pools)
        self._ledger.commit()
        for walk in walks:
            self._settle(walk)
        return self._result

    def _pools(self) -> "Pools":
        tasks = Counter(pool for pool, ready in self._ready.items() for _ in ready)
        later_pools: set[Pool] = {node.pool for node in self._planner.nodes}
        most = sum(tasks.values())
        needs: dict[Pool, int] = dict.fromkeys(later_pools | {"cpu"}, most)
        if not tasks["net"]:
            needs.pop("net", None)
        return Pools(self._profile, needs, self._cpu_workers)

    def _loop(self, pools: Pools) -> None:
        committed, drain_until = time.monotonic(), None
        while True:
            if self._stop.draining:
                drain_until = drain_until or time.monotonic() + self._drain_seconds
                if self._stop.now or time.monotonic() > drain_until:
                    return
            else:
                self._submit(pools)
            if not self._in_flight.total() and (self._stop.draining or not self._waiting()):
                return
            try:
                (task, pool), outcome = pools.results.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                outcome = None
            if outcome is not None:
                self._in_flight[pool] -= 1
                self._receive(task, outcome)
            if time.monotonic() - committed > _COMMIT_SECONDS:
                self._ledger.commit()
                committed = time.monotonic()

    def _waiting(self) -> bool:
        if self._breaker.broken is not None:
            self._ready.pop("net", None)
            self._later = [entry for entry in self._later if entry[2].node.pool != "net"]
        return bool(self._later) or any(self._ready.values())

    def _submit(self, pools: Pools) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._enqueue(heapq.heappop(self._later)[2])
        for pool, ready in self._ready.items():
            place: Pool = pool if pools.slots.get(pool) else "cpu"
            while ready and self._in_flight[place] < pools.slots[place]:
                task = ready[0][2]
                if pool == "net" and self._must_wait(task, now):
                    break
                heapq.heappop(ready)
                if not self._duplicate(task):
                    self._in_flight[place] += 1
                    pools.submit(place, self._order(task), (task, place))

    def _must_wait(self, task: _Task, now: float) -> bool:
        locator = self._locators[task.walk.recording.id]
        if "://" not in locator:
            return False
        # the breaker last: asking it when it is due sends the probe
        return self._pace.wait_seconds(locator, now) > 0 or self._breaker.wait_seconds(now) > 0

    def _duplicate(self, task: _Task) -> bool:
        """Another recording has the same bytes and is at work on this very artifact."""
        assert task.step.key is not None
        place = (task.node.name, task.step.key)
        if place in self._flying:
            self._flying[place].append(task.walk)
            task.walk.open.discard(task.node.name)
            return True
        self._flying[place] = []
        return False

    def _order(self, task: _Task) -> Order:
        walk, node = task.walk, task.node
        assert task.step.key is not None
        limits = self._profile.limits
        return Order(
            root=self._planner.store.root,
            stage=node.name,
            key=task.step.key,
            identity=node.identity,
            inputs=node.inputs(walk.recording, self._planner.dataset, walk.digests),
            recording=_located(walk.recording, self._locators) if not node.needs else walk.recording,
            config=node.config,
            artifacts={name: walk.keys[name] for name in node.needs},
            seconds=limits.seconds,
            memory_bytes=int(limits.memory_gib * 2**30),
        )

    def _advance(self, walk: _Walk) -> None:
        """Takes every step whose inputs are known: reuses, orders, or notes what blocks."""
        for node in self._planner.nodes:
            name = node.name
            if name in walk.digests or name in walk.open or name in self._failed_at(walk):
                continue
            step = self._planner.step(walk.recording, node, walk.digests, walk.steps)
            walk.steps[name] = step
            if step.status is Status.REUSE:
                self._reached(walk, node, step, Status.REUSE)
            elif step.status is Status.FAILED:
                assert step.failure is not None
                self._fail(name, step.failure)
            elif step.status is Status.RUN:
                if self._offline and not node.needs and "://" in self._locators[walk.recording.id]:
                    self._skipped.add(walk.recording.id)
                    continue
                if step.reason:
                    self._result.stages[name].reasons[step.reason] += 1
                self._enqueue(_Task(walk, node, step))

    @staticmethod
    def _failed_at(walk: _Walk) -> set[str]:
        return {name for name, step in walk.steps.items() if step.status is Status.FAILED}

    def _enqueue(self, task: _Task) -> None:
        task.walk.open.add(task.node.name)
        retried = task.step.reason == "retry"  # what failed before goes after the fresh ones
        entry = (retried, -self._depth[task.node.name], next(self._ticket), task)
        heapq.heappush(self._ready.setdefault(task.node.pool, []), entry[1:] if False else entry)

    def _reached(self, walk: _Walk, node: Node, step: Step, status: Status) -> None:
        assert step.key is not None
        assert step.digest is not None
        walk.keys[node.name], walk.digests[node.name] = step.key, step.digest
        walk.steps[node.name] = Step(Status.REUSE, step.key, step.digest)
        count = self._result.stages[node.name]
        if status is Status.REUSE:
            count.reuse += 1
        else:
            count.run += 1
        self._observer.finished(node.name, status, None)

    def _receive(self, task: _Task, outcome: Outcome) -> None:
        raise NotImplementedError
