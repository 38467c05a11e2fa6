"""`avpipe detect`, `compare` and `report`: what a person looks at."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avpipe.cli import output, place
from avpipe.errors import UsageError

if TYPE_CHECKING:
    from avpipe.comparison import Detection, Pair


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example: avpipe detect clip.mp4 --out looks --format json")(detect)
    app.command(epilog="Example: avpipe compare demo mediapipe mediapipe-solutions")(compare)
    app.command(epilog="Example: avpipe report demo --out-file demo.html")(report)


def detect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video.")],
    detector: Annotated[
        str | None, typer.Option(metavar="NAME", help="Keypoint detector [default: mediapipe].")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for what is written.")] = Path(),
    format: Annotated[str, typer.Option(help="Of the keypoints: h5, json or csv.")] = "h5",
    overlay: Annotated[
        bool, typer.Option("--overlay/--no-overlay", help="Draw the skeleton over the video.")
    ] = True,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    fps: Annotated[float, typer.Option(help="Frames per second of the keypoints.")] = 25.0,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="A parameter of the detector."),
    ] = None,
    json: output.Json = False,
) -> int:
    """Finds the keypoints of one video, and draws them over it.

    Writes <name>.<field>.<format> for every field of the detector (skeleton, face_landmarks) and
    <name>.overlay.mp4. h5 holds xy (T, K, 2) and confidence (T, K) like a shard; json a list of
    frames with joints by name; csv a row a frame with <joint>_x, <joint>_y, <joint>_confidence.
    """
    from avpipe.cli.options import parse_settings
    from avpipe.detection import detect_file

    # What builds are told to set is understood here, too: errors and documents name it so.
    settings = [text.removeprefix("detect.options.") for text in setting or []]
    for text in settings:
        if not text.partition("=")[1] or text.startswith("="):
            raise UsageError(f"--set {text}: must be option=value, as in faces=true")
    options = parse_settings([f"detect.{text}" for text in settings]).get("detect", {})
    found = detect_file(
        file,
        out,
        detector=detector,
        options=options,
        device=device,
        fps=fps,
        format=format,
        overlay=overlay,
    )
    files: dict[str, Any] = {name: str(path) for name, path in found.keypoints.items()}
    if found.overlay is not None:
        files["overlay"] = str(found.overlay)
    if json:
        output.document(
            {
                "file": str(file),
                "frames": found.frames,
                "fps": fps,
                "width": found.width,
                "height": found.height,
                "detector": dict(found.detector),
                "device": found.device,
                "seconds": found.seconds,
                "hands": dict(found.hands),
                "files": files,
            }
        )
        return 0
    hands = ", ".join(f"{side} {share:.0%}" for side, share in found.hands.items())
    output.text(
        f"{file}: {found.frames:,} frames of {found.width}x{found.height},"
        f" {found.detector['detector']} on {found.device}"
        f" ({found.frames / max(found.seconds, 1e-9):,.0f} frames/s)"
    )
    if hands:
        output.text(f"frames that show a hand: {hands}")
    for name, path in files.items():
        output.text(f"{name}: {path}")
    return 0


def compare(
    dataset: Annotated[
        str,
        typer.Argument(metavar="DATASET|FILE", help="A dataset, or keypoints of avpipe detect."),
    ],
    a: Annotated[
        str | None,
        typer.Argument(metavar="A", help="A detector, or digits of its digest; another file."),
    ] = None,
    b: Annotated[str | None, typer.Argument(metavar="B", help="Likewise.")] = None,
    out: place.Out = None,
    ids: Annotated[str | None, typer.Option(metavar="ID,ID", help="Only these recordings.")] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a page there, with the worst frames as pictures."),
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="With files: the video to show them over.")
    ] = None,
    json: output.Json = False,
) -> int:
    """Says what another detector changes: hands, joints, jitter, segments, the worst frames.

    With a dataset alone it lists the detections that are in its store; old ones stay there until
    `avpipe gc`. To try a detector without adopting it: avpipe build DATASET --detector NAME
    --until detect. With two files it compares what `avpipe detect` wrote for one video.
    """
    from avpipe import comparison

    first, names = Path(dataset), [name for name in (a, b) if name is not None]
    pairs: Mapping[str, comparison.Pair]
    if first.suffix.lower().removeprefix(".") in ("h5", "json", "csv"):
        if len(names) != 1:
            raise UsageError("give two files of keypoints, as in avpipe compare a.h5 b.h5")
        pair = comparison.of_files(first, Path(names[0]), video)
        pairs = {pair.recording: pair}
        labels = (dataset, names[0])
    else:
        folder = place.find(dataset, out)
        found = comparison.detections(folder)
        if len(names) < 2:
            return _list_detections(found, names, json)
        one, other = (comparison.pick(found, name) for name in names)
        wanted = None if ids is None else [name.strip() for name in ids.split(",")]
        pairs = comparison.DatasetPairs(folder, one, other, wanted)
        labels = (one.label, other.label)
    return _show(labels, pairs, pictures, json)


def _list_detections(found: "Sequence[Detection]", names: list[str], json: bool) -> int:
    from avpipe.engine.reasons import explain

    if names:
        listed = "; ".join(d.label for d in found) or "nothing has been detected"
        raise UsageError(f"give two detections to compare: {listed}")
    if json:
        output.document(
            [
                {"detection": d.label, "digest": d.digest, "videos": len(d.keys), **d.identity}
                for d in found
            ]
        )
        return 0
    rows = [
        [
            d.short,
            d.label.removesuffix(f" {d.short}"),
            len(d.keys),
            explain(found[0].identity, d.identity) or "",
        ]
        for d in found
    ]
    columns = ["digest", "detector", "videos", "beside the first"]
    output.table("Detections in the store", columns, rows)
    return 0


def _show(
    labels: tuple[str, str], pairs: "Mapping[str, Pair]", pictures: Path | None, json: bool
) -> int:
    from avpipe.comparison import compare as run

    result = run(*labels, pairs)
    page = None
    if pictures is not None:
        from avpipe.report.comparison import write_page

        page = write_page(result, pairs, pictures)
    if json:
        output.document(result.as_json() | ({} if page is None else {"page": str(page)}))
        return 0
    output.text(f"a: {result.a}\nb: {result.b}")
    output.text(f"{output.count(len(result.recordings), 'recording')}, {result.frames:,} frames")
    for title, columns, rows in result.tables():
        output.table(title, columns, rows)
    if result.worst:
        rows = [[w.recording, w.frame, w.seconds, w.disagreement] for w in result.worst]
        columns = ["recording", "frame", "seconds", "shoulder widths"]
        output.table("Where they disagree most", columns, rows)
    if page is not None:
        output.text(f"page with pictures: {page}")
    return 0


def report(
    dataset: place.Built,
    out: place.Out = None,
    out_file: Annotated[Path, typer.Option("--out-file", help="The page.")] = Path("report.html"),
    json: output.Json = False,
) -> int:
    """Writes what was built as one page: counts, failures, files, how it was made, some clips.

    The page needs nothing else and loads nothing.
    """
    from avpipe.report.dataset import write_report

    manifest, folder = place.built(dataset, out)
    write_report(folder, manifest, out_file)
    if json:
        output.document({"dataset": manifest.name, "page": str(out_file.absolute())})
    else:
        output.text(f"{out_file.absolute()}: {out_file.stat().st_size / 1e6:,.1f} MB")
    return 0
