"""The geometry between the models: from what one found to the region that the next one looks at.

All positions are px in the picture, (n, ...) float64; regions as in `crop`. Every region turns its
subject upright: the line from one point to another stands at a fixed angle in the crop.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.detectors._mediapipe.crop import Box, Regions

Points = npt.NDArray[np.float64]

_UP, _DOWN = np.pi / 2, -np.pi / 2
_PALM = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]
"""Hand points without the outer finger joints, which move too much to frame a hand."""
_ARMS = {"left": (15, 17, 19), "right": (16, 18, 20)}
"""Wrist, little finger and index of each arm among the body's points."""
_LOWEST, _LONGEST = 8, 16
"""No picture shows people whose short side has fewer px, or whose long side is so many short ones:
looking all along it would take a window every few px."""


def hand_from_palm(boxes: Points, keypoints: Points) -> Regions:
    """Palm detections, boxes (n, 4) as centre, width, height and keypoints (n, 7, 2), to hands."""
    rotation = _rotation(keypoints[:, 0], keypoints[:, 2], _UP)
    return _region(boxes[:, :2], boxes[:, 2], boxes[:, 3], rotation, shift=-0.5, scale=2.6)


def hand_from_landmarks(points: Points) -> Regions:
    """Hands (n, 21, 2) to where they will be in a neighbouring frame."""
    towards = ((points[:, 5] + points[:, 13]) / 2 + points[:, 9]) / 2
    rotation = _rotation(points[:, 0], towards, _UP)
    centre, width, height = _rotated_box(points[:, _PALM], rotation)
    return _region(centre, width, height, rotation, shift=-0.1, scale=2.0)


def hand_from_pose(points: Points, side: str) -> Regions:
    """Bodies (n, 33, 2) to where their left or right hand must be."""
    wrist, middle = points[:, _ARMS[side][0]], hand_centre(points, side)
    size = 2 * np.linalg.norm(middle - wrist, axis=1)
    return _region(middle, size, size, _rotation(wrist, middle, _UP), shift=-0.1, scale=2.7)


def hand_centre(points: Points, side: str) -> Points:
    """(n, 2) middle of the hand, as far as bodies (n, 33, 2) know it."""
    _, little, index = (points[:, joint] for joint in _ARMS[side])
    middle: Points = (2 * index + little) / 3
    return middle


def hand_from_recrop(points: Points) -> Regions:
    """Centre and scale points (n, 2, 2) of `hand_recrop` to hands."""
    size = 2 * np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
    rotation = _rotation(points[:, 0], points[:, 1], _DOWN)
    return _region(points[:, 0], size, size, rotation, shift=-0.1, scale=1.0)


def body(points: Points) -> Regions:
    """Centre and scale points (n, 2+, 2), of a detection or of landmarks 33 and 34, to bodies."""
    size = 2 * np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
    rotation = _rotation(points[:, 0], points[:, 1], _UP)
    return _region(points[:, 0], size, size, rotation, shift=0.0, scale=1.25)


def face_from_detection(boxes: Points, keypoints: Points) -> Regions:
    """Face detections, boxes (n, 4) and keypoints (n, 6, 2), to faces."""
    rotation = _rotation(keypoints[:, 0], keypoints[:, 1], 0.0)
    return _region(boxes[:, :2], boxes[:, 2], boxes[:, 3], rotation, shift=0.0, scale=1.5)


def face_from_landmarks(points: Points) -> Regions:
    """Face meshes (n, 468, 2) to where they will be in a neighbouring frame."""
    rotation = _rotation(points[:, 33], points[:, 263], 0.0)
    centre, width, height = _rotated_box(points, rotation)
    return _region(centre, width, height, rotation, shift=0.0, scale=1.5)


def square(centre: Points, side: npt.NDArray[np.float64]) -> Regions:
    """Upright squares."""
    return np.column_stack([centre, side, side, np.zeros(len(side))])


def worth_parts(height: int, width: int) -> bool:
    """Whether parts of a picture may show people."""
    short, long = sorted((height, width))
    return short >= _LOWEST and long <= _LONGEST * short


def snapped(around: Regions) -> Regions:
    """The nearest regions of a grid: sides in steps of 4 %, centres of a 64th of the side,
    rotations of a 96th turn.

    Crops then come out identical although the numbers behind them differ in the last bits (CUDA
    and CPU), and stay identical while their subject hardly moves, which keeps landmarks steady.
    """
    side = 2 ** (np.round(np.log2(np.maximum(around[:, 2:3], 1)) * 16) / 16)
    centre = np.round(around[:, :2] / side * 64) * side / 64
    turn = np.pi / 48
    return np.hstack([centre, side, side, np.round(around[:, 4:] / turn) * turn])


def inside(region: npt.NDArray[np.float64], box: Box) -> bool:
    """Whether all that a region (5,) samples lies in a box."""
    reach = float(np.hypot(*region[2:4])) / 2 + 2
    low, high = region[:2] - reach, region[:2] + reach
    return bool((low >= box[:2]).all() and (high <= box[2:]).all())


def head(points: Points) -> Regions:
    """Bodies (n, 33, 2) to where their faces may be searched."""
    rotation = _rotation(points[:, 5], points[:, 2], 0.0)
    centre, width, height = _rotated_box(points[:, :11], rotation)
    return _region(centre, width, height, rotation, shift=0.0, scale=3.0)


def overlap(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """Intersection over union of two regions (5,), their rotation ignored."""
    sides = [
        min(one[i] + one[i + 2] / 2, other[i] + other[i + 2] / 2)
        - max(one[i] - one[i + 2] / 2, other[i] - other[i + 2] / 2)
        for i in (0, 1)
    ]
    if min(sides) <= 0:
        return 0.0
    common = sides[0] * sides[1]
    return float(common / (one[2] * one[3] + other[2] * other[3] - common))


def _rotation(start: Points, end: Points, target: float) -> npt.NDArray[np.float64]:
    """(n,) rotation that puts the line from start to end at the angle `target`, in [-pi, pi)."""
    angle = target - np.arctan2(-(end[:, 1] - start[:, 1]), end[:, 0] - start[:, 0])
    wrapped: npt.NDArray[np.float64] = angle - 2 * np.pi * np.floor((angle + np.pi) / (2 * np.pi))
    return wrapped


def _region(
    centre: Points,
    width: npt.NDArray[np.float64],
    height: npt.NDArray[np.float64],
    rotation: npt.NDArray[np.float64],
    shift: float,
    scale: float,
) -> Regions:
    """Moves rectangles along their own vertical by parts of their height, then squares them."""
    offset = np.column_stack([-np.sin(rotation), np.cos(rotation)]) * (shift * height)[:, None]
    side = np.maximum(width, height) * scale
    return np.column_stack([centre + offset, side, side, rotation])


def _rotated_box(
    points: Points, rotation: npt.NDArray[np.float64]
) -> tuple[Points, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Centre (n, 2), width and height (n,) of the boxes around points in rotated frames."""
    cos, sin = np.cos(rotation), np.sin(rotation)
    turn = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)
    turned = np.einsum("nij,nkj->nki", turn, points)
    low, high = turned.min(axis=1), turned.max(axis=1)
    centre = np.einsum("nji,nj->ni", turn, (low + high) / 2)
    return centre, *(high - low).T
