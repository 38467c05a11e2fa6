"""Hands that no arm leads to: they fill the picture, and at most a forearm is in view.

Palms are looked for in whole pictures every `key_frames`-th frame and where no hand is left; in
between each hand is followed from frame to frame, as MediaPipe's Hands do when they track. A hand
so followed is left or right by how it looks over all its frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from avpipe.detectors._mediapipe import arms, chain, regions
from avpipe.detectors._mediapipe.blocks import Block
from avpipe.detectors._mediapipe.chain import Hand, Region
from avpipe.detectors._sides import SIDES, Side, other_side

_LOOK_FRAMES = 25
"""Every how many frames the whole picture is asked whether a hand fills it."""
_LARGE = 0.5
"""A palm so large beside somebody's shoulders shows that the pose model made them up."""
_MOST = 2


@dataclass(eq=False)
class Loose:
    """One hand, as long as it can be followed."""

    frames: list[int] = field(default_factory=list)
    """Numbers in the recording, consecutive."""
    hands: list[Hand] = field(default_factory=list)

    @property
    def rightness(self) -> float:
        """Mean over its frames."""
        return float(np.mean([hand.rightness for hand in self.hands]))


class LooseHands:
    """Finds hands without bodies, block by block."""

    def __init__(self, key_frames: int) -> None:
        self._key_frames = key_frames
        self._palm = 0.0
        self._all: list[Loose] = []
        self._followed: list[Loose] = []

    def drop_made_up_bodies(self, block: Block) -> None:
        """In a close-up of a hand the pose model makes up a body, with a palm as large as its
        chest: it is not there, until a later look says otherwise. Only of people seen alone."""
        looks = block.every(_LOOK_FRAMES)
        seen = dict(zip(looks, _from_palms(block, looks), strict=True))
        for t in range(len(block)):
            if t in seen:
                sizes = [np.linalg.norm(hand.xy[9] - hand.xy[0]) for hand in seen[t]]
                self._palm = float(max(sizes, default=0.0))
            here = [place for place in block.bodies if place[1] == t]
            if len(here) == 1 and self._palm > _LARGE * arms.span(block.bodies[here[0]]):
                del block.bodies[here[0]]

    def find(self, block: Block) -> None:
        """Looks for hands where no wrist of a body is in view."""
        with_arms = {
            t
            for (_, t), body in block.bodies.items()
            if any(arms.in_view(body, side) for side in SIDES)
        }
        keys = set(block.every(self._key_frames))
        for t in range(len(block)):
            if t in with_arms:
                self._followed = []
                continue
            self._follow(block, t)
            if len(self._followed) < _MOST and (t in keys or not self._followed):
                self._look(block, t)

    def sides(self) -> list[tuple[Side, Loose]]:
        """The hands, the longest first; of two at a time at most one a side."""
        placed: list[tuple[Side, Loose]] = []
        for loose in sorted(self._all, key=lambda loose: -len(loose.frames)):
            side: Side = "right" if loose.rightness > 0.5 else "left"
            span = range(loose.frames[0], loose.frames[-1] + 1)
            beside = {s for s, o in placed if o.frames[0] in span or span[0] in _span(o)}
            if side in beside:
                side = other_side(side)
            if side not in beside:
                placed.append((side, loose))
        return placed

    def _follow(self, block: Block, t: int) -> None:
        where = [(t, _next(loose.hands[-1])) for loose in self._followed]
        still: list[Loose] = []
        for loose, hand in zip(self._followed, chain.hands(block.pictures, where), strict=True):
            if hand is not None and not any(arms.is_same(hand, o.hands[-1]) for o in still):
                loose.frames.append(block.start + t)
                loose.hands.append(hand)
                still.append(loose)
        self._followed = still

    def _look(self, block: Block, t: int) -> None:
        for hand in _from_palms(block, [t])[0]:
            known = any(arms.is_same(hand, loose.hands[-1]) for loose in self._followed)
            if not known and len(self._followed) < _MOST:
                self._followed.append(Loose([block.start + t], [hand]))
                self._all.append(self._followed[-1])


def _from_palms(block: Block, frames: Sequence[int]) -> list[list[Hand]]:
    """Hands of each frame from palms of the whole picture, looked at twice: once by the palm, once
    by themselves."""
    found = chain.palm_regions(block.pictures, chain.whole(block.pictures, frames))
    where = [
        (t, region)
        for t, of_t in zip(frames, found, strict=True)
        for region in regions.snapped(np.reshape(of_t, (-1, 5)))
    ]
    again = [
        (t, _next(hand))
        for (t, _), hand in zip(where, chain.hands(block.pictures, where), strict=True)
        if hand is not None
    ]
    hands: dict[int, list[Hand]] = {t: [] for t in frames}
    for (t, _), hand in zip(again, chain.hands(block.pictures, again), strict=True):
        if hand is not None:
            hands[t].append(hand)
    return list(hands.values())


def _next(hand: Hand) -> Region:
    region: Region = regions.hand_from_landmarks(hand.xy[None])[0]
    return region


def _span(loose: Loose) -> range:
    return range(loose.frames[0], loose.frames[-1] + 1)
