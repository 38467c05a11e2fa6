"""Fills gaps in keypoints along the tree of bones.

The position of a missing joint relative to its parent is interpolated linearly between the nearest
frames where both were detected (Solos, Eq. 1), and added to the parent's position: the skeleton
keeps its shape while the person moves.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.errors import AvpipeError
from avpipe.keypoints.segments import runs
from avpipe.types import Bool, Topology

Floats = npt.NDArray[np.floating[Any]]
Positions = npt.NDArray[np.float64]
"""(T, 2) px of one joint."""

_LEGACY_THRESHOLD = 0.2
"""Confidence up to which the published code takes a joint for missing."""


def interpolate(
    xy_TK2: Floats,
    confidence_TK: Floats,
    topology: Topology,
    legacy: bool = False,
    *,
    max_fill_frames: int = 25,
) -> tuple[Floats, Bool]:
    """Fills what is missing (confidence 0); what was detected stays exactly as it is.

    Before the first and after the last frame with both ends of a bone, the relative position is
    held. A gap in which the parent has no position either (the joint is a root, or the parent is
    missing for too long) is filled from the joint's own detections instead. A gap longer than
    `max_fill_frames`, and a joint that is never detected, stay missing.

    Args:
        xy_TK2: (T, K, 2) px; any value where a joint is missing.
        confidence_TK: (T, K), 0 = not detected. It is not changed by filling.
        topology: of K joints.
        legacy: as the published Solos code: confidence <= 0.2 is missing, every gap is filled, the
            ends tend to the joint's mean relative position, joints never seen lie on their parent,
            and a detected joint whose parent is missing is displaced.
        max_fill_frames: longest gap to fill; without effect in legacy mode.

    Returns:
        (T, K, 2) positions in the dtype of `xy_TK2`, (0, 0) where missing, and (T, K) True where
        the position was filled.
    """
    xy_TK2, confidence_TK = np.asarray(xy_TK2), np.asarray(confidence_TK)
    frames, k = len(xy_TK2), len(topology)
    if xy_TK2.shape != (frames, k, 2) or confidence_TK.shape != (frames, k):
        raise AvpipeError(
            f"{topology.name} needs xy (T, {k}, 2) and confidence (T, {k}),"
            f" not {xy_TK2.shape} and {confidence_TK.shape}"
        )
    if not np.issubdtype(xy_TK2.dtype, np.floating):
        xy_TK2 = xy_TK2.astype(np.float32)
    if legacy:
        return _legacy(xy_TK2, confidence_TK, topology)
    return _fill(xy_TK2, confidence_TK > 0, topology, max_fill_frames)


def _fill(
    xy_TK2: Floats, detected_TK: Bool, topology: Topology, max_fill_frames: int
) -> tuple[Floats, Bool]:
    out_TK2 = np.where(detected_TK[..., None], xy_TK2, 0).astype(xy_TK2.dtype)
    filled_TK = np.zeros_like(detected_TK)
    for joint in topology.order:
        detected = detected_TK[:, joint]
        fill = _short_gaps(detected, max_fill_frames)
        if not (fill.any() and detected.any()):
            continue
        parent = topology.parents[joint]
        alone = fill
        if parent >= 0 and (both := detected & detected_TK[:, parent]).any():
            parent_T2 = out_TK2[:, parent].astype(np.float64)
            relative = _between(xy_TK2[:, joint] - parent_T2, both)
            has_parent = detected_TK[:, parent] | filled_TK[:, parent]
            alone = fill & _in_runs_of(fill, ~has_parent)
            out_TK2[fill, joint] = (parent_T2 + relative)[fill]
        if alone.any():
            own = _between(xy_TK2[:, joint].astype(np.float64), detected)
            out_TK2[alone, joint] = own[alone]
        filled_TK[:, joint] = fill
    return out_TK2, filled_TK


def _short_gaps(detected_T: Bool, max_fill_frames: int) -> Bool:
    """Frames of runs of misses that are at most `max_fill_frames` long."""
    starts, stops = runs(~detected_T)
    return _mask(starts, stops, stops - starts <= max_fill_frames, len(detected_T))


def _in_runs_of(mask_T: Bool, hit_T: Bool) -> Bool:
    """Frames of those runs of `mask_T` that contain a frame of `hit_T`."""
    starts, stops = runs(mask_T)
    hits = np.r_[0, np.cumsum(hit_T)]
    return _mask(starts, stops, hits[stops] > hits[starts], len(mask_T))


def _mask(starts: Any, stops: Any, chosen: Bool, frames: int) -> Bool:
    """(T,) True inside the chosen half-open ranges."""
    steps = np.zeros(frames + 1, np.int8)
    steps[starts[chosen]] += 1
    steps[stops[chosen]] -= 1
    return np.cumsum(steps[:-1], dtype=np.int8).astype(np.bool_)


def _between(positions_T2: Positions, known_T: Bool) -> Positions:
    """Linear between known frames, held before the first and after the last."""
    at = np.flatnonzero(known_T)
    every = np.arange(len(positions_T2))
    return np.stack([np.interp(every, at, positions_T2[at, d]) for d in (0, 1)], axis=1)


def _legacy(xy_TK2: Floats, confidence_TK: Floats, topology: Topology) -> tuple[Floats, Bool]:
    missing_TK: Bool = confidence_TK <= _LEGACY_THRESHOLD
    out_TK2 = xy_TK2.copy()
    frames = len(xy_TK2)
    every = np.arange(frames)
    for joint in topology.order:
        parent = topology.parents[joint]
        relative_T2 = xy_TK2[:, joint].astype(np.float64)
        if parent >= 0:
            relative_T2 = relative_T2 - xy_TK2[:, parent]  # also of a parent that is missing
        at = np.flatnonzero(~missing_TK[:, joint])
        seen = confidence_TK[:, joint] != 0
        mean = relative_T2[seen].mean(axis=0) if seen.any() else np.zeros(2)
        # the mean stands one frame before the first and one after the last
        known = np.r_[-1, at, frames]
        values = np.vstack([mean, relative_T2[at], mean])
        for d in (0, 1):
            guess = np.interp(every, known, values[:, d])
            relative_T2[:, d] = np.where(missing_TK[:, joint], guess, relative_T2[:, d])
        out_TK2[:, joint] = relative_T2 + (out_TK2[:, parent] if parent >= 0 else 0)
    return out_TK2, missing_TK
