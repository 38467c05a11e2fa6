"""Draws a skeleton onto the pixels of a frame: what `overlays` draws, fast enough for every frame
of a video.

Every bone is a capsule and every joint a disc, blended by its distance field, so that edges are
smooth and ends round. Colours and opacities are those of `overlays`; positions are pixel centres.
"""

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
    is_cloud = len({p for p in topology.parents if p >= 0}) <= 1  # points of a face, say
    fine = range(len(topology)) if is_cloud else {*topology.left_hand, *topology.right_hand}

    def radius(joint: int) -> float:
        return max(side * (HAND_SHARE if joint in fine else BODY_SHARE), 1.0) / 2

    shadow = max(side * SHADOW_SHARE, 0.7)
    for p, j in () if is_cloud else topology.bones:
        if alpha[p] > 0 and alpha[j] > 0:
            faint = float(min(alpha[p], alpha[j]))
            _stroke(image, xy[p], xy[j], radius(j), shadow, faint, _rgb(colour(topology, j)))
    for j in np.flatnonzero(alpha > 0):
        wide = JOINT * radius(int(j))
        _stroke(image, xy[j], xy[j], wide, shadow, float(alpha[j]), _rgb(colour(topology, int(j))))


def _stroke(
    image: Image,
    start: Float,
    stop: Float,
    radius: float,
    shadow: float,
    alpha: float,
    colour: Float,
) -> None:
    """Blends a capsule around the axis from `start` to `stop`, and `shadow` px around it dark."""
    if not (np.isfinite(start).all() and np.isfinite(stop).all()):
        return
    reach = radius + shadow + 1
    limit = np.array(image.shape[1::-1], np.float32)
    left, top = np.clip(np.minimum(start, stop) - reach, 0, limit).astype(int).tolist()
    right, bottom = np.clip(np.maximum(start, stop) + reach + 1, 0, limit).astype(int).tolist()
    if left >= right or top >= bottom:
        return
    x = np.arange(left, right, dtype=np.float32) - start[0]
    y = (np.arange(top, bottom, dtype=np.float32) - start[1])[:, None]
    dx, dy = float(stop[0] - start[0]), float(stop[1] - start[1])
    squared = dx * dx + dy * dy
    if squared > 0:
        along = np.clip((x * dx + y * dy) / squared, 0, 1)
        x, y = x - along * dx, y - along * dy
    distance = np.sqrt(x * x + y * y)
    near = distance < reach
    from_axis = distance[near][:, None]
    pixels = image[top:bottom, left:right][near].astype(np.float32)
    for wider, strength, paint in ((shadow, SHADOW_OPACITY, _rgb(SHADOW)), (0.0, 1.0, colour)):
        cover = np.clip(radius + wider + 0.5 - from_axis, 0, 1) * (alpha * strength)
        pixels += (paint - pixels) * cover
    image[top:bottom, left:right][near] = np.rint(pixels).astype(np.uint8)


@cache
def _rgb(colour: str) -> Float:
    """(3,) of `#rrggbb`."""
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
