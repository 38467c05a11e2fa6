"""A build: plan, run, pack, report. And the plan alone.

`--ids` and `--limit` restrict what runs, never what is published: recordings outside them stay in
the shards with what they were last completed with.
"""

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from avpipe.engine.observer import Observer, Unwatched
from avpipe.engine.plan import StageCount, Status
from avpipe.engine.profile import Profile, read_profile
from avpipe.engine.publication import Publication, as_published
from avpipe.engine.recovery import is_lost, rebuild
from avpipe.engine.request import RELEASED, SERVED, Request, kept
from avpipe.engine.run import Run
from avpipe.engine.stop import DRAIN_SECONDS, Stop
from avpipe.engine.walk import Result
from avpipe.errors import DatasetError, Interrupted, is_full
from avpipe.estimate import Estimate
from avpipe.estimate import estimate as from_rates
from avpipe.ledger import FILE, Failure, Ledger, Rate
from avpipe.lists import removed
from avpipe.lists.locking import Comparison, compare
from avpipe.lock import exclusive
from avpipe.manifest import Manifest
from avpipe.server import serve

__all__ = ["Report", "Request", "build", "compact", "estimate", "kept", "plan"]


@dataclass
class Report:
    """What a build did, or what a plan would do."""

    dataset: str
    out: Path
    recordings: int
    """Recordings selected."""
    stages: Mapping[str, StageCount]
    segments: int = 0
    """Segments published."""
    hours: float = 0.0
    failures: Sequence[Failure] = ()
    empty: Mapping[str, int] = field(default_factory=dict)
    """Why recordings have no segment -> how many (a success)."""
    left: int = 0
    """Recordings neither through nor failed."""
    stopped: str | None = None
    """Why the build ended early."""
    packed: bool = False
    lock: Comparison | None = None
    """What of the lock has died or changed; the dead are no failures."""

    @property
    def transient(self) -> int:
        """Recordings for which another build may help; at least 1 if it was ended early."""
        return self.left + sum(not f.permanent for f in self.failures)

    def as_json(self) -> dict[str, Any]:
        """The document of `--json`."""
        return {
            "dataset": self.dataset,
            "out": str(self.out),
            "recordings": self.recordings,
            "stages": {name: count.as_json() for name, count in self.stages.items()},
            "segments": self.segments,
            "hours": round(self.hours, 6),
            "without_segments": dict(self.empty),
            "left": self.left,
            "stopped": self.stopped,
            "failures": [failure.as_json() for failure in self.failures],
            **({} if self.lock is None else {"lock": self.lock.as_json()}),
        }


def plan(request: Request) -> Report:
    """What a build would do now; changes nothing."""
    request = request.restricted()
    path = request.out / FILE
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(path)) if path.exists() else None
        planner = request.planner(ledger)
        counts = {node.name: StageCount() for node in planner.nodes}
        failures, recordings = [], request.selected()
        made: set[tuple[str, str | None]] = set()
        for recording in recordings:
            for name, step in planner.steps(recording).items():
                if step.status is Status.RUN and (name, step.key) in made:
                    counts[name].add(Status.REUSE)  # it is made once for all who share it
                    continue
                if step.status is Status.RUN:
                    made.add((name, step.key))
                counts[name].add(step.status, "frozen" if step.stale else step.reason)
                if step.status is Status.FAILED and step.failure is not None:
                    failures.append(step.failure)
    return Report(request.manifest.name, request.out, len(recordings), counts, failures=failures)


def estimate(request: Request, report: Report, profile: Profile, cpu_workers: int = 0) -> Estimate:
    """How long what a plan reports would take, and how much disk; see `avpipe.estimate`."""
    path = request.out / FILE
    rates: Mapping[str, Rate] = {}
    if path.exists():
        with Ledger(path) as ledger:
            rates = ledger.rates()
    locators = request.locators
    wanted = [locators[recording.id] for recording in request.selected()]
    return from_rates(request.nodes(), report.stages, rates, wanted, profile, cpu_workers)


def build(
    request: Request, profile: Profile, observer: Observer, *, cpu_workers: int = 0
) -> Report:
    """Runs what must run, packs what is complete and says what became of everything.

    Args:
        request: what to build.
        profile: who does the work.
        observer: who watches.
        cpu_workers: CPU workers; 0: one per core.

    Raises:
        Locked: another build holds the folder.
        UsageError: the request cannot be built.
        AvpipeError: nothing of it can work (a program or a model is missing).
    """
    request = request.restricted()
    selected = request.selected()
    request.planner(None)  # what cannot be built is told before anything starts
    with exclusive(request.out), _ledger(request, observer) as ledger:
        request.store.sweep()
        with _interruptible(observer) as stop, _server(request.manifest) as server:
            run = Run(
                request.planner(ledger),
                ledger,
                request.served(server),
                replace(profile, limits=profile.limits.within(request.limits)),
                cpu_workers=cpu_workers,
                observer=observer,
                stop=stop,
                offline=request.offline,
            )
            result = run(selected)
            report = Report(
                request.manifest.name,
                request.out,
                len(selected),
                result.stages,
                failures=sorted(result.failures, key=lambda f: f.recording),
                left=result.left,
                stopped=result.stopped,
            )
            if request.lock is not None:
                report.lock = compare(request.lock, ledger, list(report.failures))
                report.failures = [f for f in report.failures if f not in report.lock.died]
            if request.until is None and not stop.draining:
                _publish(request, ledger, result, report, stop)
    return report


def _ledger(request: Request, observer: Observer) -> Ledger:
    """The ledger to write. One that was lost is made anew, or a build of some of the recordings
    would publish no others."""
    if is_lost(request.out, request.store):
        observer.message(f"{FILE} was lost: it is made anew from the artifacts")
        rebuild(request.out, request.store)
    return Ledger(request.out / FILE, write=True)


def compact(request: Request) -> Report:
    """Lays the shards out as a build from scratch does, of what is published, with the fields and
    on the time grid that it has; runs nothing.

    Raises:
        Locked: another build holds the folder.
        DatasetError: nothing has been built there, or it is damaged.
    """
    if not (request.out / FILE).exists():
        raise DatasetError(f"nothing has been built in {request.out}: run avpipe build first")
    manifest = as_published(request.manifest, request.out)
    as_it_is = replace(request, manifest=manifest, ids=(), compact=True)
    return build(as_it_is, read_profile(None), Unwatched())


def _publish(request: Request, ledger: Ledger, result: Result, report: Report, stop: Stop) -> None:
    """Packs every complete recording; fills the report."""
    _refuse_reuploads(request, ledger, result, report)
    everyone = {recording.id for recording in request.manifest.recordings}
    publication = Publication(
        request.out,
        request.dataset,
        tuple(request.fields or request.manifest.fields),
        result.complete,
        frozenset(everyone - {recording.id for recording in request.selected()}),
    )
    try:
        published = publication.publish(
            ledger, compact=request.compact, stopped=lambda: stop.draining
        )
    except Interrupted as error:
        report.stopped = str(error)
        return
    except DatasetError as error:
        if not is_full(error.__cause__):
            raise
        report.stopped = str(error)
        return
    pack = StageCount(run=published.written, reuse=published.reused)
    report.stages = {**report.stages, "pack": pack}
    report.segments, report.empty = published.segments, published.empty
    report.hours = published.frames / request.dataset.fps / 3600
    report.packed = True
    _release(request, ledger, result)


def _release(request: Request, ledger: Ledger, result: Result) -> None:
    """Deletes the media that are not to be kept, but for those that another recording, which
    shares them, is not through with."""
    stages = RELEASED[request.keep or request.manifest.keep]
    if not stages:
        return
    through = result.complete.keys() | ledger.complete().keys()
    needed = {
        (stage, key)
        for recording, steps in ledger.current().items()
        if recording not in through
        for stage, (key, _) in steps.items()
    }
    for stage in stages:
        for complete in result.complete.values():
            key = complete.keys.get(stage)
            if key is None or (stage, key) in needed or request.store.is_released(stage, key):
                continue
            request.store.release(stage, key)


def _refuse_reuploads(request: Request, ledger: Ledger, result: Result, report: Report) -> None:
    """Takes out what sounds like a recording that was removed on request, where that is new."""
    gone = removed.read(request.out).prints
    if not gone:
        return
    from avpipe.lists.sound import reuploads

    known = {r: summary["keys"].get("audio") for r, summary in ledger.complete().items()}
    keys = {r: c.keys["audio"] for r, c in result.complete.items() if "audio" in c.keys}
    new = {r: key for r, key in keys.items() if known.get(r) != key}
    failures = list(report.failures)
    for recording, original in reuploads(request.store, new, gone).items():
        del result.complete[recording]
        text = f"it sounds like {original}, which was removed on request"
        failure = Failure(recording, "audio", new[recording], None, "removed", text, True, 1)
        failures.append(failure)
    report.failures = failures


@contextmanager
def _server(manifest: Manifest) -> Iterator[str]:
    if manifest.serve is None:
        yield SERVED
    else:
        with serve(manifest.serve) as address:
            yield address


@contextmanager
def _interruptible(observer: Observer) -> Iterator[Stop]:
    """Ctrl-C and SIGTERM drain; a second one does not wait for what runs."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(signum: int, _frame: object) -> None:
        name = signal.Signals(signum).name
        stop.ask()
        observer.message(
            f"{name}: ending at once"
            if stop.now
            else f"{name}: waiting for what runs, up to {DRAIN_SECONDS:g} s"
        )

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
