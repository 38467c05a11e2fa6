"""Collects what recipes find, block by block, into the fields of a detector."""

from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.detectors._mediapipe.blocks import Block
from avpipe.detectors._sides import SIDES
from avpipe.detectors._tracks import Joints, Track
from avpipe.keypoints.mapping import compose_openpose67
from avpipe.types import Keypoints


class Player:
    """One player over a recording."""

    def __init__(self) -> None:
        self._body, self._face = Track("blazepose33"), Track("face468")
        self._hands = {side: Track("hand21") for side in SIDES}
        self._origins = bytearray()

    def append(self, block: Block) -> None:
        """Adds the frames of a finished block."""
        for t in range(len(block)):
            body, mesh = block.bodies.get(t), block.faces.get(t)
            self._body.append(body and _joints(body.xy[:33], body.visibility[:33]))
            self._face.append(None if mesh is None else _joints(mesh, np.ones(len(mesh))))
            for side, track in self._hands.items():
                found = block.hands.get((t, side))
                track.append(found and _joints(found.hand.xy, np.full(21, found.hand.presence)))
                self._origins.append(found.origin if found else 0)

    def skeleton(self) -> Keypoints:
        """Body and hands."""
        left, right = (self._hands[side].keypoints() for side in SIDES)
        return compose_openpose67(self._body.keypoints(), left, right)

    def face(self) -> Keypoints:
        """The face mesh."""
        return self._face.keypoints()

    def origins(self) -> npt.NDArray[np.uint8]:
        """(T, 2) how the left and the right hand were found, see `blocks.Origin`."""
        return np.frombuffer(self._origins, np.uint8).reshape(-1, 2)

    def across(self) -> float:
        """Mean x of the shoulders, px; infinite for somebody who was never seen."""
        body = self._body.keypoints()
        shoulders = [body.topology.index(f"{side}_shoulder") for side in SIDES]
        seen = (body.confidence[:, shoulders] > 0).all(axis=1)
        return float(body.xy[seen][:, shoulders, 0].mean()) if seen.any() else np.inf


def _joints(xy: Any, confidence: Any) -> Joints:
    return xy.astype(np.float32), confidence.astype(np.float32)
