"""Makes `solos_OqH9szlahwU_detected.npz` from the skeleton that the Solos repository ships.

    python tests/golden/make_solos_detected.py test/data/skeleton_npy_test.npy

Only what the segment search looks at is kept: which joints of which frames were detected, a
(1619, 47) boolean array `detected`.
"""

import sys
from pathlib import Path

import numpy as np

skeleton = np.load(sys.argv[1])  # (T, 3, 47): x, y, confidence
out = Path(__file__).parent / "solos_OqH9szlahwU_detected.npz"
np.savez_compressed(out, detected=skeleton[:, 2] != 0)
