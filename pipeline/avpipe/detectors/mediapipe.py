"""MediaPipe's models in batches: the default detector, on CUDA or on the CPU.

Takes RGB frames, gives `skeleton` (BODY_25 and both hands) and, on request, `face_landmarks` (468
points). The models are those of the official package and ship with avpipe; what runs before,
between and after them is avpipe's own. Confidence of a body joint is its visibility, of a hand
joint the presence of its hand, of a face point 1 if there is a face.

Two recipes: `performer` looks for the hands where the arms say they are and follows them through
time; `per-frame` gives the numbers of the official solutions in static mode.

Source: Bazarevsky et al., "BlazePose", 2020; Zhang et al., "MediaPipe Hands", 2020; Grishchenko
and Bazarevsky, "MediaPipe Holistic", 2020 (regions of the hands).
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from avpipe.config import key_parameters, runtime_only
from avpipe.detectors import Detected, Frame
from avpipe.detectors._frames import checked
from avpipe.detectors._mediapipe.blocks import Block, Rules, read
from avpipe.detectors._mediapipe.citation import CITATION
from avpipe.detectors._mediapipe.faces import Faces
from avpipe.detectors._mediapipe.models import WEIGHTS, digests
from avpipe.detectors._mediapipe.per_frame import PerFrame
from avpipe.detectors._mediapipe.performer import Performer
from avpipe.detectors._mediapipe.runner import LiteRTRunner, Runner
from avpipe.detectors._prefetch import prefetched
from avpipe.detectors._sides import SIDES, WRIST_GATE
from avpipe.detectors._tracks import Joints, Track
from avpipe.keypoints import topology
from avpipe.keypoints.mapping import compose_openpose67
from avpipe.types import Topology

__all__ = ["CITATION", "DEVICES", "Config", "create", "identity"]

DEVICES = ("cuda", "cpu")
VERSION = 1
"""Raised whenever the same frames and parameters would give other keypoints."""

_RECIPES: dict[str, type[Performer] | type[PerFrame]] = {
    "performer": Performer,
    "per-frame": PerFrame,
}


@dataclass(frozen=True)
class Config:
    """Parameters of the detector."""

    recipe: Literal["performer", "per-frame"] = "performer"
    """How hands are looked for; see above."""
    fidelity: Literal["exact", "fast"] = "exact"
    """"fast" computes in half precision on CUDA; hands move by 0.1 px, bodies by 1 px."""
    key_frames: int = 5
    """`performer`: every how many frames body and face are searched in the whole picture."""
    fallback_frames: int = 5
    """`performer`: every how many frames of a hole a palm is searched around the wrist."""
    wrist_gate: float = WRIST_GATE
    """`performer`: how far a hand's wrist may lie from the body's, in shoulder widths."""
    heat_map_window: int = 9
    """Side of the window that refines a joint; 9 as in the Python solutions, 7 in the C++ graph."""
    faces: bool = False
    """Also give `face_landmarks`."""
    threads: int = runtime_only(0)
    """CPU threads; 0: OMP_NUM_THREADS if it is set (workers set it to 1), else all cores."""
    batch: int = runtime_only(64)
    """Regions at a time on CUDA; halved when memory runs out."""

    def __post_init__(self) -> None:
        for name in ("key_frames", "fallback_frames", "heat_map_window", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")


def identity(config: Config, weights: Path = WEIGHTS) -> dict[str, Any]:
    """Version, models by sha256 and parameters; loads no model.

    Raises:
        ToolMissing: a model file is missing or is another one.
    """
    return {
        "detector": "mediapipe",
        "version": VERSION,
        "models": digests(_models(config), weights),
        "parameters": key_parameters(config),
    }


def create(config: Config, device: str) -> "Mediapipe":
    """The detector with its models loaded."""
    runner: Runner
    if device == "cuda":
        from avpipe.detectors._mediapipe.torch_runner import TorchRunner

        half = config.fidelity == "fast"
        runner = TorchRunner(_models(config), device, config.batch, half=half)
    else:
        runner = LiteRTRunner(_models(config), config.threads or _threads())
    return Mediapipe(config, runner)


class Mediapipe:
    """See `avpipe.detectors.Detector`."""

    def __init__(self, config: Config, runner: Runner) -> None:
        self.config = config
        self.identity: Mapping[str, Any] = identity(config)
        self.topologies: Mapping[str, Topology] = {"skeleton": topology("openpose67")} | (
            {"face_landmarks": topology("face468")} if config.faces else {}
        )
        self._runner = runner

    def detect(self, frames: Iterable[Frame]) -> Detected:
        """See `avpipe.detectors.Detector.detect`.

        Notes `hand_origin` (T, 2) uint8, left and right: 0 none, 1 direct, 2 propagated from a
        neighbouring frame, 3 fallback, 4 from a palm of the whole picture.
        """
        body, face = Track("blazepose33"), Track("face468")
        hands = {side: Track("hand21") for side in SIDES}
        origins = bytearray()
        for block in self._blocks(frames):
            for t in range(len(block)):
                body.append(_body(block, t))
                for side, track in hands.items():
                    found = block.hands.get((t, side))
                    track.append(found and _flat(found.hand.xy, found.hand.presence))
                    origins.append(found.origin if found else 0)
                if self.config.faces:
                    mesh = block.faces.get(t)
                    face.append(None if mesh is None else _flat(mesh, 1.0))
        left, right = (hands[side].keypoints() for side in SIDES)
        fields = {"skeleton": compose_openpose67(body.keypoints(), left, right)}
        if self.config.faces:
            fields["face_landmarks"] = face.keypoints()
        return Detected(fields, {"hand_origin": np.frombuffer(origins, np.uint8).reshape(-1, 2)})

    def _blocks(self, frames: Iterable[Frame]) -> Iterator[Block]:
        config = self.config
        rules = Rules(
            config.key_frames, config.fallback_frames, config.wrist_gate, config.heat_map_window
        )
        faces = Faces(config.key_frames if config.recipe == "performer" else 1)
        blocks = prefetched(read(checked(frames), self._runner), ahead=1)
        for block in _RECIPES[config.recipe](rules)(blocks):
            if config.faces:
                faces.find(block)
            yield block


def _body(block: Block, t: int) -> Joints | None:
    body = block.bodies.get(t)
    if body is None:
        return None
    return body.xy[:33].astype(np.float32), body.visibility[:33].astype(np.float32)


def _flat(xy: Any, confidence: float) -> Joints:
    return xy.astype(np.float32), np.full(len(xy), confidence, np.float32)


def _models(config: Config) -> list[str]:
    hands = ["palm", "hand"] + (["hand_recrop"] if config.recipe == "performer" else [])
    return ["body", "pose", *hands] + (["face", "mesh"] if config.faces else [])


def _threads() -> int:
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return int(stated) if stated.isdecimal() and int(stated) else len(os.sched_getaffinity(0))
