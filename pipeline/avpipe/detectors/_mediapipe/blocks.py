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
from avpipe.detectors._sides import Side
from avpipe.media.colour import I420

_BLOCK_BYTES, _LONGEST, _SHORTEST = 128 * 2**20, 128, 2
"""A block holds at most so many bytes and frames, but the shortest of any size. Up to three are in
memory: one that is worked on, one that waits and one that is being decoded."""

Place = tuple[int, int]
"""Number of a person, frame of the block."""
Slot = tuple[int, int, Side]
"""Number of a person, frame of the block, side."""

NOBODY = -1
"""Whose the face in a picture without a body is."""

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
    """A hand of an arm."""

    hand: Hand
    origin: Origin
    claim: float = 0.0
    """How well it suits the arm, see `arms.claim`."""
    rival: float = -np.inf
    """How well it suits the person's other arm, if it hangs on that, too."""


@dataclass
class Block:
    """Some consecutive frames and what is known about them so far."""

    start: int
    """Number of the first frame in the recording."""
    pictures: Pictures
    bodies: dict[Place, Body] = field(default_factory=dict)
    hands: dict[Slot, Found] = field(default_factory=dict)
    faces: dict[Place, npt.NDArray[np.float64]] = field(default_factory=dict)
    """(468, 2) px."""
    late: dict[Slot, Found] = field(default_factory=dict)
    """Hands of earlier frames that this block has led to; their frames are negative."""

    def __len__(self) -> int:
        return len(self.pictures)

    def every(self, step: int) -> list[int]:
        """The frames whose number in the recording is a multiple of `step`."""
        return [t for t in range(len(self)) if (self.start + t) % step == 0]


def read(frames: Iterable[Frame | I420], runner: Runner) -> Iterator[Block]:
    """The frames in blocks. What recipes find does not depend on their lengths."""
    frames, start = iter(frames), 0
    for first in frames:
        length = min(max(_BLOCK_BYTES // math.prod(first.shape), _SHORTEST), _LONGEST)
        block = Block(start, runner.load(list(islice(chain([first], frames), length))))
        start += len(block)
        yield block
