"""Face meshes of the performer: a detection on key frames, twice the mesh on every frame.

The second mesh is cut out by the landmarks of the first, so that its region follows the face and
not the last key frame.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.detectors._mediapipe import chain, decode, regions
from avpipe.detectors._mediapipe.blocks import Block
from avpipe.detectors._mediapipe.chain import Body, Region
from avpipe.detectors._mediapipe.crop import to_picture

THRESHOLD = 0.6
"""Score of a face detection, as in MediaPipe's graph for this model."""
_NOSE_OF_FACE, _NOSE_OF_BODY = 2, 0


class Faces:
    """Finds the face of one performer, block by block."""

    def __init__(self, key_frames: int) -> None:
        self._key_frames = key_frames
        self._region: Region | None = None

    def find(self, block: Block) -> None:
        """Fills `block.faces`."""
        where: dict[int, Region] = {}
        keys = [t for t in range(len(block)) if (block.start + t) % self._key_frames == 0]
        whole = chain.whole(block.pictures, keys)
        found = dict(zip(keys, chain.detect(block.pictures, whole, "face", THRESHOLD), strict=True))
        for t in range(len(block)):
            if t in found:
                self._region = _performer(found[t], block.bodies.get(t))
            if self._region is not None:
                where[t] = self._region
        rough = _meshes(block, where)
        again = {t: regions.face_from_landmarks(points[None])[0] for t, points in rough.items()}
        block.faces = _meshes(block, again)


def _performer(found: decode.Detections, body: Body | None) -> Region | None:
    """The face at the body's nose; without a body the best one."""
    if not len(found.scores):
        return None
    best = 0
    if body is not None:
        gaps = found.keypoints[:, _NOSE_OF_FACE] - body.xy[_NOSE_OF_BODY]
        best = int(np.linalg.norm(gaps, axis=1).argmin())
    one = slice(best, best + 1)
    region: Region = regions.face_from_detection(found.boxes[one], found.keypoints[one])[0]
    return region


def _meshes(block: Block, where: dict[int, Region]) -> dict[int, npt.NDArray[np.floating[Any]]]:
    if not where:
        return {}
    around = np.stack(list(where.values()))
    raw, logits = block.pictures.run("mesh", list(where), around)
    points = to_picture(decode.face_landmarks(raw), around)
    sure = decode.flag(logits) > chain.PRESENT
    return {t: xy for t, xy, seen in zip(where, points, sure, strict=True) if seen}
