"""What detectors accept as frames, checked once: (H, W, 3) uint8 RGB, all of one size."""

from collections.abc import Iterable, Iterator

import numpy as np

from avpipe.detectors import Frame
from avpipe.errors import UsageError


def checked(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The same frames, contiguous in memory.

    Raises:
        UsageError: a frame is not (H, W, 3) uint8 or has another size than the first.
    """
    size: tuple[int, ...] | None = None
    for index, frame in enumerate(frames):
        size = size or frame.shape
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
            raise UsageError(
                f"frame {index} is {frame.dtype} {frame.shape}: give (H, W, 3) uint8 RGB"
            )
        if frame.shape != size:
            raise UsageError(f"frame {index} is {frame.shape}, the first was {size}: one size only")
        yield np.ascontiguousarray(frame)
