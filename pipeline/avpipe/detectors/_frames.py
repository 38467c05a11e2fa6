"""What detectors accept as frames, checked once: (H, W, 3) uint8 RGB, all of one size."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, cast

import numpy as np

from avpipe.detectors import Frame
from avpipe.errors import UsageError
from avpipe.media.colour import I420

F = TypeVar("F", bound=Frame | I420)


def checked(frames: Iterable[F]) -> Iterator[F]:
    """The same frames, contiguous in memory; pictures of a decoder as they are.

    Raises:
        UsageError: a frame is not (H, W, 3) uint8 or has another size than the first.
    """
    size: tuple[int, ...] | None = None
    for index, frame in enumerate(frames):
        if not isinstance(frame, I420):
            _check(frame, index)
        size = size or frame.shape
        if frame.shape != size:
            raise UsageError(f"frame {index} is {frame.shape}, the first was {size}: one size only")
        yield frame if isinstance(frame, I420) else cast(Any, np.ascontiguousarray(frame))


def _check(frame: Any, index: int) -> None:
    if not isinstance(frame, np.ndarray):
        kind = type(frame).__name__
        raise UsageError(f"frame {index} is no array but {kind}: give (H, W, 3) uint8 RGB")
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise UsageError(f"frame {index} is {frame.dtype} {frame.shape}: give (H, W, 3) uint8 RGB")
