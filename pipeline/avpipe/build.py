"""A build: plan, run, pack, report. And the plan alone.

`--ids` and `--limit` restrict what runs, never what is published: recordings outside them stay in
the shards with what they were last completed with.
"""

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from avpipe.cluster import Profile, read_profile
from avpipe.dag import LINE, Node, Settings, limits, line, with_grid
from avpipe.errors import DatasetError, Interrupted, UsageError, is_full
from avpipe.estimate import Estimate
from avpipe.estimate import estimate as from_rates
from avpipe.ledger import FILE, Failure, Ledger, Rate
from avpipe.limits import TaskLimits
from avpipe.lists import removed
from avpipe.lists.locking import Comparison, Lock, compare
from avpipe.lock import exclusive
from avpipe.manifest import Manifest, locate
from avpipe.manifest.model import Keep
from avpipe.plan import Planner, StageCount, Status
from avpipe.publication import Publication
from avpipe.run import DRAIN_SECONDS, Observer, Run, Stop, Unwatched
from avpipe.server import serve
from avpipe.store import Store
from avpipe.types import Recording
from avpipe.walk import Result

_SERVED = "http://served"
"""Stands for the loopback server in what is remembered: its port changes with every build."""


RELEASED: Mapping[Keep, tuple[str, ...]] = {
    "source": (),
    "video": ("download",),
    "none": ("download", "video"),
}
"""What stays on disk after packing -> stages whose data go. Other outputs stay."""


def kept(name: str) -> Keep:
    """What `--keep` asks for.

    Raises:
        UsageError: it is nothing that can stay.
    """
    for keep in RELEASED:
        if keep == name:
            return keep
    raise UsageError(f"--keep {name}: must be one of {', '.join(RELEASED)}")


@dataclass(frozen=True)
class Request:
    """What to build, and how."""

    manifest: Manifest
    out: Path
    """Folder of the dataset."""
    settings: Settings = field(default_factory=dict)
    """stage -> parameters over the manifest's."""
    fields: tuple[str, ...] | None = None
    """Fields to make; None: the manifest's."""
    source: str | None = None
    """URL template or folder over the manifest's source."""
    ids: tuple[str, ...] | None = None
    limit: int | None = None
    until: str | None = None
    """Last stage to run; nothing is packed."""
    offline: bool = False
    retry_failed: bool = False
    compact: bool = False
    """Lay the shards out as a build from scratch does."""
    keep: Keep | None = None
    """What stays on disk after packing; None: what the manifest says."""
    lock: Lock | None = None
    """Build exactly what was available when it was made."""
    freeze: tuple[str, ...] = ()
    """Stages whose outputs are kept although they are stale; the shards say so."""

    @property
    def dataset(self) -> Manifest:
        """The manifest on the time grid that the settings ask for."""
        return with_grid(self.manifest, self.settings)

    @property
    def limits(self) -> TaskLimits:
        """What one task may take."""
        return limits(self.manifest, self.settings)[1]

    @property
    def store(self) -> Store:
        """The artifacts."""
        return Store(self.out / "work")

    def nodes(self) -> tuple[Node, ...]:
        """The line, up to `until`.

        Raises:
            UsageError: unknown fields, stages or parameters.
        """
        nodes = line(self.manifest, wanted=self.fields, settings=self.settings)
        if self.until is None:
            return nodes
        names = [node.name for node in nodes]
        if self.until not in names:
            raise UsageError(f"--until {self.until}: the line has {', '.join(names)}")
        return nodes[: names.index(self.until) + 1]

    def selected(self) -> tuple[Recording, ...]:
        """The recordings that `ids` and `limit` leave, in manifest order.

        Raises:
            UsageError: an id that the manifest does not have.
        """
        recordings = self.manifest.recordings
        if self.ids is not None:
            known = {r.id for r in recordings}
            for name in self.ids:
                if name not in known:
                    raise UsageError(f"--ids: {self.manifest.name} has no recording {name!r}")
            recordings = tuple(r for r in recordings if r.id in set(self.ids))
        return recordings[: self.limit]

    @cached_property
    def locators(self) -> Mapping[str, str]:
        """recording id -> where it is downloaded from.

        Raises:
            UsageError: there is no source, or it is not one.
        """
        return {
            r.id: locate(self.manifest, r, self.source, server=_SERVED)
            for r in self.manifest.recordings
        }

    def planner(self, ledger: Ledger | None) -> Planner:
        """What knows the steps."""
        return Planner(
            self.manifest.name,
            self.nodes(),
            self.store,
            ledger,
            self.locators,
            retry_failed=self.retry_failed,
            freeze=self._frozen(),
        )

    def _frozen(self) -> tuple[str, ...]:
        for stage in self.freeze:
            if stage not in LINE:
                raise UsageError(f"--freeze {stage}: the stages are {', '.join(LINE)}")
        return self.freeze


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
    request = _restricted(request)
    path = request.out / FILE
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(path)) if path.exists() else None
        planner = request.planner(ledger)
        counts = {node.name: StageCount() for node in planner.nodes}
        failures, recordings = [], request.selected()
        for recording in recordings:
            for name, step in planner.steps(recording).items():
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
    request = _restricted(request)
    selected = request.selected()
    request.nodes()
    _ = request.locators  # a wrong source is told before anything starts
    with exclusive(request.out), Ledger(request.out / FILE, write=True) as ledger:
        request.store.sweep()
        with _interruptible(observer) as stop, _server(request.manifest) as server:
            run = Run(
                request.planner(ledger),
                ledger,
                _served(request, server),
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


def compact(request: Request) -> Report:
    """Lays the shards out as a build from scratch does, of what is published; runs nothing.

    Raises:
        Locked: a build holds the folder.
        DatasetError: nothing has been built there.
    """
    if not (request.out / FILE).exists():
        raise DatasetError(f"nothing has been built in {request.out}: run avpipe build first")
    return build(replace(request, ids=(), compact=True), read_profile(None), Unwatched())


def _restricted(request: Request) -> Request:
    """The request for what its lock has, without recordings that were removed from the dataset."""
    if request.lock is not None:
        request = replace(request, manifest=request.lock.restrict(request.manifest))
    found = removed.read(request.out)
    for name in found.ids.intersection(request.ids or ()):
        raise UsageError(f"--ids: {name} was removed from {request.out} on request")
    if not found.rows:
        return request
    download = {**request.settings.get("download", {}), "refused": found.media}
    return replace(
        request,
        manifest=found.without(request.manifest),
        settings={**request.settings, "download": download},
    )


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
    for stage in RELEASED[request.keep or request.manifest.keep]:
        for complete in result.complete.values():
            key = complete.keys.get(stage)
            if key is not None and not request.store.is_released(stage, key):
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


def _served(request: Request, server: str) -> Mapping[str, str]:
    """Where recordings are downloaded from while the loopback server runs."""
    if server == _SERVED:
        return request.locators
    return {
        name: server + locator.removeprefix(_SERVED) if locator.startswith(_SERVED) else locator
        for name, locator in request.locators.items()
    }


@contextmanager
def _server(manifest: Manifest) -> Iterator[str]:
    if manifest.serve is None:
        yield _SERVED
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
