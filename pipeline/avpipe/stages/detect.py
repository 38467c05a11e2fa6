"""detect: keypoints of every frame of the video.

Takes `video.mp4` of the stage `video`, gives `<field>_xy.npy` (T, K, 2) float32 px,
`<field>_confidence.npy` (T, K) float32 in [0, 1] with 0 = not detected, `<note>.npy` (T, ...) for
what else the detector says (`hand_origin`), and `detect.json` that lists the fields and their
topologies. A recording without video gives `detect.json`
alone, with `present` false.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from typing import Any, Literal, cast

import numpy as np

from avpipe import detectors
from avpipe.config import configure, runtime_only
from avpipe.errors import FailureClass, RecordingFailed
from avpipe.keypoints import files, hand_visibility
from avpipe.keypoints.segments import hands_detected
from avpipe.media import NvdecPlanes, decode_frames, decode_planes
from avpipe.stages import Facts, Job, Pool
from avpipe.types import Keypoints, Recording

NEEDS = ("video",)
POOL: Pool = "gpu"
VERSION = 1

_DECODERS = 4
"""Threads that decode for a GPU, which is faster than one of them."""


@dataclass(frozen=True)
class Config:
    """Parameters of `detect`."""

    detector: str = "mediapipe"
    """Name of the detector, a file of `avpipe.detectors`."""
    options: dict[str, Any] = field(default_factory=dict)
    """Parameters of the detector that shape its output; those not given get their defaults, so
    that the key is complete."""
    runtime: dict[str, Any] = field(default_factory=dict, metadata={"key": False})
    """Parameters of the detector that do not (a batch size); may be given under `options` too."""
    device: Literal["auto", "cpu", "cuda"] = runtime_only("auto")
    """Where it runs; "auto" is CUDA if there is a device and the detector can use it."""
    decoder: Literal["cpu", "nvdec"] = runtime_only("cpu")
    """What decodes for a detector on CUDA: the same pictures. Without NVDEC the CPU does it."""

    def __post_init__(self) -> None:
        cls = detectors.module(self.detector).Config
        where = f"[detect.options] of {self.detector}"
        values = asdict(configure(cls, self.options | self.runtime, where))
        shaping = {f.name for f in fields(cls) if f.metadata.get("key", True)}
        object.__setattr__(self, "options", {k: v for k, v in values.items() if k in shaping})
        object.__setattr__(self, "runtime", {k: v for k, v in values.items() if k not in shaping})


def tool(config: Config) -> Facts:
    """The detector's identity; loads no model."""
    identity: Facts = detectors.module(config.detector).identity(_config(config))
    return identity


def outside(config: Config) -> Callable[[Recording], Facts] | None:
    """The digest of the keypoints that are imported for a recording; None if they are detected."""
    inputs = getattr(detectors.module(config.detector), "inputs", None)
    return partial(inputs, _config(config)) if inputs is not None else None


def _config(config: Config) -> Any:
    """The detector's own parameters."""
    cls = detectors.module(config.detector).Config
    return configure(cls, config.options | config.runtime, "[detect.options]")


def uses_gpu(config: Config) -> bool:
    """Whether a GPU worker is of use: some detectors know the CPU only."""
    return config.device != "cpu" and "cuda" in detectors.module(config.detector).DEVICES


def run(job: Job) -> Facts:
    """Detects, checks the number of frames and writes the fields.

    Raises:
        RecordingFailed: the video does not decode to the frames it should have.
    """
    config: Config = job.config
    video = json.loads((job.inputs["video"] / "video.json").read_text())
    if not video["present"]:
        files.write_summary(job.out / "detect.json", video["frames"], None)
        return {}
    device = detectors.pick_device(config.detector, config.device)
    started = time.perf_counter()
    found, decoder = _found(job, device, video["frames"])
    seconds = time.perf_counter() - started
    for name, keypoints in found.items():
        if len(keypoints) != video["frames"]:
            raise RecordingFailed(
                FailureClass.UNREADABLE,
                f"{name}: {len(keypoints)} frames were decoded, the video has {video['frames']}",
            )
        files.save(job.out, name, keypoints)
    for name, array in getattr(found, "notes", {}).items():
        np.save(job.out / f"{name}.npy", array, allow_pickle=False)
    files.write_summary(job.out / "detect.json", video["frames"], found)
    return {
        "device": device,
        "decoder": decoder,
        "seconds": round(seconds, 3),
        "frames_per_second": round(video["frames"] / seconds, 2),
        "hands": coverage(found["skeleton"]) if "skeleton" in found else {},
    }


def _found(job: Job, device: str, frames: int) -> tuple[Mapping[str, Keypoints], str | None]:
    """What a detector sees in the video and what decoded it, or what an importer has of it."""
    config: Config = job.config
    load = getattr(detectors.module(config.detector), "load", None)
    if load is not None:
        return load(_config(config), job.recording, frames), None
    detector = detectors.create(config.detector, device, **config.options, **config.runtime)
    video = job.inputs["video"] / "video.mp4"
    if not getattr(detector, "planar", False):
        return detector.detect(decode_frames(video)), "cpu"
    if config.decoder == "nvdec":
        pictures = NvdecPlanes(video, _DECODERS)
        return detector.detect(cast(Any, pictures)), pictures.decoder
    return detector.detect(cast(Any, decode_planes(video, _DECODERS))), "cpu"


def coverage(skeleton: Keypoints) -> dict[str, float]:
    """Share of frames in which each hand, and any hand, is detected; empty without hands."""
    if not skeleton.topology.left_hand:
        return {}
    t = max(len(skeleton), 1)
    seen = hands_detected(skeleton.confidence, skeleton.topology)
    seen["any"] = hand_visibility(skeleton.confidence, skeleton.topology)
    return {side: round(float(frames.sum()) / t, 4) for side, frames in seen.items()}
