"""MediaPipe as its authors run it: the official package, frame by frame on the CPU.

The reference that the batched detector is compared with. Takes RGB frames, gives `skeleton`
(BODY_25 from BlazePose and both hands) and, on request, `face_landmarks` (468 points). Every call
of `detect` starts fresh graphs, so recordings do not influence each other. Confidence of a body
joint is its visibility, of a hand joint the score of its hand, of a face point 1 if there is a
face: MediaPipe gives nothing finer.

Source: Lugaresi et al., "MediaPipe: A Framework for Building Perception Pipelines", 2019
(Apache-2.0); Bazarevsky et al., "BlazePose", 2020; Zhang et al., "MediaPipe Hands", 2020.
"""

import hashlib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avpipe.config import key_parameters
from avpipe.detectors import Frame
from avpipe.detectors._frames import checked
from avpipe.detectors._mediapipe.citation import CITATION
from avpipe.detectors._native_log import native_log_held
from avpipe.detectors._sides import SIDES, Side, Wrists, assign
from avpipe.detectors._tracks import Joints, Track
from avpipe.errors import ToolMissing
from avpipe.keypoints import topology
from avpipe.keypoints.mapping import compose_openpose67
from avpipe.types import Float32, Keypoints, Topology

__all__ = ["CITATION", "DEVICES", "Config", "create", "identity"]

DEVICES = ("cpu",)

_MODELS = {
    "palm_detection": "palm_detection/palm_detection_full.tflite",
    "hand_landmark": "hand_landmark/hand_landmark_full.tflite",
    "pose_detection": "pose_detection/pose_detection.tflite",
    "pose_landmark": "pose_landmark/pose_landmark_full.tflite",
}
_FACE_MODELS = {
    "face_detection": "face_detection/face_detection_short_range.tflite",
    "face_landmark": "face_landmark/face_landmark.tflite",
}
_WRISTS = (15, 16)
_SHOULDERS = (11, 12)


@dataclass(frozen=True)
class Config:
    """Parameters of the official solutions."""

    tracking: bool = True
    """Follow hands, body and face from frame to frame; False: every frame by itself."""
    min_detection_confidence: float = 0.5
    """Score from which a palm or a body is looked at, in [0, 1]; faces are always at 0.5."""
    min_tracking_confidence: float = 0.5
    """Presence from which landmarks count as detected, in [0, 1]."""
    faces: bool = False
    """Also give `face_landmarks`."""

    def __post_init__(self) -> None:
        for name in ("min_detection_confidence", "min_tracking_confidence"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be in [0, 1]")


def identity(config: Config) -> dict[str, Any]:
    """Package, version, models by sha256 and parameters; imports nothing of MediaPipe.

    Raises:
        ToolMissing: the package, or one of its model files, is not installed.
    """
    package = _package()
    models = _MODELS | (_FACE_MODELS if config.faces else {})
    return {
        "detector": "mediapipe-solutions",
        "package": f"mediapipe {metadata.version('mediapipe')}",
        "models": {name: _sha256(package / "modules" / path) for name, path in models.items()},
        "parameters": key_parameters(config),
    }


def create(config: Config, device: str) -> "MediapipeSolutions":
    """The detector, on the CPU."""
    return MediapipeSolutions(config)


class MediapipeSolutions:
    """See `avpipe.detectors.Detector`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.identity: Mapping[str, Any] = identity(config)
        self.topologies: Mapping[str, Topology] = {"skeleton": topology("openpose67")} | (
            {"face_landmarks": topology("face468")} if config.faces else {}
        )
        self._solutions = _import_solutions()

    def detect(self, frames: Iterable[Frame]) -> dict[str, Keypoints]:
        """See `avpipe.detectors.Detector.detect`."""
        body, face = Track("blazepose33"), Track("face468")
        hands = {side: Track("hand21") for side in SIDES}
        for found in self._each(checked(frames)):
            body.append(found.body)
            face.append(found.face)
            for side, track in hands.items():
                track.append(found.hands.get(side))
        left, right = (hands[side].keypoints() for side in SIDES)
        fields = {"skeleton": compose_openpose67(body.keypoints(), left, right)}
        if self.config.faces:
            fields["face_landmarks"] = face.keypoints()
        return fields

    def _each(self, frames: Iterator[Frame]) -> Iterator["_Found"]:
        first = next(frames, None)
        if first is None:
            return
        with ExitStack() as open_graphs:
            with native_log_held():
                graphs = [open_graphs.enter_context(graph) for graph in self._graphs()]
                # Graphs start in threads of their own; the first result waits for them.
                found = _found([graph.process(first) for graph in graphs], first)
            yield found
            for frame in frames:
                with native_log_held():
                    results = [graph.process(frame) for graph in graphs]
                yield _found(results, frame)

    def _graphs(self) -> list[Any]:
        options = {
            "static_image_mode": not self.config.tracking,
            "min_detection_confidence": self.config.min_detection_confidence,
            "min_tracking_confidence": self.config.min_tracking_confidence,
        }
        graphs = [self._solutions.hands.Hands(**options), self._solutions.pose.Pose(**options)]
        if self.config.faces:
            graphs.append(self._solutions.face_mesh.FaceMesh(max_num_faces=1, **options))
        return graphs


@dataclass(frozen=True, slots=True)
class _Found:
    """What one frame shows; None: nothing."""

    body: Joints | None
    hands: Mapping[Side, Joints]
    face: Joints | None


def _found(results: list[Any], frame: Frame) -> _Found:
    of_hands, of_pose, *of_face = results
    body = wrists = face = None
    if of_pose.pose_landmarks:
        landmarks = of_pose.pose_landmarks.landmark
        visibility = np.array([point.visibility for point in landmarks], np.float32)
        body = _pixels(landmarks, frame), np.clip(visibility, 0, 1)
        wrists = _wrists(*body)
    if of_face and of_face[0].multi_face_landmarks:
        xy = _pixels(of_face[0].multi_face_landmarks[0].landmark, frame)
        face = xy, np.ones(len(xy), np.float32)
    hands = {
        side: (hand.xy, np.full(len(hand.xy), hand.score, np.float32))
        for side, hand in assign(_hands(of_hands, frame), wrists).items()
    }
    return _Found(body, hands, face)


class _Hand(NamedTuple):
    """See `avpipe.detectors._sides.Hand`; the score is the label's, MediaPipe gives no other."""

    xy: Float32
    score: float
    label: Side


def _hands(result: Any, frame: Frame) -> list[_Hand]:
    if not result.multi_hand_landmarks:
        return []
    found = []
    for hand, handedness in zip(result.multi_hand_landmarks, result.multi_handedness, strict=True):
        label = handedness.classification[0]
        # The labels are those of a selfie, where left and right are swapped.
        side = SIDES[1] if label.label == "Left" else SIDES[0]
        found.append(_Hand(_pixels(hand.landmark, frame), label.score, side))
    return found


def _wrists(xy: Float32, visibility: Float32) -> Wrists:
    left, right = xy[list(_SHOULDERS)]
    return Wrists(xy[list(_WRISTS)], visibility[list(_WRISTS)], float(np.linalg.norm(left - right)))


def _pixels(landmarks: Any, frame: Frame) -> Float32:
    height, width = frame.shape[:2]
    relative = np.array([(point.x, point.y) for point in landmarks], np.float64)
    return (relative * (width, height)).astype(np.float32)


def _import_solutions() -> Any:
    _package()
    try:
        return importlib.import_module("mediapipe.python.solutions")
    except ImportError as error:
        if "cv2" in str(error) or "libGL" in str(error) or error.name == "cv2":
            raise ToolMissing(
                f"MediaPipe needs OpenCV, which cannot be loaded ({error}): run pip uninstall -y "
                'opencv-contrib-python && pip install "opencv-contrib-python-headless<4.12"'
            ) from error
        raise ToolMissing(f"MediaPipe cannot be loaded ({error}): reinstall mediapipe") from error


def _package() -> Path:
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise ToolMissing("mediapipe-solutions needs MediaPipe: pip install mediapipe==0.10.21")
    return Path(spec.origin).parent


@cache
def _sha256(model: Path) -> str:
    if not model.is_file():
        raise ToolMissing(f"{model} is missing: pip install mediapipe==0.10.21 (the last with it)")
    return hashlib.sha256(model.read_bytes()).hexdigest()
