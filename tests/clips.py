"""Frames of real clips."""

from itertools import islice
from pathlib import Path

import av
import numpy as np

RESOURCES = Path(__file__).parent / "resources"


def rgb_frames(name: str, count: int, step: int = 1) -> np.ndarray:
    """Every `step`-th of the first frames of a clip of tests/resources, (count, H, W, 3) RGB."""
    with av.open(str(RESOURCES / name)) as container:
        decoded = islice(container.decode(video=0), 0, count * step, step)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in decoded])


def picture(name: str) -> np.ndarray:
    """A picture of tests/resources, (H, W, 3) RGB."""
    return rgb_frames(name, 1)[0]
