"""Face meshes of everybody who is followed: a detection on key frames, twice the mesh on every one.

A person's face is the one at the nose of the body. Where the model for the whole picture sees none,
the head is asked again with the model for near faces, which also sees a face that fills the
picture. The second mesh is cut out by the landmarks of the first, so that its region follows the
face and not the last key frame.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.detectors._mediapipe import chain, decode, regions
from avpipe.detectors._mediapipe.blocks import NOBODY, Block, Place
from avpipe.detectors._mediapipe.chain import Body, Region
from avpipe.detectors._mediapipe.crop import to_picture

FAR, NEAR = 0.6, 0.5
"""Scores of face detections, as in MediaPipe's graphs for the two models."""
_NOSE_OF_FACE, _NOSE_OF_BODY = 2, 0
_REACH = 0.5
"""How far the two noses may be from each other, in widths of the face."""


class Faces:
    """Finds faces, block by block."""

    def __init__(self, key_frames: int) -> None:
        self._key_frames = key_frames
        self._regions: dict[int, Region] = {}

    def find(self, block: Block) -> None:
        """Fills `block.faces`."""
        at_key = self._on_key_frames(block)
        bodies: dict[int, list[int]] = defaultdict(list)
        for person, t in block.bodies:
            bodies[t].append(person)
        where: dict[Place, Region] = {}
        for t in range(len(block)):
            if t in at_key:
                self._regions = at_key[t]
            for person, region in self._regions.items():
                if person in bodies[t] or (person == NOBODY and not bodies[t]):
                    where[person, t] = region
        rough = meshes(block, where)
        again = {
            place: regions.face_from_landmarks(points[None])[0] for place, points in rough.items()
        }
        block.faces = meshes(block, again)

    def _on_key_frames(self, block: Block) -> dict[int, dict[int, Region]]:
        """By key frame and person, where the face is."""
        pictures, keys = block.pictures, block.every(self._key_frames)
        found = chain.detect(pictures, chain.whole(pictures, keys), "face", FAR)
        at_key: dict[int, dict[int, Region]] = {t: {} for t in keys}
        missing: list[tuple[Place, Region]] = []
        whole = chain.whole(pictures, keys)
        for (t, picture), seen in zip(whole, found, strict=True):
            people = [(person, body) for (person, at), body in block.bodies.items() if at == t]
            for person, body in people:
                region = _of(body, seen)
                if region is not None:
                    at_key[t][person] = region
                elif body.visibility[_NOSE_OF_BODY] > chain.PRESENT:
                    head = regions.snapped(regions.head(body.xy[None, :33]))[0]
                    missing.append(((person, t), head))
            if not people and len(seen.scores):
                at_key[t][NOBODY] = _best(seen)
            elif not people:
                missing.append(((NOBODY, t), picture))
        where = [(t, around) for (_, t), around in missing]
        near = chain.detect(pictures, where, "near_face", NEAR)
        for ((person, t), _), seen in zip(missing, near, strict=True):
            if len(seen.scores):
                at_key[t][person] = _best(seen)
        return at_key


class OfficialFaces:
    """The most prominent face of every frame by itself, as MediaPipe's Face Mesh in static mode."""

    def find(self, block: Block) -> None:
        """Fills `block.faces`."""
        frames = range(len(block))
        whole = chain.whole(block.pictures, frames)
        found = chain.detect(block.pictures, whole, "near_face", NEAR)
        block.faces = meshes(
            block, {(0, t): _best(seen) for t, seen in enumerate(found) if len(seen.scores)}
        )


def _of(body: Body, found: decode.Detections) -> Region | None:
    """The face at the body's nose."""
    if not len(found.scores):
        return None
    gaps = np.linalg.norm(found.keypoints[:, _NOSE_OF_FACE] - body.xy[_NOSE_OF_BODY], axis=1)
    nearest = int(gaps.argmin())
    if gaps[nearest] > _REACH * found.boxes[nearest, 2]:
        return None
    return _region(found, nearest)


def _best(found: decode.Detections) -> Region:
    return _region(found, 0)


def _region(found: decode.Detections, index: int) -> Region:
    one = slice(index, index + 1)
    region: Region = regions.face_from_detection(found.boxes[one], found.keypoints[one])[0]
    return region


def meshes(
    block: Block, where: Mapping[Place, Region]
) -> dict[Place, npt.NDArray[np.floating[Any]]]:
    """(468, 2) px of each place's region that shows a face."""
    if not where:
        return {}
    around = np.stack(list(where.values()))
    raw, logits = block.pictures.run("mesh", [t for _, t in where], around)
    points = to_picture(decode.face_landmarks(raw), around)
    sure = decode.flag(logits) > chain.PRESENT
    return {place: xy for place, xy, seen in zip(where, points, sure, strict=True) if seen}
