"""Keypoints that OpenPose wrote: a folder of `--write_json` a recording, one JSON a frame.

`FOLDER/<id>/` or `FOLDER/<category>/<id>/` holds `<name>_<number>_keypoints.json` of consecutive
frames from the first on; where the numbers begin does not matter. BODY_25 and COCO bodies, hands
and faces in pixels (`--keypoint_scale 0`, the default) land in the fields of the detector
`openpose`. Of several people the performer is chosen over the whole recording.

Source: `doc/02_output.md` of https://github.com/CMU-Perceptual-Computing-Lab/openpose.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avpipe.config import key_parameters
from avpipe.detectors._imported import (
    Files,
    digest,
    fitted,
    missing,
    number,
    places,
    points,
    read_json,
    unreadable,
)
from avpipe.detectors._people import People, as_keypoints
from avpipe.detectors.openpose import CITATION
from avpipe.keypoints.mapping import compose_openpose67
from avpipe.types import Float32, Keypoints, Recording

__all__ = ["CITATION", "DEVICES", "Config", "identity", "inputs", "load"]

NAME = "import:openpose"
DEVICES = ("cpu",)
VERSION = 1
"""Raised whenever the same files would give other keypoints."""

_BODIES = {25: "body25", 18: "coco18"}
_HAND, _FACE, _LANDMARKS = 21, 70, 68
_PARTS = (
    ("hand_left_keypoints_2d", _HAND),
    ("hand_right_keypoints_2d", _HAND),
    ("face_keypoints_2d", _FACE),
)
_BESIDE = 2 * _HAND + _FACE
"""Joints of a person beside those of the body."""


@dataclass(frozen=True)
class Config(Files):
    """Parameters of the importer."""

    faces: bool = False
    """Also give `face_landmarks`."""


def identity(config: Config) -> dict[str, Any]:
    """Name and parameters; what the files hold is each recording's own.

    Raises:
        ToolMissing: the folder is not there.
    """
    config.root(NAME)
    return {"detector": NAME, "version": VERSION, "parameters": key_parameters(config)}


def inputs(config: Config, recording: Recording) -> dict[str, Any]:
    """Digest of the recording's files; None if there are none."""
    files = _files(config, recording)
    return {"imported": digest(files) if files else None}


def load(config: Config, recording: Recording, frames: int) -> dict[str, Keypoints]:
    """Keypoints of the performer in as many frames as the video has.

    Raises:
        RecordingFailed: `unreadable`; there are no files, or they are not OpenPose's, or of another
            number of frames.
    """
    files = _files(config, recording)
    if not files:
        raise missing(NAME, config.folder, recording)
    body, found = _performer(files)
    left, right = body + _HAND, body + 2 * _HAND
    skeleton = compose_openpose67(
        as_keypoints(found[:, :body], _BODIES[body]),
        as_keypoints(found[:, body:left], "hand21"),
        as_keypoints(found[:, left:right], "hand21"),
    )
    fields = {"skeleton": skeleton}
    if config.faces:
        fields["face_landmarks"] = as_keypoints(found[:, right : right + _LANDMARKS], "face68")
    return {name: fitted(k, frames, config.slack_frames) for name, k in fields.items()}


def _files(config: Config, recording: Recording) -> list[Path]:
    """The recording's files in the order of their frames."""
    for place in places(config.root(NAME), recording):
        files = list(place.glob("*_keypoints.json"))
        if files:
            return sorted(files, key=_number)
    return []


def _number(path: Path) -> int:
    return number(path.name.removesuffix("_keypoints.json"), path)


def _performer(files: list[Path]) -> tuple[int, Float32]:
    """Joints of a body, and (T, K, 3) body, left hand, right hand, face of the performer."""
    first = _number(files[0])
    for index, path in enumerate(files):
        if _number(path) != first + index:
            raise unreadable(path, f"frame {first + index} should come before it and is missing")
    people_of = [_people(path) for path in files]
    sizes = {len(person) for people in people_of for person in people} or {25 + _BESIDE}
    if len(sizes) > 1:
        bodies = sorted(size - _BESIDE for size in sizes)
        raise unreadable(files[0].parent, f"has bodies of {bodies} joints: one kind is needed")
    joints = sizes.pop()
    everyone = People(joints, joints - _BESIDE)
    for people in people_of:
        everyone.append(np.array(people, np.float32))
    return joints - _BESIDE, everyone.performer()


def _people(path: Path) -> list[Float32]:
    """(K, 3) of everyone in a frame: body, left hand, right hand, face."""
    content = read_json(path)
    listed = content.get("people") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not all(isinstance(person, dict) for person in listed):
        raise unreadable(path, "has no list of people, as OpenPose writes it")
    return [_person(person, path, f"people[{index}]") for index, person in enumerate(listed)]


def _person(person: dict[str, Any], path: Path, entry: str) -> Float32:
    name = f"{entry}.pose_keypoints_2d"
    body = points(person.get("pose_keypoints_2d", []), path, name)
    if len(body) not in _BODIES:
        known = " or ".join(map(str, _BODIES))
        raise unreadable(path, f"{name}: a body has {len(body)} joints, not {known}")
    if body[:, 2].any() and body[:, :2].max() <= 1:
        text = f"{name} is not in pixels: run OpenPose with --keypoint_scale 0"
        raise unreadable(path, text)
    parts = [body]
    for key, joints in _PARTS:
        part = points(person.get(key, []), path, f"{entry}.{key}")
        if len(part) not in (0, joints):
            raise unreadable(path, f"{entry}.{key} has {len(part)} joints, not {joints}")
        parts.append(part if len(part) else np.zeros((joints, 3), np.float32))
    return np.concatenate(parts)
