"""Which of the player's hands a detected hand is.

MediaPipe reports up to two hands with a label that assumes a mirrored picture. The body is the
better witness: a hand belongs to the pose wrist that it hangs on. Positions are pixels.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")

WRIST_GATE = 0.35
"""How far a hand's wrist may lie from the pose's, in shoulder widths; true hands lie within 0.2."""
VISIBLE = 0.5
"""A pose wrist below this visibility is invented (mostly outside the picture)."""


class Hand(Protocol):
    """One detected hand."""

    @property
    def xy(self) -> npt.NDArray[np.floating[Any]]:
        """(21, 2) px; point 0 is the wrist."""

    @property
    def score(self) -> float:
        """In (0, 1]."""

    @property
    def label(self) -> Side:
        """The player's side as the detector sees it, in an ordinary (not mirrored) picture."""


H = TypeVar("H", bound=Hand)


class Wrists(NamedTuple):
    """What the pose says about the wrists of the player."""

    xy: npt.NDArray[np.floating[Any]]
    """(2, 2) px, left then right."""
    visibility: npt.NDArray[np.floating[Any]]
    """(2,) in [0, 1]."""
    shoulder_width: float
    """Distance between the shoulders, px."""

    @property
    def usable(self) -> bool:
        """Both wrists are in the picture, so that the nearer one means something."""
        return bool((self.visibility > VISIBLE).all())


def assign(hands: Sequence[H], wrists: Wrists | None) -> dict[Side, H]:
    """At most one hand a side.

    With a pose, a hand goes to the nearer wrist. If both hands hang on one wrist, the nearer one
    has it; the other one moves to the free wrist if it lies within the gate of that, and is
    dropped otherwise: it is the same hand found twice. Without a pose the labels decide, and of
    two hands with one label the better one.
    """
    if wrists is not None and wrists.usable:
        return _by_wrist(hands, wrists)
    sides: dict[Side, H] = {}
    for hand in sorted(hands, key=lambda hand: -hand.score):
        sides.setdefault(hand.label if hand.label not in sides else other_side(hand.label), hand)
    return sides


def _by_wrist(hands: Sequence[H], wrists: Wrists) -> dict[Side, H]:
    distances = [np.linalg.norm(hand.xy[0] - wrists.xy, axis=1) for hand in hands]
    sides: dict[Side, H] = {}
    for index in sorted(range(len(hands)), key=lambda i: float(distances[i].min())):
        nearest = SIDES[int(distances[index].argmin())]
        if nearest not in sides:
            sides[nearest] = hands[index]
        elif distances[index].max() <= WRIST_GATE * wrists.shoulder_width:
            sides.setdefault(other_side(nearest), hands[index])
    return sides


def other_side(side: Side) -> Side:
    """Right for left and left for right."""
    return "right" if side == "left" else "left"
