"""Who is where: people found in whole pictures on key frames, and linked from one to the next.

A person is as long as it is in view; who are the players is decided when the recording has ended,
over all of it (`avpipe.detectors._people.cast`), so until then everybody is followed who may be
one. Memory: 16 bytes a person and key frame. Positions px, sides of regions as in `crop`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from avpipe.detectors._mediapipe import chain, regions
from avpipe.detectors._mediapipe.blocks import Block
from avpipe.detectors._mediapipe.chain import Region
from avpipe.detectors._mediapipe.crop import whole_picture
from avpipe.detectors._mediapipe.decode import Detections
from avpipe.detectors._mediapipe.regions import Points
from avpipe.detectors._people import MEMORY_FRAMES, links

_REACH = 0.25
"""How far a torso may move between two looks, in sides of its body's region: half a metre."""
_RATIO = 1.6
"""Who was seen beside somebody else gets no larger or smaller than this between two looks. Of
somebody alone a close-up may show a part, of any size."""
_SMALL, _MINOR = 0.4, 0.5
"""Who is smaller than this beside the largest one in view, and was seen less than this beside the
most seen one so far, is not followed: people in the background."""
_SURE = 0.85
"""Score from which somebody counts of whom the whole picture shows nothing."""
_SHOULDERS = 2
"""Their middle, among the detector's keypoints."""
_TORSO = [0, _SHOULDERS]
"""Middles of hips and shoulders, likewise."""
_SAME = 0.1
"""Nobody's shoulders are nearer to somebody else's than this, in sides of the body's region: half
their width. Hips do not tell: where legs are cut off, each window guesses other ones."""


@dataclass(eq=False)
class Person:
    """Somebody, from the first to the last time they are detected."""

    number: int
    region: Region
    torso: Points
    """(2, 2) px, when last seen."""
    first: Points
    """(2, 2) px, when first seen."""
    speed: Points
    """(2, 2) px a frame, between the last two looks if both saw them."""
    detected: list[int] = field(default_factory=list)
    """Frames in which they were detected."""
    frames: list[int] = field(default_factory=list)
    """Those of them in which they had a body, and nobody else the same."""
    in_company: bool = False
    """Whether somebody else was detected in one of these."""
    prominence: float = 0.0
    """Sum of score times side of the region, px."""
    followed: int = 0
    """Frames in which the pose model was asked about them."""
    found: int = 0
    """Frames in which it found them."""

    @property
    def weight(self) -> float:
        """See `avpipe.detectors._people.Seen`; what has no pose is not a person."""
        return self.prominence * self.found / max(self.followed, 1)


class Sight(NamedTuple):
    """A person in a frame."""

    person: Person
    region: Region
    seen: int
    """The last frame in which they were detected."""


def gap(one: Person, other: Person) -> float:
    """How far from each other the earlier one was lost and the later one was found, in sides."""
    earlier, later = sorted((one, other), key=lambda person: person.detected[0])
    return _distance(earlier.torso, later.first, max(earlier.region[2], later.region[2]))


class People:
    """The people of one recording.

    Args:
        key_frames: every how many frames they are looked for.
        most: how many are followed at a time.
        tiles: always look at squares of the picture, too, where people are small; otherwise on key
            frames in whose whole nobody is found, and nobody was lately.
    """

    def __init__(self, key_frames: int, most: int, *, tiles: bool) -> None:
        self.everybody: list[Person] = []
        self._key_frames, self._most, self._tiles = key_frames, most, tiles
        self._recent: list[Person] = []
        self._sights: list[Sight] = []

    def look(self, block: Block) -> list[list[Sight]]:
        """Who may be a player in every frame of the block, and where, the most prominent first.

        Before anybody has been seen every frame is a key frame.
        """
        whole = list(whole_picture(block.pictures.height, block.pictures.width))
        tiles = _tiles(block.pictures.height, block.pictures.width)
        windows = whole + tiles if self._tiles else whole
        keys = block.every(self._key_frames)
        found = dict(zip(keys, _proposals(block, keys, windows), strict=True))
        if not self.everybody:
            some = next((t for t in keys if len(found[t].scores)), len(block))
            early = [t for t in range(some) if t not in found]
            found |= dict(zip(early, _proposals(block, early, windows), strict=True))
        everywhere = []
        for t in range(len(block)):
            if t in found and (t in keys or not self.everybody):
                nobody = not (len(found[t].scores) or self._seen_lately(block.start + t))
                if t in keys and nobody and tiles and not self._tiles:
                    (near,) = _proposals(block, [t], tiles)
                    found[t] = _small_ones(near, float(tiles[0][2]))
                self._meet(block.start + t, found[t])
            everywhere.append(self._sights)
        return everywhere

    def _meet(self, t: int, found: Detections) -> None:
        """Takes in what was detected in frame t of the recording."""
        around, torsos = regions.body(found.keypoints), found.keypoints[:, _TORSO]
        known = self._present(t)
        distances = [
            [self._distance(person, t, torso, region)
             for torso, region in zip(torsos, around, strict=True)]
            for person in known
        ]  # fmt: skip
        shape = len(known), len(around)
        seen = {p: known[k] for k, p in links(np.array(distances).reshape(shape), _REACH)}
        for p, (score, region) in enumerate(zip(found.scores, around, strict=True)):
            if p not in seen:
                torso = torsos[p]
                seen[p] = Person(len(self.everybody), region, torso, torso, np.zeros((2, 2)))
                self.everybody.append(seen[p])
                self._recent.append(seen[p])
            person = seen[p]
            passed = t - person.detected[-1] if person.detected else 0
            if 0 < passed <= self._key_frames:
                person.speed = (torsos[p] - person.torso) / passed
            else:
                person.speed = np.zeros((2, 2))
            person.torso = torsos[p]
            person.region = regions.snapped(region[None])[0]
            person.detected.append(t)
            person.in_company |= len(torsos) > 1
            person.prominence += float(score * region[2])
        self._sights = [Sight(p, p.region, p.detected[-1]) for p in self._candidates(t)]

    def _distance(self, person: Person, t: int, torso: Points, region: Region) -> float:
        """How far somebody in frame t is from where the person may be, who has gone on as they went
        when last seen, or has stopped since; infinite for somebody of another size."""
        sides = person.region[2], region[2]
        if person.in_company and max(sides) > _RATIO * min(sides):
            return float(np.inf)
        passed = min(t - person.detected[-1], MEMORY_FRAMES)
        times = {*range(self._key_frames, passed, self._key_frames), passed}
        places = [person.torso + person.speed * time for time in times]
        return min(_distance(place, torso, max(sides)) for place in places)

    def _present(self, t: int) -> list[Person]:
        """Everybody seen lately; where nobody was, the one seen last."""
        here = self._seen_lately(t)
        last = max(self._recent, key=lambda p: (p.detected[-1], p.prominence), default=None)
        self._recent = here or ([last] if last else [])
        return self._recent

    def _seen_lately(self, t: int) -> list[Person]:
        return [person for person in self._recent if t - person.detected[-1] <= MEMORY_FRAMES]

    def _candidates(self, t: int) -> list[Person]:
        """Who of those present may turn out to be a player."""
        here = sorted(self._present(t), key=lambda person: -person.prominence)
        side = max((person.region[2] for person in here), default=0)
        return [
            person
            for person in here
            if person.region[2] >= _SMALL * side or person.prominence >= _MINOR * here[0].prominence
        ][: self._most]


def _proposals(block: Block, frames: Sequence[int], windows: Sequence[Region]) -> list[Detections]:
    """Everybody who is found in some windows of each frame, the surest first, each once."""
    where = [(t, window) for t in frames for window in windows]
    found = chain.detect(block.pictures, where, "body", chain.THRESHOLD)
    return [_distinct(found[i : i + len(windows)]) for i in range(0, len(found), len(windows))]


def _small_ones(found: Detections, side: float) -> Detections:
    """Those who are too small for the whole picture: in squares of a hand in close-up the detector
    sees somebody large, and doubts it."""
    kept = (found.scores > _SURE) & (regions.body(found.keypoints)[:, 2] < side)
    return Detections(found.scores[kept], found.boxes[kept], found.keypoints[kept])


def _tiles(height: int, width: int) -> list[Region]:
    """Squares as high (or wide) as the picture that overlap by at least a half; none where the
    whole shows as much, or parts show nobody."""
    if not regions.worth_parts(height, width):
        return []
    side, length = min(height, width), max(height, width)
    count = int(np.ceil((length - side) / (side / 2))) + 1
    along = np.linspace(side / 2, length - side / 2, count)
    across = np.full(count, side / 2)
    centres = np.stack([along, across] if width > height else [across, along], -1)
    return list(regions.square(centres, np.full(count, float(side)))) if count > 1 else []


def _distinct(found: Sequence[Detections]) -> Detections:
    """What several windows of one picture show, each person once, where it is surest."""
    scores, boxes, keypoints = (np.concatenate(column) for column in zip(*found, strict=True))
    kept: list[int] = []
    sides = regions.body(keypoints)[:, 2]
    for i in np.argsort(-scores, kind="stable"):
        shoulders = keypoints[:, [_SHOULDERS]]
        if all(_distance(shoulders[i], shoulders[k], sides[k]) > _SAME for k in kept):
            kept.append(int(i))
    return Detections(scores[kept], boxes[kept], keypoints[kept])


def _distance(one: Points, other: Points, side: float) -> float:
    return float(np.linalg.norm(one - other, axis=1).mean() / max(side, 1.0))
