"""`avpipe detect`, `compare` and `report`: what a person looks at."""

from pathlib import Path
from typing import Annotated, Any

import typer

from avpipe.cli import output


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example: avpipe detect clip.mp4 --out looks --format json")(detect)


def detect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video.")],
    detector: Annotated[str | None, typer.Option(help="Keypoint detector.")] = None,
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
    from avpipe.cli.build import parse_settings
    from avpipe.detection import detect_file

    options = parse_settings([f"detect.{text}" for text in setting or []]).get("detect", {})
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
    output.text(f"frames that show a hand: {hands}")
    for name, path in files.items():
        output.text(f"{name}: {path}")
    return 0
