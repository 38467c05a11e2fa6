"""Draws a skeleton onto the pixels of a frame: what `overlays` draws, fast enough for every frame
of a video.

Every bone is a capsule and every joint a disc, blended by its distance field, so that edges are
smooth and ends round. Colours and opacities are those of `overlays`; positions are pixel centres.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from avpipe.report.overlays import SHADOW, colour, opacity
from avpipe.types import Keypoints

Image = npt.NDArray[np.uint8]
"""(H, W, 3) RGB."""
Float = npt.NDArray[np.float32]

BODY_SHARE, HAND_SHARE = 1 / 110, 1 / 320
"""Width of the bones of body and hands, as shares of the picture's shorter side."""
SHADOW_SHARE = 1 / 600
"""By how much the shadow stands out on either side."""
SHADOW_OPACITY = 0.55
JOINT = 1.45
"""Diameter of a joint in widths of its bones."""


@dataclass(frozen=True, slots=True)
class _Stroke:
    """A capsule from `start` to `stop`, cut to the picture."""

    place: tuple[slice, slice]
    """Rows and columns of its patch."""
    distance: Float
    """(h, w) px from its axis."""
    radius: float
    alpha: float
    colour: Float
    """(3,)"""


def draw_person(image: Image, keypoints: Keypoints, frame: int, scale: float = 1.0) -> None:
    """Draws the person of one frame onto the picture, in place.

    Args:
        image: (H, W, 3) uint8 RGB, writable.
        keypoints: in its pixels.
        frame: which of their T frames.
        scale: of all widths; at 1 they suit the size of the picture.
    """
    topology = keypoints.topology
    xy, alpha = keypoints.xy[frame], opacity(keypoints, frame)
    side = min(image.shape[:2]) * scale
    hands = {*topology.left_hand, *topology.right_hand}

    def radius(joint: int) -> float:
        return max(side * (HAND_SHARE if joint in hands else BODY_SHARE), 1.0) / 2

    shadow = max(side * SHADOW_SHARE, 0.7)
    bones = [
        _stroke(image, xy[p], xy[j], radius(j), min(alpha[p], alpha[j]), colour(topology, j))
        for p, j in topology.bones
        if alpha[p] > 0 and alpha[j] > 0
    ]
    joints = [
        _stroke(image, xy[j], xy[j], JOINT * radius(j), alpha[j], colour(topology, j))
        for j in np.flatnonzero(alpha > 0)
    ]
    for group in (bones, joints):
        strokes = [stroke for stroke in group if stroke is not None]
        for stroke in strokes:
            _blend(image, stroke, shadow, SHADOW_OPACITY, _rgb(SHADOW))
        for stroke in strokes:
            _blend(image, stroke, 0.0, 1.0, stroke.colour)


def _stroke(
    image: Image, start: Float, stop: Float, radius: float, alpha: float, colour: str
) -> _Stroke | None:
    """The distance field of a capsule around its axis; None if it is out of the picture."""
    if not (np.isfinite(start).all() and np.isfinite(stop).all()):
        return None
    margin = 2 * radius + 4
    low, high = np.minimum(start, stop) - margin, np.maximum(start, stop) + margin + 1
    limit = np.array(image.shape[1::-1], np.float32)
    (left, top), (right, bottom) = (np.clip(v, 0, limit).astype(int) for v in (low, high))
    if left >= right or top >= bottom:
        return None
    x = np.arange(left, right, dtype=np.float32) - start[0]
    y = (np.arange(top, bottom, dtype=np.float32) - start[1])[:, None]
    dx, dy = float(stop[0] - start[0]), float(stop[1] - start[1])
    squared = dx * dx + dy * dy
    if squared > 0:
        along = np.clip((x * dx + y * dy) / squared, 0, 1)
        distance = np.hypot(x - along * dx, y - along * dy)
    else:
        distance = np.hypot(x, y)
    place = (slice(top, bottom), slice(left, right))
    return _Stroke(place, distance, radius, float(alpha), _rgb(colour))


def _blend(image: Image, stroke: _Stroke, wider: float, strength: float, colour: Float) -> None:
    cover = np.clip(stroke.radius + wider + 0.5 - stroke.distance, 0, 1)[:, :, None]
    cover *= stroke.alpha * strength
    patch = image[stroke.place]
    patch[...] = np.rint(patch + (colour - patch) * cover).astype(np.uint8)


@cache
def _rgb(colour: str) -> Float:
    """(3,) of `#rrggbb`."""
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
