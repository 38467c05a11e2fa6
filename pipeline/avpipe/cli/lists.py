"""`avpipe lock` and `remove`: which recordings a dataset is, and which must go."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avpipe.cli import output, place
from avpipe.cli.options import Dataset, read_rest
from avpipe.errors import UsageError

if TYPE_CHECKING:
    from avpipe.lists.removed import Removal


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example: avpipe lock solos && avpipe build solos --lock solos.lock.json")(
        lock
    )
    app.command(epilog='Example: avpipe remove dQw4w9WgXcQ --ticket "mail of 3 May"')(remove)


def lock(
    dataset: Dataset,
    out: place.Out = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="The lock [default: DATASET.lock.json].")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|TEMPLATE", help="With --check: mirror, over the manifest's source."
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only ask what is still there; fetch nothing.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the lock that is there.")
    ] = False,
    json: output.Json = False,
) -> int:
    """Writes down what was available, with format, digest and date, and why the rest was not.

    `avpipe build DATASET --lock FILE` makes exactly that set again. With --check each recording
    (of the lock, if there is one) is asked for at a polite pace; the dead are named, exit 0.
    """
    from avpipe.lists import locking

    manifest = read_rest(dataset)
    path = file or Path(f"{manifest.name}.lock.json")
    if check:
        wanted = locking.read(path).restrict(manifest) if path.exists() else manifest
        found = dict(locking.check(wanted, source))
        dead = {name: error for name, error in found.items() if error is not None}
        rows = [[name, error.failure.value, str(error)] for name, error in dead.items()]
        if json:
            keys = ("id", "class", "message")
            rows_as_json = [dict(zip(keys, row, strict=True)) for row in rows]
            output.document(
                {"asked": len(found), "there": len(found) - len(dead), "not": rows_as_json}
            )
        elif dead:
            output.table(
                f"{len(rows):,} of {len(found):,} are not there", ["id", "class", "why"], rows
            )
        else:
            output.text(f"all {len(found):,} are there")
        return 0
    if path.exists() and not overwrite:
        raise UsageError(f"{path} is there already: choose another --file, or --overwrite")
    made = locking.make(manifest, (out or Path("data") / manifest.name).absolute())
    made.write(path)
    counts = Counter(why.reason for why in made.missing.values())
    if json:
        output.document({"file": str(path), "available": len(made.available), "missing": counts})
    else:
        missing = "".join(f", {n:,} {reason}" for reason, n in sorted(counts.items()))
        output.text(f"{path}: {len(made.available):,} available{missing}")
    return 0


def remove(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Recordings, or videos.")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(metavar="ID", help="All recordings of a channel: id, name or URL.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="DATASET", help="Its folder or name [default: all in data]."
        ),
    ] = None,
    out: place.Out = None,
    ticket: Annotated[
        str, typer.Option(metavar="TEXT", help="Who asked and why: kept in removed.jsonl.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: output.Json = False,
) -> int:
    """Deletes all there is of recordings, and keeps them from ever coming back.

    Shards and index are rewritten without them. Exports and trainings they went into are named:
    these are not touched. `avpipe verify --absent ID` proves that nothing is left.
    """
    from avpipe.lists.removal import of_channel
    from avpipe.lists.removal import remove as run

    if bool(ids) == bool(channel):
        raise UsageError("name recordings, or a channel with --channel")
    removed: dict[str, list[Removal]] = {}
    folders = {
        folder: of_channel(folder, channel) if channel else tuple(ids or ())
        for folder in _folders(dataset, out)
    }
    if not any(folders.values()):
        where = " nor ".join(map(str, folders))
        raise UsageError(f"no recording of the channel {channel!r} in {where}")
    for folder, names in folders.items():
        if names:
            removed[str(folder)] = run(folder, names, ticket=ticket, dry_run=dry_run)
            if dry_run:
                place.warn_if_in_use(folder)
    if json:
        gone = {name: [asdict(row) for row in rows] for name, rows in removed.items()}
        output.document({"dry_run": dry_run, "datasets": gone})
    else:
        for name, rows in removed.items():
            _print(name, rows, dry_run)
    return 0


def _folders(dataset: str | None, out: Path | None) -> list[Path]:
    """The built datasets that are meant."""
    if dataset is not None or out is not None:
        return [place.find(dataset or "", out)]
    candidates = sorted(path.parent for path in Path("data").glob("*/ledger.sqlite"))
    return [path.absolute() for path in candidates] or [place.find("data")]


def _print(folder: str, found: list["Removal"], dry_run: bool) -> None:
    rows = [[r.id, r.artifacts, r.bytes / 1e6, len(r.files)] for r in found]
    title = f"{'would go' if dry_run else 'gone'} from {folder}"
    output.table(title, ["recording", "artifacts", "MB", "files rewritten"], rows)
    if unknown := [r.id for r in found if not (r.artifacts or r.files)]:
        blocked = "would be blocked" if dry_run else "blocked"
        output.text(
            f"nothing of them was there, {blocked} from now on: {', '.join(unknown)}"
            " (whoever meant another id deletes its line in removed.jsonl)"
        )
    for kind in ("exports", "checkpoints"):
        for path in sorted({path for row in found for path in getattr(row, kind)}):
            output.text(f"{kind[:-1]} that holds what was learnt or copied from them: {path}")
