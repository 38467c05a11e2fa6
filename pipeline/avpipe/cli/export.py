"""`avpipe export`: a built dataset in the format of another tool."""

from pathlib import Path
from typing import Annotated

import typer

from avpipe.cli import output, place


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example: avpipe export solos --to webdataset solos-tars")(export)


def export(
    dataset: place.Place,
    to: Annotated[
        str, typer.Option("--to", metavar="FORMAT", help="webdataset, parquet or npy-solos.")
    ],
    target: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="Where to [default: <dataset>-<format>]."),
    ] = None,
    out: place.Out = None,
    json: output.Json = False,
) -> int:
    """Writes a dataset for other tools, clip by clip, with licences and citation.

    The dataset notes it, so that `avpipe remove` can name where a recording went.
    """
    from avpipe.dataset import open_dataset
    from avpipe.export import export as run

    built = open_dataset(place.find(dataset, out))
    made = run(built, to, target or Path(f"{built.name}-{to}"))
    facts = {"out": str(made.out), "clips": made.clips, "files": made.files, "bytes": made.bytes}
    if json:
        output.document(facts)
    else:
        size = f"{output.count(made.files, 'file')}, {made.bytes / 1e6:,.1f} MB"
        output.text(f"{made.out}: {output.count(made.clips, 'clip')} in {size}")
    return 0
