"""`avpipe build` and `avpipe plan`: options to a `Request`, a `Report` to a table."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avpipe.cli import output

if TYPE_CHECKING:
    from avpipe.build import Report, Request
    from avpipe.estimate import Estimate

Dataset = Annotated[
    str, typer.Argument(metavar="DATASET", help="A name (avpipe datasets) or a manifest's path.")
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder of the dataset [default: data/<dataset>].")
]
Source = Annotated[
    str | None,
    typer.Option(help="Mirror: a folder, or a URL template with {id} and {category}."),
]
Detector = Annotated[str | None, typer.Option(help="Keypoint detector, over the manifest's.")]
Ids = Annotated[str | None, typer.Option(metavar="ID,ID", help="Run only these recordings.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Run only the first N recordings.")]
Fields = Annotated[str | None, typer.Option(metavar="A,B", help="Make only these fields.")]
Until = Annotated[str | None, typer.Option(metavar="STAGE", help="Last stage to run; no shards.")]
Offline = Annotated[bool, typer.Option("--offline", help="Fetch nothing over a network.")]
Setting = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="STAGE.PARAM=VALUE", help="A parameter, over the manifest's."),
]
Retry = Annotated[
    bool, typer.Option("--retry-failed", help="Also try again what failed permanently.")
]
SkipBadRows = Annotated[
    bool,
    typer.Option("--skip-bad-rows", help="Leave out wrong rows of the list and name them."),
]
Lock = Annotated[
    Path | None,
    typer.Option("--lock", metavar="FILE", help="Exactly what was there when it was made."),
]
Licence = Annotated[
    str | None,
    typer.Option(
        "--require-licence", metavar="PATTERN", help='Fetch nothing of another licence: "CC*".'
    ),
]
Freeze = Annotated[
    str | None,
    typer.Option(metavar="STAGE,STAGE", help="Keep what these stages made, stale or not."),
]
Kept = Annotated[
    str | None,
    typer.Option("--keep", metavar="WHAT", help="Left on disk: source (all), video or none."),
]
MaxFailed = Annotated[
    str | None,
    typer.Option(metavar="N|P%", help="Exit 3 if more than this many recordings failed."),
]
Workers = Annotated[int, typer.Option(min=0, help="CPU workers [default: one per core].")]
Cluster = Annotated[
    str | None,
    typer.Option(metavar="FILE|ADDRESS", help="Worker profile, or tcp://... of a Dask scheduler."),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example: avpipe build demo --workers 2")(build)
    app.command(epilog="Example: avpipe plan solos --explain --set segment.max_gap=6")(plan)


def build(
    dataset: Dataset,
    out: Out = None,
    workers: Workers = 0,
    cluster: Cluster = None,
    detector: Detector = None,
    source: Source = None,
    ids: Ids = None,
    limit: Limit = None,
    fields: Fields = None,
    until: Until = None,
    offline: Offline = False,
    setting: Setting = None,
    retry_failed: Retry = False,
    freeze: Freeze = None,
    skip_bad_rows: SkipBadRows = False,
    lock: Lock = None,
    require_licence: Licence = None,
    keep: Kept = None,
    max_failed: MaxFailed = None,
    json: output.Json = False,
) -> int:
    """Builds a dataset: runs what is missing or out of date, and packs the shards.

    Stop it at any time (Ctrl-C); the same command goes on where it was.
    """
    from avpipe.build import build as run
    from avpipe.build import kept
    from avpipe.cli.progress import watch
    from avpipe.cluster import read_profile

    request = _request(
        dataset, out, detector, source, ids, limit, fields, until, offline, setting, retry_failed,
        freeze, skip_bad_rows, lock, require_licence,
    )  # fmt: skip
    if keep is not None:
        request = replace(request, keep=kept(keep))
    allowed = _allowed(max_failed, len(request.selected()))
    profile = read_profile(cluster)
    with watch() as observer:
        report = run(request, profile, observer, cpu_workers=workers)
    if json:
        output.document(report.as_json())
    else:
        _print_report(report, request)
    if allowed is not None and len(report.failures) > allowed:
        output.error(f"{len(report.failures)} recordings failed, --max-failed allows {allowed:g}")
        return 3
    return 1 if report.transient or report.stopped else 0


def plan(
    dataset: Dataset,
    out: Out = None,
    workers: Workers = 0,
    cluster: Cluster = None,
    detector: Detector = None,
    source: Source = None,
    ids: Ids = None,
    limit: Limit = None,
    fields: Fields = None,
    until: Until = None,
    offline: Offline = False,
    setting: Setting = None,
    retry_failed: Retry = False,
    freeze: Freeze = None,
    skip_bad_rows: SkipBadRows = False,
    lock: Lock = None,
    require_licence: Licence = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why each stage runs.")] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Say how long it would take, and how much disk.")
    ] = False,
    json: output.Json = False,
) -> int:
    """Says what a build would do now, and changes nothing.

    "may run" are recordings whose step depends on outputs that are not known yet.
    """
    from avpipe.build import estimate as make_estimate
    from avpipe.build import plan as make
    from avpipe.cluster import read_profile

    request = _request(
        dataset, out, detector, source, ids, limit, fields, until, offline, setting, retry_failed,
        freeze, skip_bad_rows, lock, require_licence,
    )  # fmt: skip
    report = make(request)
    profile = read_profile(cluster)
    expected = make_estimate(request, report, profile, workers) if estimate else None
    if json:
        more = {"estimate": expected.as_json()} if expected else {}
        output.document(report.as_json() | more)
        return 0
    columns = ["stage", "run", "may run", "up to date", "failed"]
    rows: list[list[Any]] = [
        [name, c.run, c.maybe, c.reuse, c.failed] for name, c in report.stages.items()
    ]
    if explain:
        columns.append("why")
        for row, count in zip(rows, report.stages.values(), strict=True):
            row.append("\n".join(f"{n:,} {why}" for why, n in sorted(count.reasons.items())))
    output.table(
        f"{report.dataset}: {report.recordings:,} recordings in {report.out}", columns, rows
    )
    if expected is not None:
        _print_estimate(expected)
    return 0


def _print_estimate(expected: "Estimate") -> None:
    rows: list[list[Any]] = [
        [name, s.pool, s.runs, s.seconds_each, s.hours, None if s.bytes is None else s.bytes / 1e9]
        for name, s in expected.stages.items()
    ]
    output.table("", ["stage", "pool", "runs", "s each", "hours", "GB"], rows)
    unknown = ", ".join(expected.unknown)
    output.text(
        f"At least {expected.hours:,.2f} h and {expected.bytes / 1e9:,.2f} GB"
        + (f"; not known yet: {unknown} (build a few with --limit first)" if unknown else "")
    )


def _request(
    dataset: str,
    out: Path | None,
    detector: str | None,
    source: str | None,
    ids: str | None,
    limit: int | None,
    fields: str | None,
    until: str | None,
    offline: bool,
    setting: list[str] | None,
    retry_failed: bool,
    freeze: str | None,
    skip_bad_rows: bool,
    lock: Path | None,
    require_licence: str | None,
) -> "Request":
    from avpipe.build import Request
    from avpipe.lists import locking
    from avpipe.manifest import read_manifest

    manifest = read_manifest(dataset, skip_bad_rows=skip_bad_rows)
    for problem in manifest.skipped:
        output.error(str(problem))
    settings = parse_settings(setting or [])
    if detector is not None:
        settings.setdefault("detect", {})["detector"] = detector
    if require_licence is not None:
        settings.setdefault("download", {})["require_licence"] = require_licence
    return Request(
        manifest,
        (out or Path("data") / manifest.name).absolute(),
        settings,
        _names(fields),
        source,
        _names(ids),
        limit,
        until,
        offline,
        retry_failed,
        lock=None if lock is None else locking.read(lock),
        freeze=_names(freeze) or (),
    )


def make_request(dataset: str, out: Path | None) -> "Request":
    """What a build without options is asked for."""
    from avpipe.build import Request
    from avpipe.manifest import read_manifest

    manifest = read_manifest(dataset)
    return Request(manifest, (out or Path("data") / manifest.name).absolute())


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(n.strip() for n in text.split(",") if n.strip())


def parse_settings(texts: list[str]) -> dict[str, dict[str, Any]]:
    """`stage.param=value` texts; the value is TOML, or plain text where it is not.

    Raises:
        UsageError: a text of another form.
    """
    import tomllib

    from avpipe.errors import UsageError

    settings: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        stage, dot, parameter = name.strip().partition(".")
        if not (equals and dot and parameter):
            raise UsageError(f"--set {text}: must be stage.param=value, as in segment.max_gap=6")
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = value.strip()
        table = settings.setdefault(stage, {})
        for key in parameter.split(".")[:-1]:
            table = table.setdefault(key, {})
        table[parameter.split(".")[-1]] = parsed
    return settings


def _allowed(max_failed: str | None, recordings: int) -> float | None:
    from avpipe.errors import UsageError

    if max_failed is None:
        return None
    number, percent, rest = max_failed.partition("%")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if value < 0 or rest:
        raise UsageError(f"--max-failed {max_failed}: must be a number or a percentage, as in 5%")
    return value * recordings / 100 if percent else value


def _print_report(report: "Report", request: "Request") -> None:
    rows = [
        [name, count.run, count.reuse, count.failed, count.maybe]
        for name, count in report.stages.items()
    ]
    title = f"{report.dataset}: {report.recordings:,} recordings in {report.out}"
    output.table(title, ["stage", "run", "up to date", "failed", "left"], rows)
    if report.failures:
        output.table(
            "Failures",
            ["recording", "stage", "class", "again?", "what"],
            [
                [f.recording, f.stage, f.failure, "no" if f.permanent else "yes", f.message]
                for f in report.failures[:40]
            ],
        )
        if len(report.failures) > 40:
            output.text(
                f"... and {len(report.failures) - 40:,} more: avpipe errors {report.dataset}"
            )
    if report.lock is not None:
        output.text(f"Of the lock {len(report.lock.died):,} have died since:")
        for failure in report.lock.died:
            output.text(f"  {failure.recording}: {failure.failure} ({failure.message})")
        for name in report.lock.changed:
            output.text(f"  {name}: its media file is another one now")
    if report.packed:
        without = "".join(f", {n:,} without a segment ({why})" for why, n in report.empty.items())
        output.text(f"{report.segments:,} segments, {report.hours:,.3f} h{without}")
    if report.stopped:
        output.text(f"Stopped: {report.stopped}")
    if report.transient:
        done = report.recordings - report.transient
        output.text(
            f"{report.transient:,} recordings are left ({done:,} settled). Nothing is lost:"
            " run the same command again to go on"
            + ("" if request.source else ", or give a mirror with --source.")
        )
