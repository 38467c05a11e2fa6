"""Where the players of an ensemble sit, and the part of the picture that shows each of them.

In a few frames spread over the piece all people are looked for. Sightings whose shoulders lie
nearer to each other than the shoulders are wide are of one person; a person is who was seen in at
least half of the frames. Players sit, so what shows one of them is a square that stays where it is
over the whole piece: around all that was seen of them, hands included, with a margin.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avpipe.detectors.mediapipe import Body, apart, size

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
class Square:
    """Part of a picture, px."""

    left: int
    top: int
    side: int

    def of(self, frame: Pixels) -> Pixels:
        """This part of a frame (H, W, 3): (side, side, 3), not copied."""
        part = slice(self.top, self.top + self.side), slice(self.left, self.left + self.side)
        return frame[part]


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


def around(person: Sequence[Body], margin: float, height: int, width: int) -> Square:
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
    return Square(int(corner[0]), int(corner[1]), side)


def _shown(body: Body) -> npt.NDArray[np.float64]:
    """(n, 2) what a view of a body must hold: the joints that are seen, and the top of the head."""
    joints = body.xy[:33][body.visibility[:33] > VISIBLE]
    return np.vstack([joints, body.xy[:1] - (0, HEAD * size(body))])


def _middle(body: Body) -> float:
    """x between the shoulders."""
    return float(body.xy[[11, 12], 0].mean())
