"""Machines without a screen have no libGL: what uses OpenCV must load there."""

import os
import subprocess
import sys
from pathlib import Path


def test_the_reference_detector_loads_where_libgl_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "libGL.so.1").touch()  # found first, and no library
    hidden = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    loads = "import ctypes; ctypes.CDLL('libGL.so.1')"
    detects = (
        "import numpy as np; from avpipe import detectors;"
        "black = np.zeros((2, 64, 64, 3), np.uint8);"
        "found = detectors.create('mediapipe-solutions').detect(black);"
        "assert found['skeleton'].xy.shape == (2, 67, 2)"
    )
    assert subprocess.run([sys.executable, "-c", loads], env=hidden, check=False).returncode != 0
    done = subprocess.run(
        [sys.executable, "-c", detects], env=hidden, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
