"""`avpipe build` and `avpipe plan`: options to a `Request`, a `Report` to a table."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avpipe.cli import output
from avpipe.cli.options import BuildOptions, spelled_out

if TYPE_CHECKING:
    from avpipe.build import Report
    from avpipe.estimate import Estimate


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example: avpipe build demo --workers 2")(build)
    app.command(epilog="Example: avpipe plan solos --explain --set segment.max_gap=6")(plan)


@spelled_out
def build(
    options: BuildOptions,
    keep: Annotated[
        str | None, typer.Option(metavar="WHAT", help="Left on disk: source (all), video or none.")
    ] = None,
    max_failed: Annotated[
        str | None,
        typer.Option(metavar="N|P%", help="Exit 3 if more than this many recordings failed."),
    ] = None,
    json: output.Json = False,
) -> int:
    """Builds a dataset: runs what is missing or out of date, and packs the shards.

    Stop it at any time (Ctrl-C); the same command goes on where it was.
    """
    from avpipe.build import build as run
    from avpipe.build import kept
    from avpipe.cli.progress import watch
    from avpipe.engine.profile import read_profile

    request = options.request()
    if keep is not None:
        request = replace(request, keep=kept(keep))
    allowed = _allowed(max_failed, len(request.selected()))
    profile = read_profile(options.cluster)
    with watch() as observer:
        report = run(request, profile, observer, cpu_workers=options.workers)
    if json:
        output.document(report.as_json())
    else:
        _print_report(report)
    if allowed is not None and len(report.failures) > allowed:
        output.error(f"{len(report.failures)} recordings failed, --max-failed allows {allowed:g}")
        return 3
    return 1 if report.transient or report.stopped else 0


@spelled_out
def plan(
    options: BuildOptions,
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
    from avpipe.engine.profile import read_profile

    request = options.request()
    report = make(request)
    profile = read_profile(options.cluster)
    expected = make_estimate(request, report, profile, options.workers) if estimate else None
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
    output.table(_title(report), columns, rows)
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


def _title(report: "Report") -> str:
    return f"{report.dataset}: {output.count(report.recordings, 'recording')} in {report.out}"


def _print_report(report: "Report") -> None:
    rows = [
        [name, count.run, count.reuse, count.failed, count.maybe]
        for name, count in report.stages.items()
    ]
    output.table(_title(report), ["stage", "run", "up to date", "failed", "left"], rows)
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
        segments = output.count(report.segments, "segment")
        output.text(f"{segments}, {report.hours:,.3f} h{without}")
    if report.stopped:
        output.text(f"Stopped: {report.stopped}")
    if report.transient:
        done = report.recordings - report.transient
        output.text(
            f"Left: {output.count(report.transient, 'recording')} ({done:,} settled). Nothing is"
            " lost: run the same command again to go on."
        )
