"""MediaPipe's models in batches: the default detector, on CUDA or on the CPU.

Takes RGB frames, gives `skeleton` (BODY_25 and both hands) and, on request, `face_landmarks` (468
points). The models are those of the official package and ship with avpipe; what runs before,
between and after them is avpipe's own. Confidence of a body joint is its visibility, of a hand
joint the presence of its hand, of a face point 1 if there is a face.

Three recipes: `performer` looks for the hands where the arms say they are and follows them through
time, both ways; of several people it is the one most seen over the whole recording. `ensemble` does
so for several players, from left to right in `skeleton`, `skeleton_2`, ...; `per-frame` gives the
numbers of the official solutions in static mode.

Source: Bazarevsky et al., "BlazePose", 2020; Zhang et al., "MediaPipe Hands", 2020; Grishchenko
and Bazarevsky, "MediaPipe Holistic", 2020 (regions of the hands).
"""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from avpipe.config import key_parameters, runtime_only
from avpipe.detectors import Detected, Frame
from avpipe.detectors._frames import checked
from avpipe.detectors._mediapipe import everybody
from avpipe.detectors._mediapipe.blocks import Rules, read
from avpipe.detectors._mediapipe.chain import Body
from avpipe.detectors._mediapipe.citation import CITATION
from avpipe.detectors._mediapipe.collect import Recording
from avpipe.detectors._mediapipe.everybody import apart, size
from avpipe.detectors._mediapipe.faces import Faces, OfficialFaces
from avpipe.detectors._mediapipe.follow import Follow
from avpipe.detectors._mediapipe.light import stretched
from avpipe.detectors._mediapipe.models import WEIGHTS, digests
from avpipe.detectors._mediapipe.per_frame import PerFrame
from avpipe.detectors._mediapipe.runner import LiteRTRunner, Runner
from avpipe.detectors._prefetch import prefetched
from avpipe.detectors._sides import WRIST_GATE
from avpipe.keypoints import topology
from avpipe.media.colour import I420
from avpipe.types import Topology

__all__ = [
    "CITATION",
    "DEVICES",
    "Body",
    "Config",
    "apart",
    "create",
    "identity",
    "people",
    "people_identity",
    "size",
]

DEVICES = ("cuda", "cpu")
VERSION = 5
"""Raised whenever the same frames and parameters would give other keypoints."""

PEOPLE_VERSION = 2
"""As `VERSION`, for `people`."""

_OF_PEOPLE = ["body", "pose"]
_FIELDS = {"skeleton": "openpose67", "face_landmarks": "face468"}


@dataclass(frozen=True)
class Config:
    """Parameters of the detector."""

    recipe: Literal["performer", "per-frame", "ensemble"] = "performer"
    """How people and hands are looked for; see above."""
    players: int = 2
    """`ensemble`: how many players there are."""
    fidelity: Literal["exact", "fast"] = "exact"
    """"fast" computes in half precision on CUDA: see docs/detection.md for how much that moves."""
    key_frames: int = 5
    """Not `per-frame`: every how many frames people and faces are searched in the whole picture,
    and a hand where its arm says although it could be followed."""
    fallback_frames: int = 5
    """Not `per-frame`: every how many frames a palm is searched around a wrist without a hand."""
    wrist_gate: float = WRIST_GATE
    """Not `per-frame`: how far a hand's wrist may lie from the body's, in shoulder widths."""
    heat_map_window: int = 9
    """Side of the window that refines a joint; 9 as in the Python solutions, 7 in the C++ graph."""
    faces: bool = False
    """Also give `face_landmarks`."""
    threads: int = runtime_only(0)
    """CPU threads; 0: OMP_NUM_THREADS if it is set (workers set it to 1), else all cores."""
    batch: int = runtime_only(64)
    """Regions at a time on CUDA, in whole groups of 16; halved when memory runs out."""

    def __post_init__(self) -> None:
        for name in ("players", "key_frames", "fallback_frames", "heat_map_window", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")
        if self.threads < 0:
            raise ValueError(f"threads = {self.threads}: must be at least 0")
        if not 0 < self.wrist_gate < math.inf:
            raise ValueError(f"wrist_gate = {self.wrist_gate}: must be above 0")
        if not self.heat_map_window % 2:
            raise ValueError(f"heat_map_window = {self.heat_map_window}: must be odd")


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
        runner = TorchRunner(
            _models(config), device, config.batch, half=half, heat_map_window=config.heat_map_window
        )
    else:
        threads = config.threads or _threads()
        runner = LiteRTRunner(_models(config), threads, config.heat_map_window)
    return Mediapipe(config, runner)


class Mediapipe:
    """See `avpipe.detectors.Detector`."""

    planar: bool
    """Whether frames had better come in 4:2:0 (`media.decode_planes`): same results, less work."""

    def __init__(self, config: Config, runner: Runner) -> None:
        self.config = config
        self.identity: Mapping[str, Any] = identity(config)
        self.topologies: Mapping[str, Topology] = {
            f"{field}{number}": topology(name)
            for field, name in _FIELDS.items()
            for number in _numbers(config)
            if config.faces or field == "skeleton"
        }
        self._runner = runner
        self.planar = not isinstance(runner, LiteRTRunner)

    def detect(self, frames: Iterable[Frame | I420]) -> Detected:
        """See `avpipe.detectors.Detector.detect`.

        Notes `hand_origin` (T, 2) uint8, left and right: 0 none, 1 direct, 2 propagated from a
        neighbouring frame, 3 fallback, 4 from a palm of the whole picture; and `hand_origin_2`
        and so on for further players. Frames may also be in 4:2:0, see `planar`.
        """
        config, recipe = self.config, _recipe(self.config)
        faces = OfficialFaces() if config.recipe == "per-frame" else Faces(config.key_frames)
        recording = Recording()
        pictures = checked(frames) if config.recipe == "per-frame" else stretched(checked(frames))
        for block in recipe(prefetched(read(pictures, self._runner), ahead=1)):
            if config.faces:
                faces.find(block)
            recording.append(block)
        loose = recipe.loose.sides() if recipe.loose else ()
        players = recording.players(recipe.players(), loose)
        players.sort(key=lambda player: player.across)
        numbered = list(zip(_numbers(config), players, strict=True))
        fields = {f"skeleton{number}": player.skeleton for number, player in numbered}
        if config.faces:
            fields |= {f"face_landmarks{number}": player.face for number, player in numbered}
        return Detected(fields, {f"hand_origin{n}": player.origins for n, player in numbered})


def people(frames: Iterable[Frame], threads: int = 0) -> Iterator[list[Body]]:
    """All people of each of some frames, however small, the surest first; on the CPU.

    Args:
        frames: (H, W, 3) uint8 RGB of one size, in no order that matters.
        threads: CPU threads; 0: as `Config.threads`.
    """
    runner = LiteRTRunner(list(_OF_PEOPLE), threads or _threads())
    for block in read(checked(frames), runner):
        yield from everybody.find(block)


def people_identity(weights: Path = WEIGHTS) -> dict[str, Any]:
    """What `people` is made of; loads no model."""
    return {
        "detector": "mediapipe",
        "version": PEOPLE_VERSION,
        "models": digests(_OF_PEOPLE, weights),
    }


def _recipe(config: Config) -> Follow | PerFrame:
    rules = Rules(config.key_frames, config.fallback_frames, config.wrist_gate)
    if config.recipe == "per-frame":
        return PerFrame(rules)
    players = config.players if config.recipe == "ensemble" else 1
    return Follow(rules, players, tiles=config.recipe == "ensemble")


def _numbers(config: Config) -> list[str]:
    """What is appended to the fields of each player."""
    players = config.players if config.recipe == "ensemble" else 1
    return ["", *(f"_{number}" for number in range(2, players + 1))]


def _models(config: Config) -> list[str]:
    hands = ["palm", "hand"] + ([] if config.recipe == "per-frame" else ["hand_recrop"])
    faces = ["near_face", "mesh"] + ([] if config.recipe == "per-frame" else ["face"])
    return ["body", "pose", *hands] + ([] if not config.faces else faces)


def _threads() -> int:
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return int(stated) if stated.isdecimal() and int(stated) else len(os.sched_getaffinity(0))
