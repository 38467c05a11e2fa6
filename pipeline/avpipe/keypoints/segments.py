"""Stretches in which the player's hands are visible.

A frame is visible when at least one hand is detected; a segment starts and ends on a visible
frame, bridges at most `max_gap` misses in a row and holds at least `min_frames` visible frames.
With `legacy=True` both functions do what the published Solos code did, quirks included, so that its
released timestamps can be compared. Those are inclusive: released [a, b] is `Segment(a, b + 1)`.
"""

import numpy as np
import numpy.typing as npt

from avpipe.errors import AvpipeError
from avpipe.types import Bool, Float32, Segment, Topology

Ints = npt.NDArray[np.int64]


def hand_visibility(confidence_TK: Float32, topology: Topology, legacy: bool = False) -> Bool:
    """Which frames show a hand.

    A hand is detected when more than half of its joints have confidence > 0.

    Args:
        confidence_TK: (T, K) in [0, 1], 0 = not detected.
        topology: with joints of hands.
        legacy: test joints 4 and 7 of `solos47` (left shoulder and base of the right thumb) as the
            published code does; it took them for the wrists of BODY_25.

    Returns:
        (T,) True where at least one hand is detected.

    Raises:
        AvpipeError: the topology has no hands, or the shape is not its.
    """
    confidence_TK = np.asarray(confidence_TK)
    if confidence_TK.ndim != 2 or confidence_TK.shape[1] != len(topology):
        raise AvpipeError(
            f"{topology.name} needs confidence (T, {len(topology)}), not {confidence_TK.shape}"
        )
    if legacy:
        tested = [topology.index("left_shoulder"), topology.index("right_hand_thumb_cmc")]
        seen = [confidence_TK[:, joint] != 0 for joint in tested]
    else:
        seen = list(hands_detected(confidence_TK, topology).values())
    if not seen:
        raise AvpipeError(f"topology {topology.name} has no hands")
    visible: Bool = np.any(seen, axis=0)
    return visible


def hands_detected(confidence_TK: Float32, topology: Topology) -> dict[str, Bool]:
    """Which frames show which hand: `left` and `right`, as far as the topology has them, to (T,).

    A hand is detected when more than half of its joints have confidence > 0.
    """
    hands = {"left": topology.left_hand, "right": topology.right_hand}
    return {
        side: 2 * (confidence_TK[:, list(joints)] > 0).sum(axis=1) > len(joints)
        for side, joints in hands.items()
        if joints
    }


def find_segments(
    visible_T: Bool, min_frames: int = 150, max_gap: int = 5, legacy: bool = False
) -> list[Segment]:
    """All longest segments, disjoint and in order.

    Args:
        visible_T: (T,) True where a hand is visible.
        min_frames: least number of visible frames in a segment.
        max_gap: most misses in a row inside a segment.
        legacy: as the published code: a single visible frame counts only if it ends the recording,
            at most `max_gap - 2` misses are bridged, and last - first must exceed `min_frames`.

    Raises:
        AvpipeError: the shape is not (T,), or a limit is too small.
    """
    if np.ndim(visible_T) != 1:
        raise AvpipeError(
            f"visible must be (T,), not {np.shape(visible_T)}: see hand_visibility for confidences"
        )
    if min_frames < 1 or max_gap < 0:
        raise AvpipeError(
            f"min_frames {min_frames} must be at least 1 and max_gap {max_gap} at least 0"
        )
    starts, stops = runs(visible_T)
    if legacy:
        kept = (stops - starts > 1) | (stops == len(visible_T))
        starts, stops = starts[kept], stops[kept]
        max_gap -= 2
    if not len(starts):
        return []
    first = np.flatnonzero(np.r_[True, starts[1:] - stops[:-1] > max_gap])
    last = np.r_[first[1:], len(starts)] - 1
    if legacy:
        enough = stops[last] - 1 - starts[first] > min_frames
    else:
        enough = np.add.reduceat(stops - starts, first) >= min_frames
    return [
        Segment(int(a), int(b))
        for a, b in zip(starts[first[enough]], stops[last[enough]], strict=True)
    ]


def runs(mask_T: Bool) -> tuple[Ints, Ints]:
    """Half-open runs of True: their starts and stops."""
    edges = np.flatnonzero(
        np.diff(np.asarray(mask_T, np.bool_).astype(np.int8), prepend=0, append=0)
    )
    return edges[0::2], edges[1::2]
