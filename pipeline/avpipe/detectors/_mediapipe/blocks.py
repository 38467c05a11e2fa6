"""A block of consecutive frames and what has been found in it: what recipes work on."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from avpipe.detectors import Frame
from avpipe.detectors._mediapipe.chain import Body, Hand
from avpipe.detectors._mediapipe.runner import Pictures, Runner
from avpipe.detectors._sides import SIDES, Side
from avpipe.media.colour import I420

_BLOCK_BYTES, _LONGEST, _SHORTEST = 128 * 2**20, 128, 2
"""A block holds at most so many bytes and frames, but the shortest of any size. Up to four are in
memory: two that are worked on, one that waits and one that is being decoded."""

Slot = tuple[int, Side]
"""Frame of the block and side."""

WRIST = {"left": 15, "right": 16}
ELBOW = {"left": 13, "right": 14}
SHOULDERS = [11, 12]
"""Joints of BlazePose, left before right."""


class Origin(IntEnum):
    """How a hand was found."""

    NONE = 0
    DIRECT = 1
    PROPAGATED = 2
    FALLBACK = 3
    PALM = 4


@dataclass(frozen=True)
class Rules:
    """Parameters of the recipes; what they mean is said in the detector's `Config`."""

    key_frames: int
    fallback_frames: int
    wrist_gate: float


class Found(NamedTuple):
    """A hand and how it was found."""

    hand: Hand
    origin: Origin


Edge = dict[Side, Found]
"""The hands of a block's first or last frame."""


@dataclass
class Block:
    """Some consecutive frames and what is known about them so far."""

    start: int
    """Number of the first frame in the recording."""
    pictures: Pictures
    bodies: dict[int, Body] = field(default_factory=dict)
    hands: dict[Slot, Found] = field(default_factory=dict)
    faces: dict[int, npt.NDArray[np.float64]] = field(default_factory=dict)
    """(468, 2) px by frame."""

    def __len__(self) -> int:
        return len(self.pictures)

    def edge(self, end: int) -> Edge:
        """The hands of the first (0) or last (-1) frame."""
        t = 0 if end == 0 else len(self) - 1
        return {side: self.hands[t, side] for side in SIDES if (t, side) in self.hands}


def read(frames: Iterable[Frame | I420], runner: Runner) -> Iterator[Block]:
    """The frames in blocks whose length depends on their size only."""
    frames, start = iter(frames), 0
    for first in frames:
        length = min(max(_BLOCK_BYTES // math.prod(first.shape), _SHORTEST), _LONGEST)
        block = Block(start, runner.load(list(islice(chain([first], frames), length))))
        start += len(block)
        yield block
