"""`detect_file`: the keypoints of one video, and a video that shows them.

The file goes through the same stages as a recording of a dataset (scan, video, audio, detect), so
that what is seen here is what a build would find. Nothing is kept of them.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avpipe import stages
from avpipe.config import configure
from avpipe.errors import RecordingFailed, UsageError
from avpipe.keypoints import exchange, files
from avpipe.one_file import OneFile
from avpipe.report.overlay_video import write_overlay
from avpipe.shards.publish import make_folder, published

SOUND_RATE = 44100
"""Hz of the sound beside the overlay, which is for people."""


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found in a video, and where it is."""

    frames: int
    """T."""
    width: int
    """px"""
    height: int
    detector: Mapping[str, Any]
    """Identity of the detector."""
    device: str
    seconds: float
    """Of detection."""
    hands: Mapping[str, float]
    """`left`, `right`, `any` -> share of frames that show it; empty for a detector of faces."""
    keypoints: Mapping[str, Path]
    """Field -> file."""
    overlay: Path | None


def detect_file(
    video: Path,
    out: Path,
    *,
    detector: str | None = None,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    fps: float = 25.0,
    format: str = "h5",
    overlay: bool = True,
) -> Detected:
    """Detects keypoints in a video.

    Writes `<name>.<field>.<format>` for every field of the detector, and `<name>.overlay.mp4`.

    Args:
        video: a media file.
        out: folder for what is written; made if it is not there.
        detector: name; None: the one that builds use.
        options: parameters of the detector.
        device: "auto", "cpu" or "cuda".
        fps: frames per second of the grid that the video is put on.
        format: one of `avpipe.keypoints.exchange.FORMATS`.
        overlay: whether to draw the skeleton over the video.

    Raises:
        UsageError: an unknown detector, option or format, or no such file.
        RecordingFailed: the file cannot be read, or has no video; the text names it.
    """
    if format not in exchange.FORMATS:
        raise UsageError(f"format {format!r}: there are {', '.join(exchange.FORMATS)}")
    if not 1 <= fps <= 240:
        raise UsageError(f"fps {fps:g}: must be from 1 to 240")
    if not video.is_file():
        raise UsageError(f"{video} is no file")
    of_detect: dict[str, Any] = {"options": dict(options or {}), "device": device}
    if detector is not None:
        of_detect["detector"] = detector
    config = configure(stages.load("detect").Config, of_detect, "detect")
    make_folder(out)
    with tempfile.TemporaryDirectory(dir=out, prefix=".detect-") as place:
        try:
            return _Work(video, Path(place)).write(out, config, fps, format, overlay)
        except RecordingFailed as error:
            message = f"{video}: {error.failure}: {error}"
            raise RecordingFailed(error.failure, message, permanent=error.permanent) from error


class _Work(OneFile):
    """The stages of one file, and what is written of them."""

    def write(self, out: Path, config: Any, fps: float, format: str, overlay: bool) -> Detected:
        video = self.run("video", fps=fps)
        facts = self.run("detect", config)
        summary = files.read_summary(self.place / "detect" / "detect.json")
        identity = stages.load("detect").tool(config)
        paths = {}
        for field, layout in summary.fields.items():
            keypoints = files.load(self.place / "detect", field, layout)
            paths[field] = out / f"{self.media.stem}.{field}.{format}"
            with published(paths[field]) as temporary:
                content = exchange.KeypointsFile(keypoints, fps, field, identity)
                exchange.write(temporary, content, format)
        shown = out / f"{self.media.stem}.overlay.mp4" if overlay else None
        if shown is not None:
            self._draw(shown, summary.fields, fps)
        return Detected(
            frames=summary.frames,
            width=video["width"],
            height=video["height"],
            detector=identity,
            device=facts["device"],
            seconds=facts["seconds"],
            hands=facts["hands"],
            keypoints=paths,
            overlay=shown,
        )

    def _draw(self, target: Path, fields: Mapping[str, str], fps: float) -> None:
        self.run("audio", sample_rate=SOUND_RATE, fps=fps, allow_missing=True)
        sound = self.place / "audio" / "audio.wav"
        found = [files.load(self.place / "detect", name, fields[name]) for name in sorted(fields)]
        video = self.place / "video" / "video.mp4"
        write_overlay(target, video, found, fps, sound if sound.is_file() else None)
