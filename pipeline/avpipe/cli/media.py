"""`avpipe inspect`: a shard in words, a recording as a picture."""

from pathlib import Path
from typing import Annotated

import typer

from avpipe.cli import output, place
from avpipe.errors import UsageError


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example: avpipe inspect demo --id violin-b --png violin-b.png")(inspect)


def inspect(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET|SHARD", help="A dataset, its folder, or a .h5 file.")
    ],
    out: place.Out = None,
    recording: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Recording to draw.")
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Where to draw it [default: <id>.png].")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Moment to show [default: where the hands are seen best].")
    ] = None,
    json: output.Json = False,
) -> int:
    """Describes shards with shapes and units; with --id draws a recording.

    The picture shows a frame with the skeleton, the waveform, and where hands are visible, the
    instrument sounds and the segments lie.
    """
    from avpipe.report.shard import as_text, describe

    if recording is None and not (png is None and seconds is None):
        raise UsageError("--png and --seconds are of a picture: name its recording with --id")
    shard = Path(dataset)
    if shard.suffix == ".h5":
        if not shard.is_file():
            raise UsageError(f"there is no file {shard}: shards are in DATASET/shards")
        shards = [shard]
    else:
        folder = place.find(dataset, out)
        shards = sorted((folder / "shards").glob("*.h5"))
    if recording is not None:
        if shard.suffix == ".h5":
            raise UsageError("--id needs a dataset, not one of its shards")
        return _draw(folder, recording, png or Path(f"{recording}.png"), seconds, json)
    facts = [describe(path) for path in shards]
    if json:
        output.document(facts)
    else:
        output.text(
            "\n\n".join(map(as_text, facts)) or f"{folder} holds no shards: nothing is packed"
        )
    return 0


def _draw(folder: Path, recording: str, png: Path, seconds: float | None, json: bool) -> int:
    from avpipe.dataset import open_dataset
    from avpipe.report.clip import draw_recording

    draw_recording(open_dataset(folder), recording, png, seconds)
    if json:
        output.document({"recording": recording, "png": str(png.absolute())})
    else:
        output.text(f"drew {recording} to {png.absolute()}")
    return 0
