"""The hands of the people that are followed, arm by arm.

1. `direct`: where an arm says that a hand must be, `hand_recrop`, the hand model.
2. `propagated`: into frames without it a hand is followed from the frame before.
3. `fallback`: every `fallback_frames`-th frame palms in a crop around the wrist, where there is
   still no hand, and propagated from there.
4. `propagated`, backwards: into frames without it a hand is followed from the frame after.

A hand is accepted if the hand model is sure, its wrist lies at the body's wrist, and no other
arm has a better claim to it. Steps 1 to 3 need nothing later; for step 4 the end of every arm that
has no hand is kept of the last frames, at most 1.2 MB each. Every step is defined frame by frame,
so that results do not depend on how frames come in blocks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from avpipe.detectors._mediapipe import arms, chain, regions
from avpipe.detectors._mediapipe.blocks import Block, Found, Origin, Rules, Slot
from avpipe.detectors._mediapipe.chain import Body, Hand, Region
from avpipe.detectors._mediapipe.crop import Box, within
from avpipe.detectors._mediapipe.runner import Pictures
from avpipe.detectors._sides import SIDES, Side, other_side

_BACK_FRAMES = 125
"""So far back a hand is followed at most: five seconds."""

Arm = tuple[int, Side]
"""Number of a person and side."""


class _Hole(NamedTuple):
    """An arm without a hand in an earlier frame."""

    frame: int
    """Number in the recording."""
    body: Body
    box: Box
    picture: Pictures
    """What is in the box."""
    corner: tuple[int, int]
    """Left and top of the picture, px."""
    others: Mapping[Arm, Found]
    """The hands of the frame that were found directly."""


@dataclass
class _Past:
    """What is remembered of the frames before a block."""

    certain: dict[Arm, Found] = field(default_factory=dict)
    """Hands of the last frame found in steps 1 and 2."""
    fallen_back: dict[Arm, Found] = field(default_factory=dict)
    """Those of step 3."""
    holes: dict[Arm, list[_Hole]] = field(default_factory=dict)
    """Arms without a hand up to the last frame, and since when."""


class Hands:
    """Finds the hands of everybody, block by block."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._past = _Past()
        self._direct: dict[int, dict[Arm, Found]] = {}
        """Hands of the block by frame, of step 1."""

    def find(self, block: Block) -> None:
        """Fills `block.hands` and `block.late`."""
        past, last = self._past, len(block) - 1
        self._find_directly(block)
        self._follow(block, _before(past.certain) | block.hands, 1)
        certain = _of_frame(block, last)
        fallen_back = self._fall_back(block)
        self._follow(block, _before(past.fallen_back) | fallen_back, 1)
        later = {arm: hand for arm, hand in _of_frame(block, last).items() if arm not in certain}
        steps = self._follow(block, block.hands, -1)
        self._follow_into_the_past(block, steps)
        self._past = _Past(certain, later, self._open_holes(block))

    def _find_directly(self, block: Block) -> None:
        self._direct = {}
        slots = _holes(block)
        rough = arms.at_the_hands(block, slots)
        frames = [t for _, t, _ in slots]
        better = chain.recropped(block.pictures, list(zip(frames, rough, strict=True)))
        where = list(zip(frames, regions.snapped(better), strict=True))
        hands = zip(slots, chain.hands(block.pictures, where), strict=True)
        found = [
            (slot, Found(hand, Origin.DIRECT, arms.claim(block.bodies[slot[:2]], slot[2], hand)))
            for slot, hand in hands
            if hand is not None and self._fits(block.bodies[slot[:2]], slot[2], hand)
        ]
        for (person, t, side), one in sorted(found, key=lambda item: -item[1].claim):
            if self._unbeaten(block, (person, t, side), one):
                block.hands[person, t, side] = one
                self._direct.setdefault(t, {})[person, side] = one

    def _follow(self, block: Block, sources: Mapping[Slot, Found], step: int) -> dict[Slot, int]:
        """Follows hands into holes, a frame a wave; `step` 1 forwards, -1 backwards.

        Args:
            sources: hands to start from; frame -1 is the one before the block.

        Returns:
            How many frames each new hand is from the one it started from.
        """
        holes, distance = set(_holes(block)), dict[Slot, int]()
        wave = {(p, t + step, side): found for (p, t, side), found in sources.items()}
        for steps in range(1, _BACK_FRAMES + 1 if step < 0 else len(block) + 1):
            slots, where = [], []
            for slot in sorted(holes.intersection(wave)):
                region = _next(wave[slot].hand)
                if step > 0 or regions.inside(region, _box(block, slot)):
                    slots.append(slot)
                    where.append((slot[1], region))
            if not slots:
                break
            holes.difference_update(slots)
            hands = chain.hands(block.pictures, where)
            judged = {
                slot: self._accepted(block, slot, hand, Origin.PROPAGATED)
                for slot, hand in zip(slots, hands, strict=True)
            }
            found = {slot: hand for slot, hand in judged.items() if hand is not None}
            block.hands |= found
            distance |= dict.fromkeys(found, steps)
            wave = {(p, t + step, side): hand for (p, t, side), hand in found.items()}
        return distance

    def _fall_back(self, block: Block) -> dict[Slot, Found]:
        """Looks for palms around the wrist."""
        now = set(block.every(self._rules.fallback_frames))
        slots = [slot for slot in _holes(block) if slot[1] in now]
        where = [(t, arms.around(block.bodies[p, t], side)) for p, t, side in slots]
        tries = [
            (slot, region)
            for slot, found in zip(slots, chain.palm_regions(block.pictures, where), strict=True)
            for region in regions.snapped(np.reshape(found, (-1, 5)))
        ]
        hands = chain.hands(block.pictures, [(slot[1], region) for slot, region in tries])
        best: dict[Slot, Found] = {}
        for (slot, _), hand in zip(tries, hands, strict=True):
            found = self._accepted(block, slot, hand, Origin.FALLBACK)
            if found and (slot not in best or found.claim > best[slot].claim):
                best[slot] = found
        block.hands |= best
        return best

    # --- into earlier blocks

    def _open_holes(self, block: Block) -> dict[Arm, list[_Hole]]:
        """The holes that reach the end of the block, with those before it that they continue."""
        missing, opened = set(_holes(block)), dict[Arm, list[_Hole]]()
        for person, t, side in sorted(missing):
            if t != len(block) - 1:
                continue
            run: list[_Hole] = []
            while (person, t, side) in missing and len(run) < _BACK_FRAMES:
                hole = self._kept(block, (person, t, side))
                if hole is None:
                    break
                run.append(hole)
                t -= 1
            if t < 0:
                run += self._past.holes.get((person, side), [])
            opened[person, side] = run[:_BACK_FRAMES]
        return opened

    def _kept(self, block: Block, slot: Slot) -> _Hole | None:
        """A hole with what is needed to fill it later; None if its arm ends outside the picture."""
        box = _box(block, slot)
        inside = within(block.pictures.height, block.pictures.width, box)
        if inside[0] == inside[2]:
            return None
        return _Hole(
            block.start + slot[1],
            block.bodies[slot[:2]],
            box,
            block.pictures.cut(slot[1], inside),
            inside[:2],
            self._direct.get(slot[1], {}),
        )

    def _follow_into_the_past(self, block: Block, distance: Mapping[Slot, int]) -> None:
        for (person, side), run in sorted(self._past.holes.items()):
            source = block.hands.get((person, 0, side))
            steps = distance.get((person, 0, side), 0)
            for hole in run[: _BACK_FRAMES - steps]:
                source = source and self._found_in(hole, side, source.hand)
                if source is None:
                    break
                block.late[person, hole.frame - block.start, side] = source

    def _found_in(self, hole: _Hole, side: Side, neighbour: Hand) -> Found | None:
        region = _next(neighbour)
        if not regions.inside(region, hole.box):
            return None
        shift = np.array([*hole.corner, 0, 0, 0])
        (hand,) = chain.hands(hole.picture, [(0, region - shift)])
        if hand is None:
            return None
        hand = hand._replace(xy=hand.xy + hole.corner)
        found = Found(hand, Origin.PROPAGATED, arms.claim(hole.body, side, hand))
        fits = self._fits(hole.body, side, hand) and _winner(found, hole.others) is None
        return found if fits else None

    # --- judgement

    def _accepted(
        self, block: Block, slot: Slot, hand: Hand | None, origin: Origin
    ) -> Found | None:
        """The hand, if it hangs on the arm and does not suit another arm better that has it."""
        body = block.bodies[slot[:2]]
        if hand is None or not self._fits(body, slot[2], hand):
            return None
        found = Found(hand, origin, arms.claim(body, slot[2], hand))
        return found if self._unbeaten(block, slot, found) else None

    def _unbeaten(self, block: Block, slot: Slot, found: Found) -> bool:
        """Whether no arm was found directly to have the hand and a better claim to it; the
        person's other arm takes note of the rival."""
        person, t, side = slot
        winner = _winner(found, self._direct.get(t, {}))
        twin = (person, t, other_side(side))
        if winner == (person, twin[2]) and found.claim > block.hands[twin].rival:
            block.hands[twin] = block.hands[twin]._replace(rival=found.claim)
        return winner is None

    def _fits(self, body: Body, side: Side, hand: Hand) -> bool:
        return arms.gap(body, side, hand) <= self._rules.wrist_gate


def _next(hand: Hand) -> Region:
    """Where a hand is in a neighbouring frame."""
    return arms.only(regions.hand_from_landmarks(hand.xy[None]))


def _winner(found: Found, others: Mapping[Arm, Found]) -> Arm | None:
    """Which of the others has the same hand and a better claim to it."""
    same = (arm for arm, o in others.items() if arms.is_same(found.hand, o.hand))
    return next((arm for arm in same if found.claim <= others[arm].claim), None)


def _holes(block: Block) -> list[Slot]:
    """Arms without a hand whose wrist is in view."""
    return [
        (person, t, side)
        for (person, t), body in sorted(block.bodies.items())
        for side in SIDES
        if (person, t, side) not in block.hands and arms.in_view(body, side)
    ]


def _before(hands: Mapping[Arm, Found]) -> dict[Slot, Found]:
    return {(person, -1, side): found for (person, side), found in hands.items()}


def _of_frame(block: Block, t: int) -> dict[Arm, Found]:
    return {(p, side): found for (p, at, side), found in block.hands.items() if at == t}


def _box(block: Block, slot: Slot) -> Box:
    return arms.reach(block.bodies[slot[:2]], slot[2])
