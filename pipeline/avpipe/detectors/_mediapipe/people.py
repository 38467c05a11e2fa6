"""Who of several people is the performer: the one most seen so far, by size and score.

People are told apart by where they are. Positions px, sides of regions as in `crop`.
"""

from dataclasses import dataclass

from avpipe.detectors._mediapipe import regions
from avpipe.detectors._mediapipe.chain import Region
from avpipe.detectors._mediapipe.decode import Detections

_SAME = 0.3
"""Regions that share more than this (intersection over union) show the same person."""
_PATIENCE = 25
"""For so many frames a person counts as present without being detected."""
_MOST = 16
"""People remembered."""


@dataclass
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

    def look(self, t: int, found: Detections | None) -> Region | None:
        """The performer's region from frame t on, given the bodies detected in it."""
        if found is not None:
            around = regions.snapped(regions.body(found.keypoints))
            for score, region in zip(found.scores, around, strict=True):
                self._meet(t, region, float(score * region[2]))
        present = [person for person in self._people if t - person.seen <= _PATIENCE]
        if not present:
            return None
        return max(present, key=lambda person: person.prominence).region

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
