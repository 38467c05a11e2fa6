"""Frames of real clips."""

from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

RESOURCES = Path(__file__).parents[1] / "resources"


def rgb_frames(name: str, count: int, step: int = 1) -> np.ndarray:
    """Every `step`-th of the first frames of a clip of tests/resources, (count, H, W, 3) RGB."""
    with av.open(str(RESOURCES / name)) as container:
        decoded = islice(container.decode(video=0), 0, count * step, step)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in decoded])


@pytest.fixture(scope="session")
def violin() -> np.ndarray:
    """12 frames of a seated violinist, both hands in view."""
    return rgb_frames("urmp_09_vn_crop.mp4", 12)


@pytest.fixture(scope="session")
def trumpet() -> np.ndarray:
    """12 frames of a trumpeter whose left hand is hidden behind the right one."""
    return rgb_frames("urmp_09_tpt_crop.mp4", 12)
