"""The hands of the people that are followed, arm by arm.

1. `direct`: on every `key_frames`-th frame, where an arm says that a hand must be, `hand_recrop`,
   the hand model. Only hands that it is sure of count, so that no distorted one is followed.
2. `propagated`: into frames without it a hand is followed from the frame before: that leads nearer
   to it than an arm does.
3. `direct` on all frames where there is still no hand, now unsure ones, too; they are looked at
   again from their own landmarks. Propagated from there.
4. `fallback`: every `fallback_frames`-th frame palms in a crop around the wrist, where there is
   still no hand, and propagated from there.
5. `propagated`, backwards: into frames without it a hand is followed from the frame after.

A hand is accepted if the hand model is sure, its wrist lies at the body's wrist, and no other
arm has a better claim to it. Steps 1 to 4 need nothing later; for step 5 the end of every arm that
has no hand is kept of the last frames, at most 1.2 MB each. Every step is defined frame by frame,
so that results do not depend on how frames come in blocks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
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
_PERHAPS, _SURE = 0.1, 0.9
"""Presence from which a hand is looked at again, closer, and from which that is not needed."""

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
    """The hands of the frame that others have, see `Hands._settled`."""


_Hands = dict[Arm, Found]
"""Of one frame."""


@dataclass
class _Past:
    """What is remembered of the frames before a block."""

    last: tuple[_Hands, ...] = ({}, {}, {})
    """Hands of the last frame: of steps 1 and 2, of step 3, of step 4."""
    holes: dict[Arm, list[_Hole]] = field(default_factory=dict)
    """Arms without a hand up to the last frame, and since when."""


class Hands:
    """Finds the hands of everybody, block by block."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._past = _Past()
        self._seen: dict[Slot, Hand | None] = {}
        """What the block's key frames show where arms point."""
        self._settled: dict[int, _Hands] = {}
        """Hands of the block by frame that later steps may not take: those of the steps before, of
        step 1 while that is followed."""

    def find(self, block: Block) -> None:
        """Fills `block.hands` and `block.late`."""
        self._settled = {}
        steps: tuple[Callable[[], dict[Slot, Found]], ...] = (
            partial(self._find_sure_ones, block),
            partial(self._find_unsure_ones, block),
            partial(self._fall_back, block),
        )
        last = list[_Hands]()
        for look, before in zip(steps, self._past.last, strict=True):
            found = look()
            self._follow(block, _before(before) | found, 1)
            at_end = _of_frame(block, len(block) - 1)
            last.append({arm: hand for arm, hand in at_end.items() if not _in(arm, last)})
            self._settle(block.hands)
        distance = self._follow(block, block.hands, -1)
        self._follow_into_the_past(block, distance)
        self._past = _Past(tuple(last), self._open_holes(block))

    def _settle(self, hands: Mapping[Slot, Found]) -> None:
        for (person, t, side), found in hands.items():
            self._settled.setdefault(t, {})[person, side] = found

    def _find_sure_ones(self, block: Block) -> dict[Slot, Found]:
        now = set(block.every(self._rules.key_frames))
        slots = [slot for slot in _holes(block) if slot[1] in now]
        hands = chain.hands(block.pictures, _at_the_hands(block, slots), _PERHAPS)
        self._seen = dict(zip(slots, hands, strict=True))
        sure = [hand if hand is not None and hand.presence > _SURE else None for hand in hands]
        return self._accept(block, slots, sure)

    def _find_unsure_ones(self, block: Block) -> dict[Slot, Found]:
        slots = _holes(block)
        new = [slot for slot in slots if slot not in self._seen]
        found = chain.hands(block.pictures, _at_the_hands(block, new), _PERHAPS)
        seen = self._seen | dict(zip(new, found, strict=True))
        hands = _looked_at_twice(block, {slot: seen[slot] for slot in slots})
        return self._accept(block, slots, hands)

    def _accept(
        self, block: Block, slots: Sequence[Slot], hands: Sequence[Hand | None]
    ) -> dict[Slot, Found]:
        """Those of the hands found directly that hang on their arms; each stays with the best."""
        judged = [
            (slot, self._judged(block.bodies[slot[:2]], slot[2], hand, Origin.DIRECT))
            for slot, hand in zip(slots, hands, strict=True)
        ]
        found = [(slot, one) for slot, one in judged if one is not None]
        accepted: dict[Slot, Found] = {}
        for slot, one in sorted(found, key=lambda item: -item[1].claim):
            if self._unbeaten(slot[1], one):
                accepted[slot] = one
                self._settle({slot: one})
        block.hands |= accepted
        return accepted

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
            self._settled.get(slot[1], {}),
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
        found = self._judged(hole.body, side, hand, Origin.PROPAGATED)
        return found if found is not None and _unbeaten(found, hole.others) else None

    # --- judgement

    def _accepted(
        self, block: Block, slot: Slot, hand: Hand | None, origin: Origin
    ) -> Found | None:
        """The hand, if it hangs on the arm and does not suit another arm better that has it."""
        found = self._judged(block.bodies[slot[:2]], slot[2], hand, origin)
        return found if found is not None and self._unbeaten(slot[1], found) else None

    def _unbeaten(self, t: int, found: Found) -> bool:
        return _unbeaten(found, self._settled.get(t, {}))

    def _judged(self, body: Body, side: Side, hand: Hand | None, origin: Origin) -> Found | None:
        """The hand, if it hangs on the arm, with the claims that this and the other arm have."""
        if hand is None or not self._fits(body, side, hand):
            return None
        other = other_side(side)
        reached = arms.in_view(body, other) and self._fits(body, other, hand)
        rival = arms.claim(body, other, hand) if reached else -np.inf
        return Found(hand, origin, arms.claim(body, side, hand), rival)

    def _fits(self, body: Body, side: Side, hand: Hand) -> bool:
        return arms.gap(body, side, hand) <= self._rules.wrist_gate


def _at_the_hands(block: Block, slots: Sequence[Slot]) -> list[tuple[int, Region]]:
    """Frame and region where each arm says that its hand must be."""
    frames = [t for _, t, _ in slots]
    rough = list(zip(frames, arms.at_the_hands(block, slots), strict=True))
    better = regions.snapped(chain.recropped(block.pictures, rough))
    return list(zip(frames, better, strict=True))


def _looked_at_twice(block: Block, first: Mapping[Slot, Hand | None]) -> list[Hand | None]:
    """The hands that there are; unsure ones looked at again, in the region of their landmarks."""
    hands = dict(first)
    unsure = {s: hand for s, hand in hands.items() if hand is not None and hand.presence < _SURE}
    closer = [(t, _next(hand)) for (_, t, _), hand in unsure.items()]
    for slot, again in zip(unsure, chain.hands(block.pictures, closer), strict=True):
        if again is not None and again.presence > unsure[slot].presence:
            hands[slot] = again
    there = (hand if hand and hand.presence > chain.PRESENT else None for hand in hands.values())
    return list(there)


def _next(hand: Hand) -> Region:
    """Where a hand is in a neighbouring frame."""
    return arms.only(regions.hand_from_landmarks(hand.xy[None]))


def _unbeaten(found: Found, others: Mapping[Arm, Found]) -> bool:
    """Whether none of the others has the same hand and a better claim to it."""
    same = (other for other in others.values() if arms.is_same(found.hand, other.hand))
    return all(found.claim > other.claim for other in same)


def _holes(block: Block) -> list[Slot]:
    """Arms without a hand whose wrist is in view."""
    return [
        (person, t, side)
        for (person, t), body in sorted(block.bodies.items())
        for side in SIDES
        if (person, t, side) not in block.hands and arms.in_view(body, side)
    ]


def _in(arm: Arm, hands: Sequence[_Hands]) -> bool:
    return any(arm in of_step for of_step in hands)


def _before(hands: Mapping[Arm, Found]) -> dict[Slot, Found]:
    return {(person, -1, side): found for (person, side), found in hands.items()}


def _of_frame(block: Block, t: int) -> dict[Arm, Found]:
    return {(p, side): found for (p, at, side), found in block.hands.items() if at == t}


def _box(block: Block, slot: Slot) -> Box:
    return arms.reach(block.bodies[slot[:2]], slot[2])
