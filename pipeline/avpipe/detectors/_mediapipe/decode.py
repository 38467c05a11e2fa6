"""What comes out of the models: boxes of the detectors, landmarks of body, hand and face.

Coordinates are parts of the crop, [0, 1] from edge to edge; `crop.to_picture` makes px of them.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from avpipe.detectors._mediapipe.models import MODELS, Model

Float = npt.NDArray[np.floating[Any]]

_OVERLAP = 0.3
"""Boxes that share more than this (intersection over union) show the same thing."""
_CELLS = 64
"""Side of a body's heat maps."""


class Detections(NamedTuple):
    """What a detector found in one picture, best first."""

    scores: Float
    """(n,) in (0, 1)."""
    boxes: Float
    """(n, 4) centre x, y, width, height."""
    keypoints: Float
    """(n, K, 2)."""


def detections(name: str, raw: Float, logits: Float, threshold: float) -> Detections:
    """Boxes of one picture.

    Args:
        name: the detector, a key of `MODELS`.
        raw: (A, 4 + 2K) of all A anchors.
        logits: (A, 1).
        threshold: least score. Overlapping boxes above it are merged, so it moves what survives.
    """
    scores = _sigmoid(logits[:, 0])
    found = np.flatnonzero(scores >= threshold)
    values = raw[found].astype(np.float64) / MODELS[name].size
    values[:, :2] += _anchors(MODELS[name])[found]
    values[:, 4:] += np.tile(_anchors(MODELS[name])[found], (values.shape[1] - 4) // 2)
    sound = (values[:, 2:4] >= 0).all(axis=1)
    return _merged(scores[found][sound].astype(np.float64), values[sound])


def heat_windows(raw: Float, heat: Float, window: int) -> Float:
    """(n, 39, window, window) the logits around each point; beyond the map its edge is repeated.

    Args:
        raw: (n, 195) of bodies, see `body_landmarks`.
        heat: (n, 64, 64, 39) logits.
    """
    n, _, _, joints = heat.shape
    columns, rows = (np.clip(at, 0, _CELLS - 1) for at in _around(_parts(raw), window))
    cells: Float = heat[
        np.arange(n)[:, None, None, None],
        rows[..., :, None],
        columns[..., None, :],
        np.arange(joints)[None, :, None, None],
    ]
    return cells


def body_landmarks(raw: Float, windows: Float) -> tuple[Float, Float]:
    """(n, 39, 2) refined positions and (n, 39) visibility of bodies.

    Args:
        raw: (n, 195) x, y, z, visibility logit, presence logit of 39 points in crop px.
        windows: of `heat_windows`.
    """
    points = raw.reshape(len(raw), 39, 5)
    return _refined(_parts(raw), windows), _sigmoid(points[..., 3])


def hand_landmarks(raw: Float) -> Float:
    """(n, 21, 2) of hands, from (n, 63)."""
    xy: Float = raw.reshape(len(raw), 21, 3)[..., :2] / np.float32(MODELS["hand"].size)
    return xy


def face_landmarks(raw: Float) -> Float:
    """(n, 468, 2) of faces, from (n, 1, 1, 1404)."""
    xy: Float = raw.reshape(len(raw), 468, 3)[..., :2] / np.float32(MODELS["mesh"].size)
    return xy


def flag(logits: Float) -> Float:
    """(n,) probability that there is a face."""
    return _sigmoid(logits.reshape(-1))


def _sigmoid(logits: Float) -> Float:
    # exp(88) is the end of float32; the sigmoid has long been 0 there.
    value: Float = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    return value


@cache
def _anchors(model: Model) -> npt.NDArray[np.float64]:
    """(A, 2) centres of the cells, layer by layer, row by row."""
    layers = []
    for cells, boxes in model.anchors:
        y, x = np.divmod(np.arange(cells * cells), cells)
        layers.append(np.repeat((np.stack([x, y], -1) + 0.5) / cells, boxes, axis=0))
    return np.concatenate(layers)


def _merged(scores: Float, values: Float) -> Detections:
    """Weighted non-maximum suppression: the best box takes all that overlap it, and is their
    mean, weighted by score; its score stays its own."""
    order = np.argsort(-scores, kind="stable")
    scores, values = scores[order], values[order]
    best, means = [], []
    while len(scores):
        same = _overlaps(values[0], values) > _OVERLAP
        same[0] = True
        best.append(scores[0])
        means.append(scores[same] @ values[same] / scores[same].sum())
        scores, values = scores[~same], values[~same]
    merged = np.array(means).reshape(len(best), values.shape[1])
    keypoints = merged[:, 4:].reshape(len(best), (values.shape[1] - 4) // 2, 2)
    return Detections(np.array(best), merged[:, :4], keypoints)


def _overlaps(box: Float, boxes: Float) -> Float:
    low = np.maximum(box[:2] - box[2:4] / 2, boxes[:, :2] - boxes[:, 2:4] / 2)
    high = np.minimum(box[:2] + box[2:4] / 2, boxes[:, :2] + boxes[:, 2:4] / 2)
    common = np.clip(high - low, 0, None).prod(axis=1)
    union = box[2] * box[3] + boxes[:, 2] * boxes[:, 3] - common
    shared: Float = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return shared


def _parts(raw: Float) -> Float:
    xy: Float = raw.reshape(len(raw), 39, 5)[..., :2] / np.float32(MODELS["pose"].size)
    return xy


def _around(xy: Float, window: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(n, 39, window) columns and rows of the heat map around the cell of each point."""
    cell = np.trunc(xy * _CELLS).astype(np.int64)
    reach = np.arange(window) - window // 2
    return cell[..., :1] + reach, cell[..., 1:] + reach


def _refined(xy: Float, windows: Float) -> Float:
    """Moves each point to the centre of its heat map's mass in the window around it, where the
    map is sure (at least 0.5 somewhere in the window); the centre counts cells, not their middles.
    """
    columns, rows = _around(xy, windows.shape[-1])
    middle = windows.shape[-1] // 2
    there = [(at >= 0) & (at < _CELLS) for at in (columns, rows)]
    inside = there[0][..., middle] & there[1][..., middle]
    weights = _sigmoid(windows) * there[1][..., :, None] * there[0][..., None, :]
    total = weights.sum(axis=(2, 3))
    sure = inside & (weights.max(axis=(2, 3)) >= 0.5)
    x = (weights.sum(axis=2) * columns).sum(axis=-1)
    y = (weights.sum(axis=3) * rows).sum(axis=-1)
    mean = np.stack([x, y], -1) / np.where(sure, total, 1)[..., None] / _CELLS
    return np.where(sure[..., None], mean, xy)
