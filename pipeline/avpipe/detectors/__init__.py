"""Keypoint detectors: one file a detector, the folder is the registry.

A detector is a module (file `mediapipe_solutions.py` = name `mediapipe-solutions`) with

    Config    frozen dataclass of its parameters (`avpipe.config`)
    identity  (config) -> dict: package and version, sha256 of the weights, mode and thresholds;
              it is part of the key of what was detected and loads no model
    create    (config, device) -> Detector

Detectors speak `Keypoints`: pixels, confidence in [0, 1] with 0 = not detected, left and right by
the player's body. State is fresh for every call of `detect`, so results do not depend on the
order of recordings.
"""

import pkgutil
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from avpipe.config import configure
from avpipe.errors import UsageError
from avpipe.types import Keypoints, Topology

Frame = npt.NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""


class Detector(Protocol):
    """A loaded detector."""

    identity: Mapping[str, Any]
    """What made the numbers: part of the key."""
    topologies: Mapping[str, Topology]
    """Field it gives -> topology; the body with both hands is `skeleton`."""

    def detect(self, frames: Iterable[Frame]) -> dict[str, Keypoints]:
        """Keypoints of the one performer in every frame, in bounded memory for the frames.

        Args:
            frames: (H, W, 3) uint8 RGB each, all of one size; an array (T, H, W, 3) is one.
        """
        ...


def names() -> tuple[str, ...]:
    """All detectors."""
    return tuple(
        sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__) if m.name[0] != "_")
    )


def module(name: str) -> Any:
    """The module of detector `name`."""
    if name not in names():
        raise UsageError(f"unknown detector {name!r}; there are {', '.join(names())}")
    return import_module(f"{__name__}.{name.replace('-', '_')}")


def create(name: str, device: str = "cpu", **options: Any) -> Detector:
    """A loaded detector on `device` (`"cpu"` or `"cuda"`); `options` are its Config."""
    mod = module(name)
    detector: Detector = mod.create(configure(mod.Config, options, f"detector {name}"), device)
    return detector
