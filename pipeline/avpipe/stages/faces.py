"""faces: the singer's face, always in the same place.

In:  `video`, T frames, and `detect` with the field `face_landmarks`.
Out: `faces.mjpeg`, T crops of 160x160 px around the whole face, aligned to a mean face
     (`avpipe.crops`), `faces_held.npy` (T,) true where no face was found and the crop is where
     its neighbours are, and `faces.json` (`avpipe.images`). A recording without video or without
     a face has none, and `faces.json` says so.

160x160 is what the face networks that follow Schroff et al., "FaceNet", 2015, take (Montesinos et
al., "A cappella", 2021, Section 4). The crops are pictures; no embedding of a face is computed.
"""

import json
from dataclasses import dataclass
from importlib import metadata
from typing import Protocol

import numpy as np

from avpipe import images
from avpipe.crops import Window, crop, place
from avpipe.errors import FailureClass, RecordingFailed, UsageError
from avpipe.keypoints import files
from avpipe.media import decode_frames
from avpipe.stages import Facts, Job, Pool

NEEDS: tuple[str, ...] = ("video", "detect")
POOL: Pool = "cpu"
VERSION = 1

LANDMARKS = "face_landmarks"


@dataclass(frozen=True, slots=True)
class Config:
    """Parameters of `faces`."""

    size: int = 160
    """Side of a crop, px."""
    side_cm: float = 22.0
    """What it shows of the mean face, whose eyes' outer corners are 8.9 cm apart."""
    x_cm: float = 0.0
    """Middle of the crop in the mean face: to the right of its origin between the cheeks."""
    y_cm: float = -0.6
    """Below the origin."""
    smoothing_seconds: float = 0.08
    """Standard deviation of the Gaussian that smooths the face's place over time."""
    quality: int = 95
    """Quality of the JPEG files."""

    def __post_init__(self) -> None:
        check(self)


class Crop(Protocol):
    """What the configurations of `faces` and `mouths` hold."""

    @property
    def size(self) -> int: ...
    @property
    def side_cm(self) -> float: ...
    @property
    def x_cm(self) -> float: ...
    @property
    def y_cm(self) -> float: ...
    @property
    def smoothing_seconds(self) -> float: ...
    @property
    def quality(self) -> int: ...


def check(config: Crop) -> None:
    """Raises ValueError where a parameter is out of its range."""
    if config.size < 8 or config.side_cm <= 0 or config.smoothing_seconds < 0:
        raise ValueError("size must be at least 8, side_cm above 0, smoothing_seconds not negative")
    if not 1 <= config.quality <= 100:
        raise ValueError("quality must be in [1, 100]")


def tool(config: Crop) -> Facts:
    """What decodes the frames, and what turns, scales and encodes them."""
    return {name: metadata.version(name) for name in ("av", "pillow")}


def run(job: Job) -> Facts:
    """Writes the crops; facts: their number and the share that is held."""
    return make(job, "faces")


def make(job: Job, field: str) -> Facts:
    """Writes the crops of a field as its configuration has them.

    Raises:
        UsageError: the detector gives no faces.
        RecordingFailed: the video does not decode to the frames it should have.
    """
    config: Crop = job.config
    video = json.loads((job.inputs["video"] / "video.json").read_text(encoding="utf-8"))
    found = files.read_summary(job.inputs["detect"] / "detect.json")
    if found.present and LANDMARKS not in found.fields:
        raise UsageError(f"{field} need the field {LANDMARKS}, which the detector does not give")
    where = None
    if found.present:
        face = files.load(job.inputs["detect"], LANDMARKS, found.fields[LANDMARKS])
        where = place(face, config.smoothing_seconds * video["fps"])
    facts = images.Facts(where is not None, video["frames"], height=config.size, width=config.size)
    if where is None:
        images.write_facts(job.out, field, facts)
        return {"images": 0}
    window = Window((config.x_cm, config.y_cm), config.side_cm, config.size)
    frames = decode_frames(job.inputs["video"] / "video.mp4")
    pictures = (images.encode(c, config.quality) for c in crop(frames, where, window))
    try:
        facts = images.save(job.out, field, pictures, facts, where.held)
    except ValueError as error:
        raise RecordingFailed(
            FailureClass.UNREADABLE, f"the video does not have its {facts.frames} frames"
        ) from error
    return {
        "images": facts.images,
        "bytes": facts.bytes,
        "held": round(float(np.mean(where.held)), 4),
        "pixels_per_cm": round(float(np.median(np.abs(where.turn))), 2),
    }
