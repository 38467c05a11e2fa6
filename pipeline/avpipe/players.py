"""Where the players of an ensemble sit, and the part of the picture that shows each of them.

In a few frames spread over the piece all people are looked for. Sightings whose shoulders lie
nearer to each other than the shoulders are wide are of one person; a person is who was seen in at
least half of the frames. Players sit, so what shows one of them is a square that stays where it is
over the whole piece: around all that was seen of them, hands included, with a margin. Datasets and
`avpipe separate` look for players here, so that separators are shown what they learnt from.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from avpipe.detectors import mediapipe
from avpipe.detectors.mediapipe import Body, apart, size
from avpipe.media import decode_frames

if TYPE_CHECKING:
    from PIL import Image

VISIBLE = 0.5
"""Visibility above which a joint is part of what is shown."""
MIN_SHARE = 0.5
"""Share of the frames in which a person must be seen."""
REACH = (5, 95)
"""Percentiles, over the sightings, of the ends of a body that are shown."""
HEAD = 0.7
"""From the nose to the top of the head, in sizes of a body."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Place:
    """Part of a picture, px."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def square(cls, left: int, top: int, side: int) -> "Place":
        """A part that is as wide as high."""
        return cls(left, top, side, side)

    def of(self, frame: Pixels) -> Pixels:
        """This part of a frame (H, W, 3): (height, width, 3), not copied."""
        part = np.s_[self.top : self.top + self.height, self.left : self.left + self.width]
        return frame[part]

    def views(self, video: Path) -> Iterator[Pixels]:
        """This part of every frame, as detectors take it."""
        for frame in decode_frames(video):
            yield np.ascontiguousarray(self.of(frame))

    def picture(self, frame: Pixels, side: int) -> "Image.Image":
        """This part of a frame, scaled to a short side of so many px."""
        from PIL import Image

        scale = side / min(self.width, self.height)
        shape = round(self.width * scale), round(self.height * scale)
        return Image.fromarray(self.of(frame)).resize(shape, Image.Resampling.BICUBIC)


def find(video: Path, frames: int, looks: int, threads: int = 0) -> list[list[Body]]:
    """The sightings of each person of a video, the persons from left to right.

    Args:
        video: a file of the stage `video`.
        frames: T, how many it has.
        looks: frames, spread over the video, in which people are looked for.
        threads: CPU threads; 0: as the detector `mediapipe`.
    """
    wanted = set(np.linspace(0, frames - 1, min(looks, frames)).round().astype(int).tolist())
    decoded = enumerate(decode_frames(video))
    shown = (frame for number, frame in decoded if number in wanted)
    return persons(list(mediapipe.people(shown, threads)))


def persons(frames: Sequence[Sequence[Body]]) -> list[list[Body]]:
    """The sightings of each person, the persons from left to right.

    Args:
        frames: the bodies seen in every frame that was looked at.
    """
    people: list[dict[int, Body]] = []
    seen = [(body, number) for number, bodies in enumerate(frames) for body in bodies]
    for body, number in sorted(seen, key=lambda found: -found[0].presence):
        # the surest sighting of a person stands for all
        near = [p for p in people if number not in p and apart(body, next(iter(p.values()))) < 1]
        if near:
            min(near, key=lambda p: apart(body, next(iter(p.values()))))[number] = body
        else:
            people.append({number: body})
    often = [list(p.values()) for p in people if len(p) >= MIN_SHARE * len(frames)]
    return sorted(often, key=lambda person: float(np.median([_middle(body) for body in person])))


def largest(people: Sequence[list[Body]], count: int) -> list[list[Body]]:
    """The persons who are the largest ones all over the video, in the order given."""
    sizes = [sum(map(size, person)) for person in people]
    chosen = sorted(range(len(people)), key=lambda number: -sizes[number])[:count]
    return [people[number] for number in sorted(chosen)]


def around(person: Sequence[Body], margin: float, height: int, width: int) -> Place:
    """The square that shows a person throughout.

    Args:
        person: the sightings.
        margin: on each side, as a share of what is shown.
        height: of the picture, px.
        width: px.
    """
    shown = [_shown(body) for body in person]
    low = np.percentile([points.min(axis=0) for points in shown], REACH[0], axis=0)
    high = np.percentile([points.max(axis=0) for points in shown], REACH[1], axis=0)
    low, high = low.clip(0), high.clip(None, (width, height))
    side = min(round(float((high - low).max()) * (1 + 2 * margin)), height, width)
    corner = np.round((low + high - side) / 2).astype(int).clip(0, (width - side, height - side))
    return Place.square(int(corner[0]), int(corner[1]), side)


def _shown(body: Body) -> npt.NDArray[np.float64]:
    """(n, 2) what a view of a body must hold: the joints that are seen, and the top of the head."""
    joints = body.xy[:33][body.visibility[:33] > VISIBLE]
    return np.vstack([joints, body.xy[:1] - (0, HEAD * size(body))])


def _middle(body: Body) -> float:
    """x between the shoulders."""
    return float(body.xy[[11, 12], 0].mean())
