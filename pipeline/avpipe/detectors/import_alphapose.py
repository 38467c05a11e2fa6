"""Keypoints that AlphaPose wrote: one JSON a recording with a list of all people of all frames.

The file is `FOLDER/<id>.json`, `FOLDER/<id>/alphapose-results.json` (as AlphaPose names it), or
either below `FOLDER/<category>/`. The last number of `image_id` is the frame; a frame without
people is not in the file. Layouts are told by their number of joints: COCO 17, Halpe 26, 68 (with
hands) and 136 (with face and hands), COCO-WholeBody 133. Of several people the performer is chosen
over the whole recording. Confidences above 1, which some networks give, count as 1.

Source: `docs/output.md` of https://github.com/MVIG-SJTU/AlphaPose; the joints of
https://github.com/Fang-Haoshu/Halpe-FullBody and https://github.com/jin-s13/COCO-WholeBody.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avpipe.config import key_parameters
from avpipe.detectors._imported import (
    Files,
    check_length,
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
from avpipe.keypoints import topology
from avpipe.keypoints.mapping import compose_openpose67
from avpipe.types import Float32, Keypoints, Recording

NAME = "import:alphapose"
DEVICES = ("cpu",)
VERSION = 1
"""Raised whenever the same files would give other keypoints."""

CITATION = """\
@article{fang2022alphapose,
  author  = {Fang, Hao-Shu and others},
  title   = {AlphaPose: Whole-Body Regional Multi-Person Pose Estimation and Tracking in Real-Time},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  year    = {2022}
}"""


class _Layout(NamedTuple):
    """What follows each other in a list of joints: body, face, left hand, right hand."""

    body: str
    face: int
    hand: int


_LAYOUTS = {
    17: _Layout("coco17", 0, 0),
    26: _Layout("halpe26", 0, 0),
    68: _Layout("halpe26", 0, 21),
    133: _Layout("coco23", 68, 21),
    136: _Layout("halpe26", 68, 21),
}


@dataclass(frozen=True)
class Config(Files):
    """Parameters of the importer."""

    first_frame: int = 0
    """Number of the first frame: 0 as AlphaPose counts a video; 1 for pictures that ffmpeg cut."""
    faces: bool = False
    """Also give `face_landmarks`; needs a layout with a face."""


def identity(config: Config) -> dict[str, Any]:
    """Name and parameters; what the file holds is each recording's own.

    Raises:
        ToolMissing: the folder is not there.
    """
    config.root(NAME)
    return {"detector": NAME, "version": VERSION, "parameters": key_parameters(config)}


def inputs(config: Config, recording: Recording) -> dict[str, Any]:
    """Digest of the recording's file; None if there is none."""
    path = _file(config, recording)
    return {"imported": digest([path]) if path else None}


def load(config: Config, recording: Recording, frames: int) -> dict[str, Keypoints]:
    """Keypoints of the performer in as many frames as the video has.

    Raises:
        RecordingFailed: `unreadable`; there is no file, or it is not AlphaPose's, or holds frames
            beyond the video.
    """
    path = _file(config, recording)
    if path is None:
        raise missing(NAME, config.folder, recording)
    people_of = _people(path, config.first_frame)
    sizes = {len(person) for people in people_of.values() for person in people} or {26}
    if len(sizes) > 1 or not sizes <= _LAYOUTS.keys():
        known = ", ".join(map(str, _LAYOUTS))
        raise unreadable(path, f"people have {sorted(sizes)} joints: one of {known} is needed")
    joints = sizes.pop()
    body = len(topology(_LAYOUTS[joints].body))
    everyone = People(joints, body)
    length = max([frames - 1, *people_of]) + 1
    check_length(length, frames, config.slack_frames)  # a name may hold any number, a date say
    for frame in range(length):
        everyone.append(np.array(people_of.get(frame, []), np.float32))
    fields = _fields(everyone.performer(), _LAYOUTS[joints])
    if config.faces and "face_landmarks" not in fields:
        raise unreadable(path, f"{joints} joints a person hold no face, which the dataset asks for")
    wanted = fields if config.faces else {"skeleton": fields["skeleton"]}
    return {name: fitted(k, frames, config.slack_frames) for name, k in wanted.items()}


def _fields(found: Float32, layout: _Layout) -> dict[str, Keypoints]:
    """The fields of the performer's joints, (T, K, 3)."""
    body = len(topology(layout.body))
    face = body + layout.face
    left, right = face + layout.hand, face + 2 * layout.hand
    hands: tuple[Keypoints | None, Keypoints | None] = (None, None)
    if layout.hand:
        hands = (
            as_keypoints(found[:, face:left], "hand21"),
            as_keypoints(found[:, left:right], "hand21"),
        )
    fields = {"skeleton": compose_openpose67(as_keypoints(found[:, :body], layout.body), *hands)}
    if layout.face:
        fields["face_landmarks"] = as_keypoints(found[:, body:face], "face68")
    return fields


def _file(config: Config, recording: Recording) -> Path | None:
    for place in places(config.root(NAME), recording):
        for path in (place.with_name(f"{place.name}.json"), place / "alphapose-results.json"):
            if path.is_file():
                return path
    return None


def _people(path: Path, first_frame: int) -> dict[int, list[Float32]]:
    """Frame -> (K, 3) of everyone in it."""
    listed = read_json(path)
    if not isinstance(listed, list) or not all(isinstance(person, dict) for person in listed):
        raise unreadable(path, "is not a list of people, as AlphaPose writes it by default")
    people_of: dict[int, list[Float32]] = defaultdict(list)
    for index, person in enumerate(listed):
        image = person.get("image_id", "")
        frame = number(Path(str(image)).stem, path) - first_frame
        if frame < 0:
            raise unreadable(path, f"image_id {image!r} comes before first_frame {first_frame}")
        entry = f"[{index}].keypoints ({image})"
        people_of[frame].append(points(person.get("keypoints", []), path, entry))
    return people_of
