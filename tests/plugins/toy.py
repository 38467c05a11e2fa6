"""A detector for tests of the build: it finds hands in every frame, at once, or misbehaves.

It lies outside avpipe, so that it also tests that a detector may be any importable module. Video
of `guilty_width` pixels makes it do what `guilt` says; its own pixels decide the coordinates.
"""

import ctypes
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avpipe.config import runtime_only
from avpipe.keypoints import topology
from avpipe.types import Keypoints

DEVICES = ("cpu",)


@dataclass(frozen=True)
class Config:
    """Parameters of the toy."""

    weights: str = "a"
    """Stands for the digest of a model: another one moves the joints."""
    threshold: float = 0.5
    """Frames darker than this share of white show no hands; 0: all frames show some."""
    guilty_width: int = runtime_only(0)
    """px; width of the video that it cannot stand."""
    guilt: str = runtime_only("")
    """What happens then: `segfault`, `hang`, `slow`, `memory`, `bug`, `worker` (which dies too),
    `pause:<path>` (once, it waits to be killed; the path tells the worker's process id)."""


def identity(config: Config) -> dict[str, Any]:
    """What makes the numbers."""
    return {"detector": "toy", "weights": config.weights, "threshold": config.threshold}


def create(config: Config, device: str) -> "Toy":
    """The detector."""
    return Toy(config)


class Toy:
    """See `avpipe.detectors.Detector`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.identity = identity(config)
        self.topologies = {"skeleton": topology("openpose67")}

    def detect(self, frames: Iterable[Any]) -> dict[str, Keypoints]:
        """Every joint at the centre of the picture, moved by its brightness."""
        xy, seen = [], []
        for frame in frames:
            if frame.shape[1] == self.config.guilty_width:
                misbehave(self.config.guilt)
            light = float(frame.mean()) / 255
            seen.append(light >= self.config.threshold)
            moved = light + len(self.config.weights)
            xy.append(np.full((67, 2), moved, np.float32))
        confidence = np.repeat(np.array(seen, np.float32)[:, None], 67, axis=1)
        points = np.array(xy, np.float32) * confidence[..., None]
        return {"skeleton": Keypoints(points, confidence, topology("openpose67"))}


def misbehave(guilt: str) -> None:
    """Does what native code of a detector may do."""
    kind, _, path = guilt.partition(":")
    if kind == "segfault":
        ctypes.string_at(0)
    elif kind == "hang":
        ctypes.PyDLL(None).sleep(3600)  # holds the interpreter's lock, as native code can
    elif kind == "memory":
        hoard = []
        while True:
            hoard.append(bytearray(os.urandom(1 << 20)) * 64)
            time.sleep(0.01)
    elif kind == "worker":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    elif kind == "pause" and not Path(path).exists():
        Path(path).write_text(str(os.getppid()))
        time.sleep(60)
    elif kind == "slow":
        time.sleep(0.1)  # every frame
    elif kind == "bug":
        raise ValueError("a bug in the detector")


def options(**values: Any) -> dict[str, Any]:
    """`--set detect...` that select the toy."""
    known = asdict(Config())
    assert set(values) <= set(known)
    return {"detector": "plugins.toy", "options": {"threshold": 0.0, **values}}
