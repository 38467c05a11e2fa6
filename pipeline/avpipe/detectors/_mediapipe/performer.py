"""The recipe for one performer over a whole recording: better hands than frame by frame.

1. A body region from every `key_frames`-th frame's detection, kept in between: steadier joints.
2. `direct`: where the body's arm says a hand must be, `hand_recrop`, the hand model.
3. `propagated`: into frames without it, a hand is followed from the neighbouring frame, first
   forwards, then backwards.
4. `fallback`: palms in a crop around the wrist where there is still none, and propagated again.
5. `palm`: palms of the whole picture where there is no body with a wrist in view (close-ups).

A hand is accepted if the hand model is sure and its wrist lies at the body's wrist. Frames come
in blocks whose length depends on the picture size only; a block is final when the next one has
been looked at, so what is remembered is two blocks, and how frames arrive changes nothing.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from avpipe.detectors._mediapipe import arms, chain, regions
from avpipe.detectors._mediapipe.blocks import (
    WRIST,
    Block,
    Edge,
    Found,
    Origin,
    Rules,
    Slot,
)
from avpipe.detectors._mediapipe.chain import Body, Hand, Region
from avpipe.detectors._mediapipe.people import Players
from avpipe.detectors._sides import SIDES, VISIBLE, Side, assign, other_side

_LOOK_FRAMES = 25
"""Every how many frames the whole picture is asked whether a hand fills it."""


class Performer:
    """The recipe for one recording."""

    def __init__(self, rules: Rules, players: Players | None = None, player: int = 0) -> None:
        """`player` is which of `players` it is; without them it is the only one."""
        self.rules = rules
        self._alone = players is None
        self._players = players or Players(1, rules.key_frames)
        self._player = player
        self._region: Region | None = None
        self._palm = 0.0

    def __call__(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks, finished; each when the next one has been looked at."""
        before: Edge = {}
        current: Block | None = None
        for following in blocks:
            self._look(following, current.edge(-1) if current else {})
            if current is not None:
                self._finish(current, before, following.edge(0))
                yield current
                before = current.edge(-1)
            current = following
        if current is not None:
            self._finish(current, before, {})
            yield current

    def _look(self, block: Block, before: Edge) -> None:
        """Everything that needs no later frame."""
        self._find_bodies(block)
        if self._alone:
            self._drop_made_up_bodies(block)
        self._find_guided(block)
        self._propagate(block, 1, before)

    def _finish(self, block: Block, before: Edge, after: Edge) -> None:
        """What needs the frames after the block."""
        self._propagate(block, -1, after)
        if self._fall_back(block):
            self._propagate(block, 1, before)
            self._propagate(block, -1, after)
        if self._alone:
            self._find_palms(block)

    # --- bodies

    def _find_bodies(self, block: Block) -> None:
        looked = self._players.regions(block, self._player)
        where, missing = {}, []
        for t in range(len(block)):
            self._region = looked.get(t, self._region)
            if self._region is not None:
                where[t] = self._region
            elif t not in looked:
                missing.append(t)
        if self._alone:
            where |= _body_regions(block, missing)
        block.bodies = chain.bodies(block.pictures, dict(sorted(where.items())))
        if self._alone:
            # He has moved out of the last key frame's region: look where he is now.
            lost = [t for t in where if t not in block.bodies and t not in missing]
            again = _body_regions(block, lost)
            block.bodies |= chain.bodies(block.pictures, again)

    # --- hands

    def _holes(self, block: Block) -> list[Slot]:
        """Sides without a hand whose wrist is in view."""
        return [
            (t, side)
            for t, body in sorted(block.bodies.items())
            for side in SIDES
            if (t, side) not in block.hands and body.visibility[WRIST[side]] > VISIBLE
        ]

    def _find_guided(self, block: Block) -> None:
        slots = self._holes(block)
        rough = arms.at_the_hands(block, slots)
        frames = [t for t, _ in slots]
        better = chain.recropped(block.pictures, list(zip(frames, rough, strict=True)))
        where = list(zip(frames, regions.snapped(better), strict=True))
        self._accept(block, slots, chain.hands(block.pictures, where), Origin.DIRECT)

    def _propagate(self, block: Block, step: int, beyond: Edge) -> None:
        """Follows hands into holes, a frame a wave; `step` 1 forwards, -1 backwards.

        Args:
            beyond: the hands of the frame next to the block, where the walk comes from.
        """
        holes = set(self._holes(block))
        first = 0 if step > 0 else len(block) - 1
        wave = sorted(holes)
        while wave:
            slots, where = [], []
            for t, side in wave:
                source = beyond.get(side) if t == first else block.hands.get((t - step, side))
                if source is not None:
                    slots.append((t, side))
                    where.append((t, arms.only(regions.hand_from_landmarks(source.hand.xy[None]))))
            found = chain.hands(block.pictures, where)
            filled = self._accept(block, slots, found, Origin.PROPAGATED)
            holes -= set(slots)
            wave = [(t + step, side) for t, side in filled if (t + step, side) in holes]

    def _fall_back(self, block: Block) -> bool:
        """Looks for palms around the wrist in the first and every fifth frame of a hole."""
        slots = _spread(self._holes(block), self.rules.fallback_frames)
        where = [(t, arms.around(block.bodies[t], side)) for t, side in slots]
        tries = [
            (slot, region)
            for slot, found in zip(slots, chain.palm_regions(block.pictures, where), strict=True)
            for region in regions.snapped(np.reshape(found, (-1, 5)))
        ]
        hands = chain.hands(block.pictures, [(t, region) for (t, _), region in tries])
        best: dict[Slot, Hand] = {}
        for (slot, _), hand in zip(tries, hands, strict=True):
            if hand is not None and self._fits(block.bodies[slot[0]], slot[1], hand):
                other = best.get(slot)
                if other is None or arms.merit(hand, slot[1]) > arms.merit(other, slot[1]):
                    best[slot] = hand
        return bool(self._accept(block, list(best), list(best.values()), Origin.FALLBACK))

    def _find_palms(self, block: Block) -> None:
        """Hands of the whole picture, where no arm shows the way to one."""
        with_hands = {t for t, _ in block.hands}
        frames = [t for t in range(len(block)) if t not in with_hands]
        for t, hands in self._whole_picture_hands(block, frames).items():
            body = block.bodies.get(t)
            if body is None or max(body.visibility[j] for j in WRIST.values()) <= VISIBLE:
                for side, hand in assign(hands, None).items():
                    block.hands[t, side] = Found(hand, Origin.PALM)

    def _drop_made_up_bodies(self, block: Block) -> None:
        """In a close-up of a hand the pose model makes up a body, with a palm as large as its
        chest: it is not there, until a later look says otherwise."""
        looks = [t for t in range(len(block)) if (block.start + t) % _LOOK_FRAMES == 0]
        seen = self._whole_picture_hands(block, looks)
        for t in range(len(block)):
            if t in looks:
                sizes = [np.linalg.norm(hand.xy[9] - hand.xy[0]) for hand in seen.get(t, [])]
                self._palm = float(max(sizes, default=0.0))
            if t in block.bodies and self._palm > 0.5 * arms.span(block.bodies[t]):
                del block.bodies[t]

    def _whole_picture_hands(self, block: Block, frames: Sequence[int]) -> dict[int, list[Hand]]:
        """Hands from palms of whole pictures, looked at twice: once by the palm, once by itself."""
        found = chain.palm_regions(block.pictures, chain.whole(block.pictures, frames))
        where = [
            (t, region)
            for t, of_t in zip(frames, found, strict=True)
            for region in regions.snapped(np.reshape(of_t, (-1, 5)))
        ]
        again = [
            (t, arms.only(regions.hand_from_landmarks(hand.xy[None])))
            for (t, _), hand in zip(where, chain.hands(block.pictures, where), strict=True)
            if hand is not None
        ]
        hands: dict[int, list[Hand]] = {}
        for (t, _), hand in zip(again, chain.hands(block.pictures, again), strict=True):
            if hand is not None:
                hands.setdefault(t, []).append(hand)
        return hands

    def _accept(
        self, block: Block, slots: Sequence[Slot], hands: Sequence[Hand | None], origin: Origin
    ) -> list[Slot]:
        """Keeps the hands that hang on their wrist, one hand on one side; returns whose."""
        kept = []
        for (t, side), hand in zip(slots, hands, strict=True):
            if hand is None or not self._fits(block.bodies[t], side, hand):
                continue
            other = other_side(side)
            twin = block.hands.get((t, other))
            if twin is not None and arms.is_same(hand, twin.hand):
                body = block.bodies[t]
                if arms.claim(body, side, hand) <= arms.claim(body, other, twin.hand):
                    continue
                del block.hands[t, other]
            block.hands[t, side] = Found(hand, origin)
            kept.append((t, side))
        return [slot for slot in kept if slot in block.hands]

    def _fits(self, body: Body, side: Side, hand: Hand) -> bool:
        return arms.gap(body, side, hand) <= self.rules.wrist_gate


def _body_regions(block: Block, frames: Sequence[int]) -> dict[int, Region]:
    found = chain.body_regions(block.pictures, frames)
    return {t: arms.only(region[None]) for t, region in found.items()}


def _spread(holes: Sequence[Slot], step: int) -> list[Slot]:
    """The first and then every `step`-th frame of each run of holes of a side."""
    chosen, run = [], dict[Side, tuple[int, int]]()
    for t, side in holes:
        start, last = run.get(side, (t, t - 1))
        start = t if last != t - 1 else start
        run[side] = (start, t)
        if (t - start) % step == 0:
            chosen.append((t, side))
    return chosen
