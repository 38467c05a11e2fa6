"""The facts that a scan finds, and `scan.json`, where they are kept.

All seconds count from t = 0, the container's start after edit lists, to the microsecond.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from avpipe.errors import FailureClass, RecordingFailed
from avpipe.timegrid import exact, frame_count

Verdict = Literal["good", "truncated", "unreadable"]
FILE = "scan.json"
"""Name of the scan in the artifact of `download`, beside `media.<ext>`."""


@dataclass(frozen=True, slots=True)
class VideoStream:
    """The video stream that is used."""

    index: int
    codec: str
    width: int
    """px, as stored (before rotation)."""
    height: int
    rotation: int
    """Degrees clockwise that the file asks its player to turn the picture: 0, 90, 180, 270."""
    pixel_format: str
    average_rate: str
    """Frames per second as a fraction, e.g. `30000/1001`; 0 if not known."""
    end_seconds: float
    """End of the last presented packet."""
    packets: int
    """Presented packets."""
    constant: bool
    """Presented packet k is at exactly k / average_rate, and none is discarded."""


@dataclass(frozen=True, slots=True)
class AudioStream:
    """The audio stream that is used."""

    index: int
    codec: str
    sample_rate: int
    channels: int
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class Scan:
    """What one media file holds."""

    verdict: Verdict
    reason: str
    """Why it is not good; empty if it is."""
    bytes: int
    format: str
    """Short names of the container format."""
    start_seconds: float
    """The container's own timestamp of t = 0."""
    video: VideoStream | None
    audio: AudioStream | None

    @property
    def end_seconds(self) -> float:
        """End of the recording: of the video if there is one, else of the audio."""
        used = self.video or self.audio
        return used.end_seconds if used else 0.0

    def frames(self, fps: float) -> int:
        """T of the recording on the grid of `fps`.

        Raises:
            RecordingFailed: `unreadable`; it is shorter than one frame.
        """
        end = exact(self.end_seconds)
        frames = frame_count(end, fps) if self.video else math.floor(end * exact(fps))
        if frames < 1:
            raise RecordingFailed(
                FailureClass.UNREADABLE, f"{self.end_seconds} s is less than a frame at {fps} fps"
            )
        return frames

    def write(self, folder: Path) -> None:
        """Writes `scan.json`."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Scan":
        """Reads `scan.json`."""
        values = json.loads((folder / FILE).read_text())
        video, audio = values.pop("video"), values.pop("audio")
        return cls(
            **values,
            video=VideoStream(**video) if video else None,
            audio=AudioStream(**audio) if audio else None,
        )


def media_file(folder: Path) -> Path:
    """The `media.<ext>` in the artifact of `download`."""
    return next(path for path in sorted(folder.iterdir()) if path.stem == "media")
