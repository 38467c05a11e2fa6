"""Measures of two detections of the same T frames, a (the one there is) and b (the other).

Joints fall into the groups `body`, `left hand` and `right hand`; one counts as detected where its
confidence is > 0. Distances are in pixels.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.errors import AvpipeError, UsageError
from avpipe.keypoints.segments import hands_detected
from avpipe.types import Bool, Float32, Keypoints, Topology

Floats = npt.NDArray[np.floating[Any]]
HANDS = ("left", "right", "any", "both")
ONE_SIDED = 1.0
"""Disagreement, in shoulder widths, over a body or hand that only one of the two detects."""
_EDGES = np.geomspace(1e-4, 1e5, 2084)
"""Of the bins of a `Spread`: each is 1 % wide."""


@dataclass(frozen=True, eq=False)
class Spread:
    """How values >= 0 are spread, to within half a percent, in the same little memory for any
    number of them; spreads of parts add up to that of the whole."""

    counts: npt.NDArray[np.int64]
    """(bins,) values per bin; the first is of what is below 1e-4 and counts as 0."""

    @classmethod
    def of(cls, values: Floats) -> "Spread":
        """The spread of any array of values."""
        places = np.searchsorted(_EDGES, np.ravel(values), side="right")
        return cls(np.bincount(places, minlength=len(_EDGES) + 1))

    def __add__(self, other: "Spread") -> "Spread":
        return Spread(self.counts + other.counts)

    def __len__(self) -> int:
        return int(self._below[-1])

    @cached_property
    def _below(self) -> npt.NDArray[np.int64]:
        return np.cumsum(self.counts)

    def percentile(self, q: float) -> float | None:
        """The smallest value that `q` percent of all do not exceed; None if there are none."""
        if not len(self):
            return None
        rank = max(1, int(np.ceil(q / 100 * len(self))))
        place = int(np.searchsorted(self._below, rank))
        if place == 0:
            return 0.0
        low, high = _EDGES[place - 1], _EDGES[min(place, len(_EDGES) - 1)]
        return float(np.sqrt(low * high))


def in_one_topology(a: Keypoints, b: Keypoints) -> tuple[Keypoints, Keypoints]:
    """Both in the topology of one of them.

    Raises:
        UsageError: they differ in length, or neither can be viewed as the other.
    """
    if len(a) != len(b):
        raise UsageError(
            f"{len(a)} frames cannot be compared with {len(b)}: they are of two videos or rates"
        )
    if a.topology.name == b.topology.name:
        return a, b
    for name in (a.topology.name, b.topology.name):
        try:
            return a.view(name), b.view(name)
        except AvpipeError:
            continue
    raise UsageError(f"no mapping between {a.topology.name} and {b.topology.name}")


def groups(topology: Topology) -> dict[str, list[int]]:
    """Group -> its joints; without the groups that the topology does not have."""
    hands = {"left hand": list(topology.left_hand), "right hand": list(topology.right_hand)}
    of_hands = {joint for joints in hands.values() for joint in joints}
    body = [joint for joint in range(len(topology)) if joint not in of_hands]
    return {name: joints for name, joints in ({"body": body} | hands).items() if joints}


def coverage(keypoints: Keypoints) -> dict[str, int]:
    """Frames that show the `left` hand, the `right`, `any` and `both`; 0 if there are no hands."""
    found = hands_detected(keypoints.confidence, keypoints.topology)
    none = np.zeros(len(keypoints), np.bool_)
    left, right = found.get("left", none), found.get("right", none)
    seen = (left, right, left | right, left & right)
    return {name: int(frames.sum()) for name, frames in zip(HANDS, seen, strict=True)}


def distances(a: Keypoints, b: Keypoints) -> dict[str, Floats]:
    """Group -> (n,) px between the places of every joint that both detect, in all frames."""
    apart, both = _apart(a, b)
    return {name: apart[:, k][both[:, k]] for name, k in groups(a.topology).items()}


def jitter(keypoints: Keypoints) -> dict[str, Floats]:
    """Group -> (n,) px of the second difference |x[t-1] - 2 x[t] + x[t+1]| of every joint that is
    detected in three frames in a row: what shakes shows, what moves evenly does not."""
    xy, seen = keypoints.xy.astype(np.float64), keypoints.confidence > 0
    second = np.linalg.norm(xy[:-2] - 2 * xy[1:-1] + xy[2:], axis=2)
    three = seen[:-2] & seen[1:-1] & seen[2:]
    return {name: second[:, k][three[:, k]] for name, k in groups(keypoints.topology).items()}


def shoulder_width(*detections: Keypoints) -> float | None:
    """Median distance in px between the shoulders in the first detection that shows them; None if
    none does."""
    for keypoints in detections:
        joints = keypoints.topology.joints
        if {"left_shoulder", "right_shoulder"} <= set(joints):
            k = [joints.index("left_shoulder"), joints.index("right_shoulder")]
            seen = (keypoints.confidence[:, k] > 0).all(axis=1)
            left, right = keypoints.xy[seen][:, k].swapaxes(0, 1)
            if seen.any() and (width := float(np.median(np.linalg.norm(left - right, axis=1)))):
                return width
    return None


def disagreement(a: Keypoints, b: Keypoints, scale_px: float) -> Floats:
    """(T,) how far two detections are apart, in units of `scale_px`: over body and hands the mean
    of the median distance of the joints that both detect; `ONE_SIDED` where one of them detects
    less than half of a group's joints that the other detects, 0 where neither detects any."""
    apart, both = _apart(a, b)
    total = np.zeros(len(a))
    parts = groups(a.topology)
    for k in parts.values():
        shared = both[:, k].sum(axis=1)
        most = np.maximum(
            (a.confidence[:, k] > 0).sum(axis=1), (b.confidence[:, k] > 0).sum(axis=1)
        )
        ordered = np.sort(np.where(both[:, k], apart[:, k], np.inf), axis=1)
        middle = ordered[np.arange(len(a)), np.maximum(shared - 1, 0) // 2]
        near = np.where(shared > 0, middle, 0) / scale_px
        total += np.where(2 * shared < most, ONE_SIDED, near)
    return total / max(len(parts), 1)


def worst_frames(disagreement: Floats, count: int, gap: int) -> list[int]:
    """The frames that disagree most, at least `gap` frames apart, the worst first; none that agree.
    Of equals the earlier one."""
    chosen: list[int] = []
    for frame in np.argsort(-disagreement, kind="stable").tolist():
        if len(chosen) == count or disagreement[frame] <= 0:
            break
        if all(abs(frame - other) >= gap for other in chosen):
            chosen.append(frame)
    return chosen


def _apart(a: Keypoints, b: Keypoints) -> tuple[Float32, Bool]:
    """(T, K) px between the two, and where both detect the joint."""
    apart: Float32 = np.linalg.norm(np.asarray(a.xy) - np.asarray(b.xy), axis=2)
    both: Bool = (a.confidence > 0) & (b.confidence > 0)
    return apart, both
