"""Who of several people is the performer: the one most seen so far, by size and score.

People are told apart by where they are. Positions px, sides of regions as in `crop`.
"""

from dataclasses import dataclass

from avpipe.detectors._mediapipe import chain, regions
from avpipe.detectors._mediapipe.blocks import Block
from avpipe.detectors._mediapipe.chain import Region
from avpipe.detectors._mediapipe.decode import Detections

_SAME = 0.3
"""Regions that share more than this (intersection over union) show the same person."""
_PATIENCE = 25
"""For so many frames a person counts as present without being detected."""
_MOST = 16
"""People remembered."""


@dataclass(eq=False)
class _Person:
    region: Region
    seen: int
    """Frame of the last detection."""
    prominence: float
    """Sum of score times side over all detections."""


class People:
    """The people of one recording, looked at on key frames."""

    def __init__(self) -> None:
        self._people: list[_Person] = []

    def look(self, t: int, found: Detections) -> list[_Person]:
        """Who is present in frame t, given the bodies detected in it, the most prominent first."""
        around = regions.snapped(regions.body(found.keypoints))
        for score, region in zip(found.scores, around, strict=True):
            self._meet(t, region, float(score * region[2]))
        present = [person for person in self._people if t - person.seen <= _PATIENCE]
        return sorted(present, key=lambda person: -person.prominence)

    def _meet(self, t: int, region: Region, prominence: float) -> None:
        known = [person for person in self._people if person.seen < t]
        nearest = max(known, key=lambda p: regions.overlap(p.region, region), default=None)
        if nearest is not None and regions.overlap(nearest.region, region) > _SAME:
            nearest.region, nearest.seen = region, t
            nearest.prominence += prominence
            return
        self._people.append(_Person(region, t, prominence))
        if len(self._people) > _MOST:
            self._people.remove(min(self._people, key=lambda person: person.prominence))


class Players:
    """Regions of a fixed number of players; each keeps the person it was given while he is there.

    A player without a person gets the most prominent one who is free.
    """

    def __init__(self, count: int, key_frames: int) -> None:
        self._key_frames = key_frames
        self._everybody = People()
        self._cast: list[_Person | None] = [None] * count
        self._known: dict[int, list[dict[int, Region | None]]] = {}

    def regions(self, block: Block, player: int) -> dict[int, Region | None]:
        """Where a player is from each key frame of the block on; None: not there."""
        if block.start not in self._known:
            self._known[block.start] = self._look(block)
            # One player is up to two blocks ahead of another.
            self._known = dict(list(self._known.items())[-3:])
        return self._known[block.start][player]

    def _look(self, block: Block) -> list[dict[int, Region | None]]:
        keys = [t for t in range(len(block)) if (block.start + t) % self._key_frames == 0]
        whole = chain.whole(block.pictures, keys)
        found = chain.detect(block.pictures, whole, "body", chain.THRESHOLD)
        by_player: list[dict[int, Region | None]] = [{} for _ in self._cast]
        for t, seen in zip(keys, found, strict=True):
            self._recast(self._everybody.look(block.start + t, seen))
            for regions_of, person in zip(by_player, self._cast, strict=True):
                regions_of[t] = None if person is None else person.region
        return by_player

    def _recast(self, present: list[_Person]) -> None:
        if len(self._cast) == 1:
            # Where nobody is detected any more, the pose model is asked about the last one.
            self._cast = [present[0] if present else self._cast[0]]
            return
        here = {id(person) for person in present}
        self._cast = [p if p is not None and id(p) in here else None for p in self._cast]
        taken = {id(person) for person in self._cast}
        free = [person for person in present if id(person) not in taken]
        for player, person in enumerate(self._cast):
            if person is None and free:
                self._cast[player] = free.pop(0)
