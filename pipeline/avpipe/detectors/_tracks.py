"""Collects the joints of one body, hand or face frame by frame into `Keypoints`."""

import numpy as np

from avpipe.keypoints import topology
from avpipe.types import Float32, Keypoints

Joints = tuple[Float32, Float32]
"""(K, 2) px and (K,) confidence in [0, 1] of one frame."""


class Track:
    """Keypoints that grow by a frame at a time; 12 bytes a joint and frame."""

    def __init__(self, topology_name: str) -> None:
        self.topology = topology(topology_name)
        self._xy, self._confidence = bytearray(), bytearray()

    def append(self, joints: Joints | None) -> None:
        """Adds a frame; None: nothing was detected."""
        k = len(self.topology)
        xy, confidence = joints or (np.zeros((k, 2)), np.zeros(k))
        known = np.asarray(confidence, np.float32) > 0
        self._xy += np.where(known[:, None], xy, 0).astype(np.float32).tobytes()
        self._confidence += np.where(known, confidence, 0).astype(np.float32).tobytes()

    def keypoints(self) -> Keypoints:
        """All frames so far; joints without confidence are at (0, 0)."""
        k = len(self.topology)
        return Keypoints(
            np.frombuffer(self._xy, np.float32).reshape(-1, k, 2),
            np.frombuffer(self._confidence, np.float32).reshape(-1, k),
            self.topology,
        )
