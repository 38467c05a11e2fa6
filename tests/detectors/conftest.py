"""Frames of real clips, and keypoints of one."""

import numpy as np
import pytest

from clips import rgb_frames
from imported_keypoints import SOLOS


@pytest.fixture(scope="session")
def violin() -> np.ndarray:
    """12 frames of a seated violinist, both hands in view."""
    return rgb_frames("urmp_09_vn_crop.mp4", 12)


@pytest.fixture(scope="session")
def trumpet() -> np.ndarray:
    """12 frames of a trumpeter whose left hand is hidden behind the right one."""
    return rgb_frames("urmp_09_tpt_crop.mp4", 12)


@pytest.fixture(scope="session")
def rows() -> np.ndarray:
    """(T, 47, 3) of the Solos release, joints that were not detected at 0."""
    rows = np.load(SOLOS).swapaxes(1, 2).copy()
    rows[rows[..., 2] == 0] = 0
    return rows
