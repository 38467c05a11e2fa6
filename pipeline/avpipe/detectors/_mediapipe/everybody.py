"""All people of single frames, small ones too: the body detector looks at squares of the frame one
by one, since in the whole of a wide picture it misses who is small. The squares are as high as the
picture and as 0.6 of it, and each overlaps the next by two thirds; a picture that is hardly more
than a line shows nobody. Boxes on one person count once, and the pose model, which the performer's
recipe trusts too, has the last word.
"""

import math
from collections.abc import Iterator
from itertools import product

import numpy as np

from avpipe.detectors._mediapipe import chain, regions
from avpipe.detectors._mediapipe.blocks import SHOULDERS, Block
from avpipe.detectors._mediapipe.chain import Body, Region

_SIDES = (1.0, 0.6)
"""Sides of the squares, in heights of the picture (in widths, if it is upright)."""
_STRIDE = 1 / 3
"""From one square to the next, in sides."""
_SAME = 0.5
"""Regions that share more than this (intersection over union) show the same person."""
_NEAR = 0.5
"""So do bodies whose shoulders are nearer than this, in sizes of the surer one."""


def find(block: Block) -> Iterator[list[Body]]:
    """The people of every frame of a block, the surest first."""
    pictures = block.pictures
    looked_at = _squares(pictures.height, pictures.width)
    for t in range(len(block)):
        found = chain.detect(pictures, [(t, s) for s in looked_at], "body", chain.THRESHOLD)
        proposals = [
            (float(score), region)
            for seen in found
            for score, region in zip(seen.scores, regions.body(seen.keypoints), strict=True)
        ]
        around = _distinct(sorted(proposals, key=lambda proposal: -proposal[0]))
        yield _bodies(block, t, around)


def size(body: Body) -> float:
    """Width of the shoulders, or what is between them and the nose if that is more, since
    shoulders may be seen from the side; px."""
    left, right = body.xy[SHOULDERS]
    return float(max(np.linalg.norm(right - left), np.linalg.norm(body.xy[0] - (left + right) / 2)))


def apart(one: Body, other: Body) -> float:
    """Distance of the middles of the shoulders, in sizes of the larger body."""
    between = one.xy[SHOULDERS].mean(axis=0) - other.xy[SHOULDERS].mean(axis=0)
    return float(np.linalg.norm(between)) / max(size(one), size(other))


def _squares(height: int, width: int) -> list[Region]:
    found: list[Region] = []
    if not regions.worth_parts(height, width):
        return found
    for scale in _SIDES:
        side = min(height, width) * scale
        for y, x in product(_middles(height, side), _middles(width, side)):
            found.append(np.array([x, y, side, side, 0.0]))
    return found


def _middles(length: int, side: float) -> list[float]:
    steps = math.ceil((length - side) / (side * _STRIDE))
    return [float(m) for m in np.linspace(side / 2, length - side / 2, steps + 1)]


def _distinct(proposals: list[tuple[float, Region]]) -> list[Region]:
    kept: list[Region] = []
    for _, region in proposals:
        if all(regions.overlap(region, other) <= _SAME for other in kept):
            kept.append(region)
    return kept


def _bodies(block: Block, t: int, around: list[Region]) -> list[Body]:
    found = chain.bodies(block.pictures, [(t, region) for region in around])
    people = sorted((body for body in found if body), key=lambda body: -body.presence)
    kept: list[Body] = []
    for person in people:
        if all(apart(person, other) > _NEAR for other in kept):
            kept.append(person)
    return kept
