"""Arms and hands: where an arm says that a hand is, and how well a hand suits an arm."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from avpipe.detectors._mediapipe import regions
from avpipe.detectors._mediapipe.blocks import ELBOW, SHOULDERS, WRIST, Block, Slot
from avpipe.detectors._mediapipe.chain import Body, Hand, Region
from avpipe.detectors._mediapipe.crop import Box, Regions
from avpipe.detectors._mediapipe.regions import Points
from avpipe.detectors._sides import SIDES, VISIBLE, Side

_SAME = 0.4
"""Hands whose joints lie nearer than this to each other, in palms of the larger one, are one."""
_REACH, _MOST_PX = 1.25, 320
"""A hand is followed backwards within so many shoulder widths of its wrist, and so many px."""


def in_view(body: Body, side: Side) -> bool:
    """Whether the wrist is in the picture and not made up."""
    return bool(body.visibility[WRIST[side]] > VISIBLE)


def at_the_hands(block: Block, slots: Sequence[Slot]) -> Regions:
    """(n, 5) where the arms say that hands must be."""
    rough = np.empty((len(slots), 5))
    for side in SIDES:
        of_side = [i for i, slot in enumerate(slots) if slot[2] == side]
        if of_side:
            bodies = np.stack([block.bodies[slots[i][:2]].xy for i in of_side])
            rough[of_side] = regions.hand_from_pose(bodies, side)
    return regions.snapped(rough)


def around(body: Body, side: Side) -> Region:
    """The square around the end of an arm, where a palm may be searched."""
    wrist, elbow = body.xy[WRIST[side]], body.xy[ELBOW[side]]
    hand = regions.hand_centre(body.xy[None], side)[0]
    length = max(3 * float(np.linalg.norm(wrist - elbow)), 64.0)
    return only(regions.square((0.3 * wrist + 0.7 * hand)[None], np.array([length])))


def reach(body: Body, side: Side) -> Box:
    """What is kept of a picture to follow a hand into it later."""
    x, y = np.rint(body.xy[WRIST[side]]).astype(int)
    half = int(min(_REACH * span(body), _MOST_PX))
    return int(x) - half, int(y) - half, int(x) + half, int(y) + half


def gap(body: Body, side: Side, hand: Hand) -> float:
    """From the hand's wrist to the body's, in shoulder widths."""
    return float(np.linalg.norm(hand.xy[0] - body.xy[WRIST[side]])) / max(span(body), 1.0)


def is_same(one: Hand, other: Hand) -> bool:
    """Whether two arms have found one and the same hand."""
    return bool(same_hands(one.xy[None], other.xy[None])[0])


def same_hands(one: Points, other: Points) -> npt.NDArray[np.bool_]:
    """(n,) whether hands (n, 21, 2) lie on each other; two real ones do not even when folded."""
    palm = np.maximum(*(np.linalg.norm(hand[:, 9] - hand[:, 0], axis=-1) for hand in (one, other)))
    same: npt.NDArray[np.bool_] = np.linalg.norm(one - other, axis=-1).mean(axis=-1) < _SAME * palm
    return same


def overlap(one: Points, other: Points) -> npt.NDArray[np.float64]:
    """(n,) how much of the box of the smaller one of two hands (n, 21, 2) lies in the other's."""
    low = np.maximum(one.min(axis=1), other.min(axis=1))
    high = np.minimum(one.max(axis=1), other.max(axis=1))
    areas = [np.ptp(hand, axis=1).prod(axis=1) for hand in (one, other)]
    smaller = np.maximum(np.minimum(*areas), 1.0)
    share: npt.NDArray[np.float64] = (high - low).clip(0).prod(axis=1) / smaller
    return share


def claim(body: Body, side: Side, hand: Hand) -> float:
    """How well a hand suits an arm: sure, of the right look, near the wrist."""
    return merit(hand, side) - gap(body, side, hand)


def span(body: Body) -> float:
    """Width of the shoulders, px; of a player seen from the side, the longer forearm."""
    pairs = [SHOULDERS, *([WRIST[side], ELBOW[side]] for side in SIDES)]
    return max(float(np.linalg.norm(body.xy[a] - body.xy[b])) for a, b in pairs)


def merit(hand: Hand, side: Side) -> float:
    """Presence, less a half if the hand looks like one of the other side."""
    return hand.presence - 0.5 * (hand.label != side)


def only(region: Regions) -> Region:
    """The only region, snapped to the grid."""
    one: Region = regions.snapped(region)[0]
    return one
