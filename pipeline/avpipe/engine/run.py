"""Brings recordings down the line through the pools of workers.

Where a recording stands always follows from what is published: after every outcome its steps are
asked for anew, and what must run and is not under way is ordered. Expected failures are outcomes:
they are tried again where that can help, and noted in the ledger.
"""

import queue
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from avpipe.cluster import Pools
from avpipe.dag import Node
from avpipe.engine.dispatch import Queue
from avpipe.engine.observer import Observer
from avpipe.engine.pacing import Gate, host
from avpipe.engine.plan import Planner, StageCount, Status, Step
from avpipe.engine.profile import Profile
from avpipe.engine.stop import DRAIN_SECONDS, Stop
from avpipe.engine.verdict import History, judge
from avpipe.engine.walk import Result, Task, Walk
from avpipe.engine.work import Order, Outcome
from avpipe.errors import AvpipeError, FailureClass, Interrupted
from avpipe.ledger import Attempt, Failure, Ledger
from avpipe.stages import Pool
from avpipe.types import Recording

_TICK_SECONDS = 0.25
_HOUSEKEEPING_SECONDS = 1.0


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
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self._planner, self._ledger, self._locators = planner, ledger, locators
        self._profile, self._cpu_workers = profile, cpu_workers
        self._observer, self._stop = observer, stop
        self._offline, self._drain_seconds = offline, drain_seconds
        self._gate = Gate(profile.pace)
        self._queue = Queue(self._host)
        self._fatal: str | None = None
        self._missed: set[Pool] = set()
        self.result = Result({node.name: StageCount() for node in planner.nodes})

    def __call__(self, recordings: Sequence[Recording]) -> Result:
        """Runs what must run.

        Raises:
            AvpipeError: nothing of this build can work (a program or a model is missing).
        """
        self._observer.begin({node.name: len(recordings) for node in self._planner.nodes})
        walks = []
        for recording in recordings:
            walk = Walk(recording)
            self._planner.want_back(recording)
            self._advance(walk)
            if not self.result.settle_complete(walk):
                walks.append(walk)
        needs = self._needs()
        if needs:
            with self._pools(needs) as pools:
                self._loop(pools)
        for walk in walks:
            if not self.result.settle_complete(walk):
                self.result.settle_incomplete(walk)
        self._ledger.commit()
        if self._fatal is not None:
            raise AvpipeError(self._fatal)
        return self.result

    # -- the loop ----------------------------------------------------------------------------

    def _needs(self) -> dict[Pool, int]:
        """Pool -> most orders at a time. Empty: there is nothing to do."""
        recordings = len({id(task.walk) for task in self._queue.waiting()})
        if not recordings:
            return {}
        needs: dict[Pool, int] = {"cpu": recordings}  # what has no GPU runs there
        if self._queue.asked("net"):
            needs["net"] = self._queue.asked("net")
        if any(node.pool == "gpu" for node in self._planner.nodes):
            needs["gpu"] = recordings
        return needs

    def _pools(self, needs: Mapping[Pool, int]) -> Pools:
        try:
            return Pools(self._profile, needs, self._cpu_workers)
        except AvpipeError as error:
            if self._stop.draining:
                raise Interrupted("interrupted while the workers started; run again") from error
            raise

    def _loop(self, pools: Pools) -> None:
        cared, drain_until = time.monotonic(), float("inf")
        while not (self._idle() or self._stop.now or time.monotonic() > drain_until):
            if self._stop.draining:
                self.result.stopped = self.result.stopped or "interrupted"
                drain_until = min(drain_until, time.monotonic() + self._drain_seconds)
            else:
                now = time.monotonic()
                for tasks, place in self._queue.start(pools.slots, now, self._may_start):
                    pools.submit(place, [self._order(task) for task in tasks], (tasks, place))
            try:
                (tasks, place), outcomes = pools.results.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                pass
            else:
                self._queue.freed(place)
                for task, outcome in zip(tasks, outcomes, strict=True):
                    self._receive(task, outcome)
            if time.monotonic() - cared > _HOUSEKEEPING_SECONDS:
                self._ledger.commit()
                pools.refresh()
                self._tell_who_is_missing(pools)
                cared = time.monotonic()

    def _tell_who_is_missing(self, pools: Pools) -> None:
        """Says once of every pool that there is work for it and nobody to do it."""
        for pool in {task.pool for task in self._queue.waiting()} - self._missed:
            if pools.slots.get(pool, pools.slots.get("cpu", 0)) == 0:
                self._missed.add(pool)
                self._observer.message(f"waiting for a worker of the pool {pool}")

    def _idle(self) -> bool:
        if self._queue.in_flight:
            return False
        return self._stop.draining or all(map(self._dead, self._queue.waiting()))

    def _dead(self, task: Task) -> bool:
        """Whether the task waits for downloads that this build has given up on."""
        return self._gate.broken is not None and self._remote(task)

    def _remote(self, task: Task) -> bool:
        return not task.node.needs and "://" in self._locators[task.walk.recording.id]

    def _host(self, task: Task) -> str | None:
        return host(self._locators[task.walk.recording.id]) if self._remote(task) else None

    def _may_start(self, task: Task) -> bool:
        if not self._remote(task):
            return True
        return self._gate.enter(self._locators[task.walk.recording.id], time.monotonic())

    def _order(self, task: Task) -> Order:
        recording, node, steps = task.walk.recording, task.node, task.walk.steps
        if not node.needs or node.outside is not None:
            recording = replace(recording, url=self._locators[recording.id])
        return Order(
            root=self._planner.store.root,
            stage=node.name,
            key=task.artifact[1],
            identity=node.identity,
            inputs=self._planner.inputs(node, task.walk.recording, task.walk.digests),
            recording=recording,
            config=node.config,
            artifacts={name: steps[name].key or "" for name in node.needs},
            limits=self._profile.limits,
        )

    # -- one recording -----------------------------------------------------------------------

    def _advance(self, walk: Walk) -> None:
        """Takes every step whose inputs are known: reuse, order, or a failure that stands."""
        failed = {n: s for n, s in walk.steps.items() if s.status is Status.FAILED}
        walk.steps = {}
        for depth, node in enumerate(self._planner.nodes):
            step = self._planner.step(walk.recording, node, walk.steps, failed.get(node.name))
            walk.steps[node.name] = step
            if step.status is Status.REUSE:
                self._planner.adopt(walk.recording, node, step)
                self._tell(walk, node, Status.REUSE)
            elif step.status is Status.FAILED and node.name not in failed:
                assert step.failure is not None
                if not step.failure.attempts:  # refused for what is known of it
                    self._ledger.failed(step.failure)
                self._note_failure(walk, node, step.failure)
            elif step.status is Status.RUN and (node.name, step.key) not in walk.ordered:
                task = Task(walk, node, step, depth)
                if not (self._offline and self._remote(task)):
                    walk.ordered.add(task.artifact)
                    self.result.stages[node.name].reasons[step.reason or "new"] += 1
                    self._queue.put(task)

    def _receive(self, task: Task, outcome: Outcome) -> None:
        others = self._queue.landed(task, None if outcome.undone else outcome.seconds)
        task.walk.ordered.discard(task.artifact)
        failure = None
        if outcome.artifact is not None:
            self._succeed(task, outcome)
        elif outcome.undone or (outcome.failure is not None and self._stop.draining):
            # what ends a build may have been sent to all it started: then no recording is to blame
            task.walk.ordered.add(task.artifact)
            self._queue.put(task)
        elif outcome.failure is not None:
            failure = self._fail(task, outcome, outcome.failure)
        else:
            self._end(outcome)
        for other in others:
            other.walk.ordered.discard(other.artifact)
            if failure is not None and self._same_address(task, other):
                self._stand(other, replace(failure, recording=other.walk.recording.id))
            else:
                self._advance(other.walk)

    def _end(self, outcome: Outcome) -> None:
        """The order could not be tried, and so will no other."""
        if outcome.stop:
            self._fatal = outcome.message
        self.result.stopped = self.result.stopped or outcome.message
        if not self._stop.draining:
            self._stop.ask()

    def _succeed(self, task: Task, outcome: Outcome) -> None:
        artifact, walk, node = outcome.artifact, task.walk, task.node
        assert artifact is not None
        if self._remote(task):
            self._gate.succeeded()
        history = walk.histories.setdefault(node.name, History())
        history.tries += 1
        inputs = self._planner.inputs(node, walk.recording, walk.digests)
        self._ledger.done(artifact, node.identity, inputs, outcome.facts)
        self._ledger.reached(walk.recording.id, node.name, artifact.key, artifact.digest)
        self._ledger.log(self._attempt(task, outcome, artifact.bytes), None)
        self._planner.published(artifact, walk.recording)
        self._tell(walk, node, Status.RUN)
        self._advance(walk)

    def _fail(self, task: Task, outcome: Outcome, kind: FailureClass) -> Failure | None:
        """Tries again where that can help; else the failure that stands."""
        walk, node, before = task.walk, task.node, task.step.failure
        if self._remote(task):
            self._gate.failed(kind, outcome.message, outcome.retry_after_seconds, time.monotonic())
        history = walk.histories.setdefault(
            node.name, History(deaths=before.deaths if before else 0)
        )
        verdict = judge(outcome, history, download=not node.needs)
        failure = Failure(
            walk.recording.id,
            node.name,
            task.artifact[1],
            self._planner.source(node, walk.recording),
            kind.value,
            verdict.message,
            verdict.permanent,
            history.tries + (before.attempts if before else 0),
            history.deaths,
        )
        self._ledger.log(self._attempt(task, outcome, 0), failure)
        stands = None
        if outcome.damaged:
            self._discard(walk, outcome.damaged)
        elif verdict.again_after_seconds is not None and not (
            self._stop.draining or self._dead(task)
        ):
            walk.ordered.add(task.artifact)
            self._queue.put_later(task, time.monotonic() + verdict.again_after_seconds)
        else:
            stands = failure
            if failure.permanent:
                self._planner.store.drop_partial(failure.key)
            self._stand(task, failure)
        if kind is FailureClass.DISK:
            self._disk_full(task, outcome)
        if self._gate.broken is not None and self.result.stopped is None:
            self.result.stopped = f"downloads ended, {self._gate.broken}"
        return stands

    def _stand(self, task: Task, failure: Failure) -> None:
        """A recording is not brought further in this build."""
        self._ledger.failed(failure)
        task.walk.steps[task.node.name] = Step(Status.FAILED, failure.key, failure=failure)
        self._note_failure(task.walk, task.node, failure)

    def _same_address(self, task: Task, other: Task) -> bool:
        """Whether two recordings are cut from one remote video, which is asked for once."""
        first, second = (self._locators[t.walk.recording.id] for t in (task, other))
        return self._remote(task) and first == second

    def _discard(self, walk: Walk, stages: Sequence[str]) -> None:
        """Removes artifacts that are not what was published; they are made again."""
        for name in stages:
            key = walk.steps[name].key
            if key is not None and self._planner.discard(name, key):
                self._observer.message(
                    f"{walk.recording.id}: its {name} was damaged on disk, it is made again"
                )
            walk.told.pop(name, None)
        self._advance(walk)

    def _disk_full(self, task: Task, outcome: Outcome) -> None:
        """Downloads stop while some space is left; a full disk ends everything."""
        if not task.node.needs:
            self._gate.shut(f"disk: {outcome.message}")
        else:
            self._end(Outcome(message=f"disk: {outcome.message}"))

    # -- telling -----------------------------------------------------------------------------

    def _tell(self, walk: Walk, node: Node, status: Status) -> None:
        if node.name not in walk.told:
            walk.told[node.name] = status
            self._observer.finished(node.name, status)

    def _note_failure(self, walk: Walk, node: Node, failure: Failure) -> None:
        walk.told[node.name] = Status.FAILED
        self.result.failures.append(failure)
        self._observer.finished(node.name, Status.FAILED, failure.failure)

    def _attempt(self, task: Task, outcome: Outcome, size: int) -> Attempt:
        return Attempt(
            task.walk.recording.id,
            task.node.name,
            task.artifact[1],
            task.walk.histories[task.node.name].tries,
            outcome.seconds,
            outcome.ended,
            size,
            outcome.worker,
        )
