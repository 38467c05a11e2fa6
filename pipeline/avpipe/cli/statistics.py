"""`avpipe stats` and `avpipe cite`: a dataset's figures beside the published ones, and credit."""

from pathlib import Path

import typer

from avpipe.cli import output, place
from avpipe.cli.options import read_rest
from avpipe.errors import UsageError


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example: avpipe stats demo")(stats)
    app.command(epilog="Example: avpipe cite solos > solos.bib")(cite)


def stats(dataset: place.Built, out: place.Out = None, json: output.Json = False) -> int:
    """Counts what was built by category, beside the published table where there is one."""
    from avpipe.engine.publication import as_published
    from avpipe.fidelity import agreement
    from avpipe.manifest.reference import read_reference
    from avpipe.shards.catalogue import NAME
    from avpipe.stats import read_built, statistics

    manifest, folder = place.built(dataset, out)
    if (folder / NAME).exists():
        manifest = as_published(manifest, folder)
    built, failures = read_built(folder, manifest)
    found = statistics(manifest, built, failures)
    agreed = None
    if manifest.reference is not None:
        segments = {name: one.segments for name, one in built.items()}
        agreed = agreement(read_reference(manifest), segments, manifest.fps)
    if json:
        output.document(found.as_json() | {"agreement": agreed and agreed.as_json()})
        return 0
    for title, columns, rows in found.tables():
        output.table(title, columns, rows)
    if agreed is not None and agreed.mean_iou is not None:
        output.text(
            f"segments beside the released ones, {len(agreed.recordings):,} recordings:"
            f" mean IoU {agreed.mean_iou:.3f}, {agreed.segments:,} of {agreed.hours:.2f} h beside"
            f" {agreed.released_segments:,} of {agreed.released_hours:.2f} h"
        )
    if found.missing:
        output.text("not built: " + ", ".join(f"{n:,} {why}" for why, n in found.missing.items()))
    for recording, why in found.no_players.items():
        output.text(f"{recording} has no views of its players: {why}")
    for recording, why in found.no_notes.items():
        output.text(f"{recording} has no notes: {why}")
    for recording, why in found.shortened.items():
        output.text(f"{recording} is shorter than its row says: {why}; correct the row")
    return 0


def cite(dataset: place.Built, out: place.Out = None, json: output.Json = False) -> int:
    """Prints BibTeX for a dataset and credit for what was used of it, once it is built."""
    from avpipe.cite import cite as citations

    folder: Path | None
    try:
        manifest, folder = place.built(dataset, out)
    except UsageError:
        if out is not None or Path(dataset).is_dir():
            raise
        manifest, folder = read_rest(dataset), None
    found = citations(manifest, folder)
    if json:
        output.document(found.as_json())
    else:
        output.text(found.as_text())
    return 0
