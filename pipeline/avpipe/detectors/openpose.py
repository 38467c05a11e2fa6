"""OpenPose through its Python binding: body, hands and, on request, face of every frame.

Takes RGB frames, gives `skeleton` (BODY_25 and both hands, in OpenPose's own order) and
`face_landmarks` (the 68 points of its 70 that are not pupils). OpenPose looks at single frames, so
recordings do not influence each other. Confidence of a joint is the height of its heat map, cut to
[0, 1]; OpenPose gives a low one to hands that it cannot see. With several people the performer is
chosen over the whole recording.

OpenPose is not on any package index: `docker/openpose.Dockerfile` builds it. It runs on what it was
built for, a GPU or the CPU. Its licence allows academic and non-commercial use only.

Source: Cao, Hidalgo, Simon, Wei, Sheikh: "OpenPose", TPAMI 2019; Simon, Joo, Matthews, Sheikh:
"Hand Keypoint Detection in Single Images using Multiview Bootstrapping", CVPR 2017.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from avpipe.config import key_parameters, runtime_only
from avpipe.detectors import Frame
from avpipe.detectors._files import sha256
from avpipe.detectors._frames import checked
from avpipe.detectors._people import People, as_keypoints
from avpipe.errors import AvpipeError, ToolMissing
from avpipe.keypoints import topology
from avpipe.types import Float32, Keypoints, Topology

DEVICES = ("cuda", "cpu")
VERSION = 1
"""Raised whenever the same frames and parameters would give other keypoints."""

CITATION = """\
@article{cao2019openpose,
  author  = {Cao, Zhe and Hidalgo, Gines and Simon, Tomas and Wei, Shih-En and Sheikh, Yaser},
  title   = {OpenPose: Realtime Multi-Person 2D Pose Estimation Using Part Affinity Fields},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  year    = {2019}
}

@inproceedings{simon2017hand,
  author    = {Simon, Tomas and Joo, Hanbyul and Matthews, Iain and Sheikh, Yaser},
  title     = {Hand Keypoint Detection in Single Images using Multiview Bootstrapping},
  booktitle = {CVPR},
  year      = {2017}
}"""

_MODELS = {
    "body": ("pose/body_25/pose_deploy.prototxt", "pose/body_25/pose_iter_584000.caffemodel"),
    "hands": ("hand/pose_deploy.prototxt", "hand/pose_iter_102000.caffemodel"),
    "faces": ("face/pose_deploy.prototxt", "face/pose_iter_116000.caffemodel"),
}
_BODY, _HAND, _FACE = 25, 21, 70
_LANDMARKS = 68
"""Of the face; the two points after them are the pupils."""
_HELP = "build it with docker/openpose.Dockerfile, or set PYTHONPATH to its build/python/openpose"


@dataclass(frozen=True)
class Config:
    """Parameters of OpenPose; names and meaning are those of its flags where it has one."""

    number_people_max: int = 1
    """Most people to find; -1: all. With one, OpenPose itself picks the surest in each frame, as
    the Solos data set was made; with more, avpipe picks the performer over the whole recording."""
    net_resolution: str = "-1x368"
    """Width and height of the body network's input, multiples of 16; -1: by the aspect ratio."""
    scale_number: int = 1
    """How many sizes of the picture to average."""
    scale_gap: float = 0.25
    """Between those sizes."""
    hands: bool = True
    """Look for hands."""
    hand_net_resolution: str = "368x368"
    """Of the hand network's input, multiples of 16."""
    faces: bool = False
    """Also give `face_landmarks`."""
    face_net_resolution: str = "368x368"
    """Of the face network's input, multiples of 16."""
    model_folder: str = runtime_only("/usr/local/share/openpose/models")
    """Where the models lie; what they hold is part of the identity, where they lie is not."""

    def __post_init__(self) -> None:
        if self.number_people_max != -1 and self.number_people_max < 1:
            raise ValueError(f"number_people_max = {self.number_people_max}: 1 or more, or -1")
        for name in ("net_resolution", "hand_net_resolution", "face_net_resolution"):
            sides = re.fullmatch(r"(-1|\d+)x(-1|\d+)", getattr(self, name))
            if sides is None or any(
                s != "-1" and (int(s) % 16 or s == "0") for s in sides.groups()
            ):
                raise ValueError(
                    f"{name} = {getattr(self, name)!r}: must be like -1x368 or 656x368"
                )


def identity(config: Config) -> dict[str, Any]:
    """Version, models by sha256 and parameters; loads the binding but no model.

    Raises:
        ToolMissing: the binding or a model file is not there.
    """
    folder = Path(config.model_folder)
    used = ["body", *(part for part in ("hands", "faces") if getattr(config, part))]
    return {
        "detector": "openpose",
        "package": _version(_binding()),
        "models": {path: sha256(_model(folder / path)) for part in used for path in _MODELS[part]},
        "version": VERSION,
        "parameters": key_parameters(config),
    }


def has_cuda() -> bool:
    """Whether this OpenPose was built for CUDA and finds a device."""
    return int(_binding().get_gpu_number()) > 0


def create(config: Config, device: str) -> "OpenPose":
    """The detector; `device` must be what OpenPose was built for.

    Raises:
        ToolMissing: the binding or a model is not there, or it was built for the other device.
    """
    if device == "cpu" and has_cuda():
        raise ToolMissing("this OpenPose is built for CUDA: use device cuda, or build it CPU_ONLY")
    return OpenPose(config, device)


class OpenPose:
    """See `avpipe.detectors.Detector`."""

    def __init__(self, config: Config, device: str) -> None:
        self.config = config
        self.identity: Mapping[str, Any] = identity(config)
        self.topologies: Mapping[str, Topology] = {"skeleton": topology("openpose67")} | (
            {"face_landmarks": topology("face68")} if config.faces else {}
        )
        self._binding = _binding()
        self._wrapper = self._binding.WrapperPython()
        self._wrapper.configure(_flags(config, device))
        self._wrapper.start()

    def detect(self, frames: Iterable[Frame]) -> dict[str, Keypoints]:
        """See `avpipe.detectors.Detector.detect`."""
        people = People(_BODY + 2 * _HAND + _FACE, _BODY)
        for frame in checked(frames):
            people.append(self._people(frame))
        performer = people.performer()
        body = _BODY + 2 * _HAND
        fields = {"skeleton": as_keypoints(performer[:, :body], "openpose67")}
        if self.config.faces:
            face = performer[:, body : body + _LANDMARKS]
            fields["face_landmarks"] = as_keypoints(face, "face68")
        return fields

    def _people(self, frame: Frame) -> Float32:
        """(P, 137, 3) everyone in a frame: body, left hand, right hand, face."""
        datum = self._binding.Datum()
        datum.cvInputData = np.ascontiguousarray(frame[..., ::-1])  # OpenCV's order: BGR
        if self._wrapper.emplaceAndPop(self._binding.VectorDatum([datum])) is False:
            raise AvpipeError("OpenPose gave no answer for a frame: see what it wrote above")
        body = _array(datum.poseKeypoints, None, _BODY)
        hands = datum.handKeypoints if self.config.hands else (None, None)
        left, right = (_array(hand, len(body), _HAND) for hand in hands)
        face = _array(datum.faceKeypoints if self.config.faces else None, len(body), _FACE)
        return np.concatenate([body, left, right, face], axis=1)


def _array(found: Any, people: int | None, joints: int) -> Float32:
    """(P, K, 3) a copy of what OpenPose gives; it has several ways to say that there is nothing.

    Args:
        found: None, an array without elements, or (P, K, 3).
        people: how many there must be, in the order of the bodies; None: any number.
        joints: K.
    """
    if found is None or np.size(found) == 0 or np.ndim(found) != 3:
        return np.zeros((people or 0, joints, 3), np.float32)
    array = np.array(found, np.float32)
    if array.shape != (len(array) if people is None else people, joints, 3):
        raise AvpipeError(
            f"OpenPose gave {array.shape} where ({people or 'P'}, {joints}, 3) was expected"
        )
    return array


def _flags(config: Config, device: str) -> dict[str, Any]:
    """All flags that matter, defaults too: they are global to the process and stay as they were."""
    flags: dict[str, Any] = {
        "model_folder": f"{Path(config.model_folder)}/",
        "model_pose": "BODY_25",
        "number_people_max": config.number_people_max,
        "net_resolution": config.net_resolution,
        "scale_number": config.scale_number,
        "scale_gap": config.scale_gap,
        "keypoint_scale": 0,  # px of the picture
        "hand": config.hands,
        "hand_net_resolution": config.hand_net_resolution,
        "face": config.faces,
        "face_net_resolution": config.face_net_resolution,
        "render_pose": 0,
        "hand_render": 0,
        "face_render": 0,
        "logging_level": 4,  # errors
    }
    return flags | ({"num_gpu": 1, "num_gpu_start": 0} if device == "cuda" else {})


def _binding() -> Any:
    """The module, from the folder it is built in or that it is installed to."""
    for name in ("pyopenpose", "openpose.pyopenpose"):
        try:
            module = import_module(name)
        except ModuleNotFoundError:
            continue
        except ImportError as error:
            raise ToolMissing(f"OpenPose cannot be loaded ({error}): {_HELP}") from error
        if not hasattr(module, "VectorDatum"):
            raise ToolMissing(f"OpenPose 1.7 or newer is needed, not {module.__file__}: {_HELP}")
        return module
    raise ToolMissing(f"OpenPose needs its Python binding pyopenpose: {_HELP}")


def _version(binding: Any) -> str:
    """`openpose 1.7.0`: the library that the binding was linked with; the binding knows no other.

    A binding that does not name it is known by its digest.
    """
    path = Path(binding.__file__)
    linked = re.search(rb"libopenpose\.so\.(\d+(?:\.\d+)*)", path.read_bytes())
    return f"openpose {linked[1].decode()}" if linked else f"openpose {sha256(path)}"


def _model(path: Path) -> Path:
    if not path.is_file():
        raise ToolMissing(
            f"OpenPose model {path} is missing: docker/openpose.Dockerfile says where from;"
            " set detect.options.model_folder to the folder that holds pose/, hand/ and face/"
        )
    return path
