"""The models one after the other: bodies and hands of given frames, each frame by itself.

Frames are named by their index in `pictures`; absent things are absent keys. This is what
MediaPipe's graphs do in static mode.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from avpipe.detectors._mediapipe import decode, regions
from avpipe.detectors._mediapipe.crop import Regions, to_picture, whole_picture
from avpipe.detectors._mediapipe.models import MODELS
from avpipe.detectors._mediapipe.runner import Pictures
from avpipe.detectors._sides import Side

Region = npt.NDArray[np.float64]
"""(5,) see `crop`."""

THRESHOLD = 0.5
"""Score from which a box of the palm or body detector counts."""
PRESENT = 0.5
"""A body or hand is there if its landmark model is surer than this."""


class Body(NamedTuple):
    """A person in a frame."""

    xy: npt.NDArray[np.float64]
    """(39, 2) px: 33 joints of BlazePose, two points that frame the body, four unused."""
    visibility: npt.NDArray[np.floating[Any]]
    """(39,) in [0, 1]."""
    presence: float


class Hand(NamedTuple):
    """A hand in a frame."""

    xy: npt.NDArray[np.float64]
    """(21, 2) px."""
    presence: float
    """In (0, 1)."""
    rightness: float
    """In (0, 1): how sure the model is that it is a right hand, in an ordinary picture."""

    @property
    def score(self) -> float:
        """What makes one hand better than another."""
        return self.presence

    @property
    def label(self) -> Side:
        """The player's side by the look of the hand."""
        return "right" if self.rightness > 0.5 else "left"


def detect(
    pictures: Pictures, where: Sequence[tuple[int, Region]], model: str, threshold: float
) -> list[decode.Detections]:
    """Palms, bodies or faces in each (frame, upright square region), best first, in px."""
    if not where:
        return []
    around = np.stack([region for _, region in where])
    raw, logits = pictures.run(model, [frame for frame, _ in where], around)
    found = []
    for region, boxes, scores in zip(around, raw, logits, strict=True):
        seen = decode.detections(model, boxes, scores, threshold)
        same = np.repeat(region[None], len(seen.scores), axis=0)
        centres = to_picture(seen.boxes[:, None, :2], same)[:, 0]
        boxes_px = np.column_stack([centres, seen.boxes[:, 2:] * region[2:4]])
        found.append(decode.Detections(seen.scores, boxes_px, to_picture(seen.keypoints, same)))
    return found


def whole(pictures: Pictures, frames: Iterable[int]) -> list[tuple[int, Region]]:
    """Each frame as a region of its own."""
    region = whole_picture(pictures.height, pictures.width)[0]
    return [(frame, region) for frame in frames]


def bodies(pictures: Pictures, where: Sequence[tuple[int, Region]]) -> list[Body | None]:
    """The person in each (frame, region), if there is one."""
    if not where:
        return []
    around = np.stack([region for _, region in where])
    raw, presence, windows = pictures.run("pose", [frame for frame, _ in where], around)
    xy, visibility = decode.body_landmarks(raw, windows)
    return [
        Body(points, seen, float(sure)) if sure > PRESENT else None
        for points, seen, sure in zip(
            to_picture(xy, around), visibility, presence[:, 0], strict=True
        )
    ]


def hands(
    pictures: Pictures, where: Sequence[tuple[int, Region]], least: float = PRESENT
) -> list[Hand | None]:
    """The hand in each (frame, region), if the model is surer than `least` that there is one."""
    if not where:
        return []
    around = np.stack([region for _, region in where])
    raw, presence, rightness = pictures.run("hand", [frame for frame, _ in where], around)
    xy = to_picture(decode.hand_landmarks(raw), around)
    return [
        Hand(points, float(sure[0]), float(right[0])) if sure[0] > least else None
        for points, sure, right in zip(xy, presence, rightness, strict=True)
    ]


def palm_regions(
    pictures: Pictures, where: Sequence[tuple[int, Region]], most: int = 2
) -> list[list[Region]]:
    """Hand regions from the best palms in each (frame, region), each hand once.

    Of two regions that overlap by more than half the later one, so of two palms on one hand the
    worse, stays: MediaPipe's rule.
    """
    return [
        _distinct(regions.hand_from_palm(found.boxes[:most], found.keypoints[:most]))
        for found in detect(pictures, where, "palm", THRESHOLD)
    ]


def recropped(pictures: Pictures, where: Sequence[tuple[int, Region]]) -> Regions:
    """(n, 5) better regions of hands for rough ones."""
    if not where:
        return np.empty((0, 5))
    around = np.stack([region for _, region in where])
    (raw,) = pictures.run("hand_recrop", [frame for frame, _ in where], around)
    points = raw.reshape(-1, 2, 2) / np.float32(MODELS["hand_recrop"].size)
    return regions.hand_from_recrop(to_picture(points, around))


def _distinct(found: Iterable[Region]) -> list[Region]:
    kept: list[Region] = []
    for region in found:
        kept = [other for other in kept if regions.overlap(region, other) <= 0.5]
        kept.append(region)
    return kept
