"""Frames of real clips."""

import numpy as np
import pytest

from clips import rgb_frames


@pytest.fixture(scope="session")
def violin() -> np.ndarray:
    """12 frames of a seated violinist, both hands in view."""
    return rgb_frames("urmp_09_vn_crop.mp4", 12)


@pytest.fixture(scope="session")
def trumpet() -> np.ndarray:
    """12 frames of a trumpeter whose left hand is hidden behind the right one."""
    return rgb_frames("urmp_09_tpt_crop.mp4", 12)
