"""`avpipe verify`, `repair`, `gc` and `compact`: keeping a dataset's folder in order."""

from typing import Annotated

import typer

from avpipe.cli import output, place
from avpipe.cli.options import Dataset, make_request


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example: avpipe verify demo")(verify)
    app.command(epilog="Example: avpipe repair demo")(repair)
    app.command(epilog="Example: avpipe gc solos --dry-run")(gc)
    app.command(epilog="Example: avpipe compact solos")(compact)


def verify(
    dataset: place.Place,
    out: place.Out = None,
    absent: Annotated[
        str | None, typer.Option(metavar="ID", help="Prove that nothing of a recording is there.")
    ] = None,
    json: output.Json = False,
) -> int:
    """Recomputes every digest and invariant; exit 1 if something is wrong, with what and where."""
    from avpipe.lists.removal import MAY_HOLD
    from avpipe.maintenance import Verified
    from avpipe.maintenance import verify as run

    folder = place.find(dataset, out)
    if absent is None:
        result = run(folder)
    else:
        from avpipe.lists.removal import absent as search

        checked, found = search(folder, absent)
        result = Verified(checked, tuple(found))
    if json:
        output.document(result.as_json())
    elif result.problems:
        rows = [[p["path"], p["problem"]] for p in result.problems]
        output.table(f"{output.count(len(rows), 'problem')} in {folder}", ["file", "problem"], rows)
        if absent is None:
            output.text("`avpipe repair` removes what is damaged; the next build makes it again.")
        else:
            if any(MAY_HOLD in problem["problem"] for problem in result.problems):
                output.text(
                    "`avpipe repair` removes what cannot be read, the next build what was left by"
                    " an interrupted one: then look again."
                )
            if any(MAY_HOLD not in problem["problem"] for problem in result.problems):
                output.text(f"`avpipe remove {absent}` takes it out.")
    elif absent is not None:
        output.text(f"{folder}: nothing of {absent} in {result.checked:,} artifacts and files")
    else:
        output.text(f"{folder}: {result.checked:,} artifacts and files checked, all good")
    return int(bool(result.problems))


def repair(dataset: place.Place, out: place.Out = None, json: output.Json = False) -> int:
    """Removes what is damaged, and makes the ledger agree with what is there.

    The next build makes again what was removed.
    """
    from avpipe.maintenance import repair as run

    result = run(place.find(dataset, out))
    if json:
        output.document({"artifacts": result.artifacts, "removed": list(result.removed)})
    else:
        output.text(f"{output.count(result.artifacts, 'artifact')} in the ledger")
        for path in result.removed:
            output.text(f"removed {path}")
    return 0


def gc(
    dataset: place.Place,
    out: place.Out = None,
    downloads: Annotated[
        bool,
        typer.Option("--downloads", help="Also unused downloads, and parts of any."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: output.Json = False,
) -> int:
    """Removes outputs that no recording refers to any more, such as those of an older detector."""
    from avpipe.maintenance import collect

    folder = place.find(dataset, out)
    result = collect(folder, downloads=downloads, dry_run=dry_run)
    if dry_run:
        place.warn_if_in_use(folder)
    if json:
        output.document({"artifacts": list(result.artifacts), "bytes": result.bytes})
    else:
        would = "would free" if dry_run else "freed"
        artifacts = output.count(len(result.artifacts), "artifact")
        output.text(f"{would} {result.bytes / 1e6:,.1f} MB in {artifacts}")
    return 0


def compact(dataset: Dataset, out: place.Out = None, json: output.Json = False) -> int:
    """Lays the shards out as a build from scratch does; runs nothing.

    Builds put new recordings into new shards, so that others stay as they are; after many builds
    there may be many small ones.
    """
    from avpipe.build import compact as run

    request = make_request(dataset, out, skip_bad_rows=True)
    report = run(request)
    if json:
        output.document(report.as_json())
    else:
        count = report.stages["pack"]
        output.text(
            f"{output.count(count.run, 'shard')} written, {count.reuse:,} left as they were"
        )
    return int(bool(report.stopped))
