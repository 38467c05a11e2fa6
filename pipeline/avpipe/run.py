"""Brings recordings down the line through the pools of workers.

Each recording advances as its inputs become known. At most as many orders are in flight as a pool
has slots; later stages go first, so that recordings finish; what failed before goes last. Expected
failures are outcomes: they are tried again where that can help, and noted in the ledger.
"""

import heapq
import itertools
import queue
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

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
    """Who watches a build."""

    def begin(self, totals: Mapping[str, int]) -> None:
        """The line starts with so many recordings per stage."""

    def finished(self, stage: str, status: Status, failure: str | None = None) -> None:
        """A recording is through a stage: run, reused, or failed with a class."""

    def message(self, text: str) -> None:
        """Something a person should know."""


class Stop:
    """A wish to end early; signal handlers ask for it."""

    def __init__(self) -> None:
        self._drain, self._now = threading.Event(), threading.Event()

    def ask(self) -> None:
        """First: submit nothing more and wait for what runs. Again: do not wait either."""
        if self._drain.is_set():
            self._now.set()
        self._drain.set()

    @property
    def draining(self) -> bool:
        """Submit nothing more."""
        return self._drain.is_set()

    @property
    def now(self) -> bool:
        """Do not wait for what runs."""
        return self._now.is_set()


@dataclass
class Result:
    """What became of the recordings."""

    stages: dict[str, StageCount]
    complete: dict[str, tuple[dict[str, str], dict[str, str]]] = field(default_factory=dict)
    """recording -> (stage -> key, stage -> content digest), of those that are through."""
    failures: list[Failure] = field(default_factory=list)
    left: int = 0
    """Recordings neither through nor failed: stopped, offline, or behind a dead network."""
    stopped: str | None = None
    """Why the run ended early, if it did."""


@dataclass(slots=True)
class _Walk:
    """One recording on its way down the line."""

    recording: Recording
    steps: dict[str, Step] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    ordered: set[str] = field(default_factory=set)
    tries: dict[str, int] = field(default_factory=dict)
    deaths: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Task:
    walk: _Walk
    node: Node
    step: Step

    @property
    def artifact(self) -> tuple[str, str]:
        assert self.step.key is not None
        return self.node.name, self.step.key


class Run:
    """One pass of a build over its recordings; call it once.

    Args:
        planner: knows what is there and what must run.
        ledger: open for writing.
        locators: recording id -> where it is downloaded from.
        profile: who does the work.
        cpu_workers: CPU workers; 0: one per core.
        observer: who watches.
        stop: a wish to end early.
        offline: fetch nothing over a network.
        drain_seconds: how long to wait for what runs once asked to stop.
    """

    def __init__(
        self,
        planner: Planner,
        ledger: Ledger,
        locators: Mapping[str, str],
        profile: Profile,
        *,
        cpu_workers: int,
        observer: Observer,
        stop: Stop,
        offline: bool = False,
        drain_seconds: float = 20.0,
    ) -> None:
        self._planner, self._ledger, self._locators = planner, ledger, locators
        self._profile, self._cpu_workers = profile, cpu_workers
        self._observer, self._stop = observer, stop
        self._offline, self._drain_seconds = offline, drain_seconds
        self._pace, self._breaker = Pace(profile.pace), Breaker(profile.pace)
        self._depth = {node.name: i for i, node in enumerate(planner.nodes)}
        self._ready: dict[Pool, list[tuple[bool, int, int, _Task]]] = {
            node.pool: [] for node in planner.nodes
        }
        self._later: list[tuple[float, int, _Task]] = []
        self._tickets = itertools.count()
        self._flying: dict[tuple[str, str], list[_Walk]] = {}
        self._in_flight: dict[Pool, int] = {}
        self._fatal: str | None = None
        self.result = Result({node.name: StageCount() for node in planner.nodes})

    def __call__(self, recordings: Sequence[Recording]) -> Result:
        """Runs what must run.

        Raises:
            AvpipeError: nothing of this build can work (a program or a model is missing).
        """
        walks = [_Walk(recording) for recording in recordings]
        self._observer.begin({name: len(walks) for name in self._depth})
        for walk in walks:
            self._advance(walk)
        if any(self._ready.values()):
            with Pools(self._profile, self._needs(len(walks)), self._cpu_workers) as pools:
                self._loop(pools)
        for walk in walks:
            self._settle(walk)
        self._ledger.commit()
        if self._fatal is not None:
            raise AvpipeError(self._fatal)
        return self.result

    # -- the loop ----------------------------------------------------------------------------

    def _needs(self, recordings: int) -> dict[Pool, int]:
        """Pool -> most orders at a time; downloads only if there are some."""
        needs: dict[Pool, int] = {pool: recordings for pool in self._ready}
        needs["cpu"] = recordings  # what has no GPU runs there
        if "net" in needs and not self._ready["net"]:
            del needs["net"]
        return needs

    def _loop(self, pools: Pools) -> None:
        self._in_flight = dict.fromkeys(pools.slots, 0)
        committed, drain_until = time.monotonic(), float("inf")
        while not (self._idle() or self._stop.now or time.monotonic() > drain_until):
            if self._stop.draining:
                self.result.stopped = self.result.stopped or "interrupted"
                drain_until = min(drain_until, time.monotonic() + self._drain_seconds)
            else:
                self._submit(pools)
            try:
                (task, place), outcome = pools.results.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                pass
            else:
                self._in_flight[place] -= 1
                self._receive(task, outcome)
            if time.monotonic() - committed > _COMMIT_SECONDS:
                self._ledger.commit()
                committed = time.monotonic()

    def _idle(self) -> bool:
        if any(self._in_flight.values()):
            return False
        if self._stop.draining:
            return True
        waits = [t for t in self._later if not self._dead(t[2])]
        ready = [t for heap in self._ready.values() for t in heap[:1] if not self._dead(t[3])]
        return not waits and not ready

    def _dead(self, task: _Task) -> bool:
        """Whether the task waits for a network that this build has given up on."""
        return self._breaker.broken is not None and self._remote(task)

    def _remote(self, task: _Task) -> bool:
        return not task.node.needs and "://" in self._locators[task.walk.recording.id]

    def _submit(self, pools: Pools) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._enqueue(heapq.heappop(self._later)[2])
        for pool, ready in self._ready.items():
            place: Pool = pool if pools.slots.get(pool) else "cpu"
            while ready and self._in_flight[place] < pools.slots[place]:
                task = ready[0][3]
                if self._remote(task) and not self._may_fetch(task, now):
                    break
                heapq.heappop(ready)
                if task.artifact in self._flying:  # another recording with the very same bytes
                    self._flying[task.artifact].append(task.walk)
                    continue
                self._flying[task.artifact] = []
                self._in_flight[place] += 1
                pools.submit(place, self._order(task), (task, place))

    def _may_fetch(self, task: _Task, now: float) -> bool:
        locator = self._locators[task.walk.recording.id]
        if self._breaker.wait_seconds(now) > 0 or self._pace.wait_seconds(locator, now) > 0:
            return False
        self._breaker.started()
        self._pace.started(locator, now)
        return True

    def _order(self, task: _Task) -> Order:
        walk, node, limits = task.walk, task.node, self._profile.limits
        recording = walk.recording
        if not node.needs:
            recording = replace(recording, url=self._locators[recording.id])
        return Order(
            root=self._planner.store.root,
            stage=node.name,
            key=task.artifact[1],
            identity=node.identity,
            inputs=node.inputs(recording, self._planner.dataset, walk.digests),
            recording=recording,
            config=node.config,
            artifacts={name: walk.steps[name].key or "" for name in node.needs},
            seconds=limits.seconds,
            memory_bytes=int(limits.memory_gib * 2**30),
        )

    # -- one recording -----------------------------------------------------------------------

    def _advance(self, walk: _Walk) -> None:
        """Takes every step whose inputs are known: reuse, order, or a failure that stands."""
        for node in self._planner.nodes:
            name = node.name
            if name in walk.digests or name in walk.ordered:
                continue
            step = walk.steps[name] = self._planner.step(
                walk.recording, node, walk.digests, walk.steps
            )
            if step.status is Status.REUSE:
                self._planner.adopt(walk.recording, node, step)
                self._reached(walk, node, step, Status.REUSE)
            elif step.failure is not None and step.status is Status.FAILED:
                walk.ordered.add(name)
                self._note_failure(step.failure)
            elif step.status is Status.RUN:
                task = _Task(walk, node, step)
                walk.ordered.add(name)
                if not (self._offline and self._remote(task)):
                    self.result.stages[name].reasons[step.reason or "new"] += 1
                    self._enqueue(task)

    def _enqueue(self, task: _Task) -> None:
        entry = (task.step.reason == "retry", -self._depth[task.node.name], next(self._tickets))
        heapq.heappush(self._ready[task.node.pool], (*entry, task))

    def _receive(self, task: _Task, outcome: Outcome) -> None:
        walk, node = task.walk, task.node
        name = node.name
        waiters = self._flying.pop(task.artifact)
        walk.tries[name] = walk.tries.get(name, 0) + 1
        if outcome.stop:
            self._fatal = outcome.message
            self._stop.ask()
        elif outcome.artifact is not None:
            self._succeed(task, outcome)
        else:
            self._fail(task, outcome)
        for other in waiters:
            other.ordered.discard(name)
            self._advance(other)

    def _succeed(self, task: _Task, outcome: Outcome) -> None:
        artifact, walk, node = outcome.artifact, task.walk, task.node
        assert artifact is not None
        if self._remote(task):
            self._breaker.succeeded()
        inputs = node.inputs(walk.recording, self._planner.dataset, walk.digests)
        self._ledger.done(artifact, node.identity, inputs, outcome.facts)
        self._ledger.reached(walk.recording.id, node.name, artifact.key)
        self._ledger.log(self._attempt(task, outcome, artifact.bytes), None)
        self._planner.published(node.name, artifact.key)
        step = Step(Status.REUSE, artifact.key, artifact.digest)
        self._reached(walk, node, step, Status.RUN)
        self._advance(walk)

    def _reached(self, walk: _Walk, node: Node, step: Step, status: Status) -> None:
        assert step.digest is not None
        walk.steps[node.name] = step
        walk.digests[node.name] = step.digest
        count = self.result.stages[node.name]
        if status is Status.RUN:
            count.run += 1
        else:
            count.reuse += 1
        self._observer.finished(node.name, status)

    def _fail(self, task: _Task, outcome: Outcome) -> None:
        walk, name, kind = task.walk, task.node.name, outcome.failure
        assert kind is not None
        if self._remote(task):
            self._breaker.failed(
                kind, outcome.message, time.monotonic(), outcome.retry_after_seconds
            )
        permanent, message = outcome.permanent, outcome.message
        if self._is_death(task, kind):
            before = task.step.failure
            known = before.attempts if before is not None and before.failure == kind else 0
            walk.deaths[name] = walk.deaths.get(name, known) + 1
            if walk.deaths[name] >= DEATHS:
                permanent = True
                message += f"; quarantined after {walk.deaths[name]} deaths"
        failure = Failure(
            walk.recording.id,
            name,
            task.artifact[1],
            self._planner.source(task.node, walk.recording),
            kind.value,
            message,
            permanent,
            max(walk.tries[name], walk.deaths.get(name, 0)),
        )
        self._ledger.log(self._attempt(task, outcome, 0), failure)
        if not permanent and self._try_again(task, kind, outcome.retry_after_seconds):
            return
        self._ledger.failed(failure)
        walk.steps[name] = Step(Status.FAILED, failure.key, failure=failure)
        self._note_failure(failure)
        self._explain_breaker()

    @staticmethod
    def _is_death(task: _Task, kind: FailureClass) -> bool:
        hung = kind in (FailureClass.TIMEOUT, FailureClass.LIMIT) and task.node.pool != "net"
        return kind is FailureClass.CRASHED or hung

    def _try_again(self, task: _Task, kind: FailureClass, retry_after: float | None) -> bool:
        tries = task.walk.tries[task.node.name]
        if tries >= ATTEMPTS.get(kind, 1) or self._stop.draining or self._dead(task):
            return False
        wait = retry_after or _BACKOFF_SECONDS * 2 ** (tries - 1) * random.uniform(0.5, 1.5)
        heapq.heappush(self._later, (time.monotonic() + wait, next(self._tickets), task))
        return True

    def _explain_breaker(self) -> None:
        if self._breaker.broken is not None and self.result.stopped is None:
            self.result.stopped = f"downloads ended, {self._breaker.broken}"

    def _note_failure(self, failure: Failure) -> None:
        self.result.failures.append(failure)
        self.result.stages[failure.stage].failed += 1
        self._observer.finished(failure.stage, Status.FAILED, failure.failure)

    def _attempt(self, task: _Task, outcome: Outcome, size: int) -> Attempt:
        name = task.node.name
        return Attempt(
            task.walk.recording.id,
            name,
            task.artifact[1],
            task.walk.tries[name],
            outcome.seconds,
            size,
            outcome.worker,
        )

    def _settle(self, walk: _Walk) -> None:
        if len(walk.digests) == len(self._depth):
            keys = {name: step.key or "" for name, step in walk.steps.items()}
            self.result.complete[walk.recording.id] = keys, walk.digests
            return
        if any(step.status is Status.FAILED for step in walk.steps.values()):
            return
        self.result.left += 1
        for name in self._depth:
            if name not in walk.digests:
                self.result.stages[name].maybe += 1
