"""Keypoints over time: their layouts, when hands are visible, and how gaps are filled.

Everything here takes and gives arrays and knows nothing of files or stages, except `files` and
`exchange`, which read and write keypoints: those of a recording's artifacts, and one video's in a
file for people and other programs. Letters and units: `avpipe.types`.
"""

from avpipe.keypoints.interpolation import interpolate
from avpipe.keypoints.segments import find_segments, hand_visibility
from avpipe.keypoints.topologies import topology

__all__ = ["find_segments", "hand_visibility", "interpolate", "topology"]
