"""Keypoint detectors: one file a detector, the folder is the registry.

A detector is a module (file `mediapipe_solutions.py` = name `mediapipe-solutions`) with

    Config    frozen dataclass of its parameters (`avpipe.config`)
    identity  (config) -> dict: package and version, sha256 of the weights, mode and thresholds;
              it is part of the key of what was detected and loads no model
    create    (config, device) -> Detector
    DEVICES   what `device` may be, best first: ("cuda", "cpu") or ("cpu",)
    CITATION  BibTeX of what it is (optional)
    FIELDS    what it can give (optional; else skeleton and face_landmarks)
    has_cuda  () -> bool: whether it can use CUDA here (optional; else PyTorch is asked)

An importer takes keypoints that others computed from their files. It is a module (file
`import_solos.py` = name `import:solos`) with `Config`, `identity`, `DEVICES` and, for `create`,

    inputs    (config, recording) -> dict: digest of what the files hold of the recording; part of
              the recording's key
    load      (config, recording, frames) -> dict of field -> Keypoints of just so many frames

A name with a dot is a module of the user's own, found where Python finds its modules.

A detector with a true attribute `planar` takes frames in 4:2:0, too (`avpipe.media.decode_planes`),
and gets them so from the stage.

Detectors speak `Keypoints`: pixels, confidence in [0, 1] with 0 = not detected, left and right by
the player's body. State is fresh for every call of `detect`, so results do not depend on the
order of recordings.
"""

import pkgutil
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from avpipe.config import configure
from avpipe.errors import ToolMissing, UsageError
from avpipe.types import Keypoints, Topology

Frame = npt.NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""


class Detected(dict[str, Keypoints]):
    """Field -> keypoints, and what else a detector has to say about them."""

    def __init__(
        self, fields: Mapping[str, Keypoints], notes: Mapping[str, npt.NDArray[Any]]
    ) -> None:
        super().__init__(fields)
        self.notes = notes
        """Arrays (T, ...) by name; the detector says what they mean."""


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
    files = [m.name for m in pkgutil.iter_modules(__path__) if m.name[0] != "_"]
    return tuple(sorted(re.sub("^import-", "import:", f.replace("_", "-")) for f in files))


@cache
def module(name: str) -> Any:
    """The module of detector `name`.

    Raises:
        UsageError: there is none.
    """
    if "." in name:
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            raise UsageError(f"detector {name!r}: {error}; is it on PYTHONPATH?") from error
    if name not in names():
        raise UsageError(
            f"unknown detector {name!r}; there are {', '.join(names())}, or give package.module"
        )
    return import_module(f"{__name__}.{re.sub('[-:]', '_', name)}")


def pick_device(name: str, device: str = "auto") -> str:
    """The device to run detector `name` on: the one asked for, or the best there is.

    Raises:
        UsageError: the detector cannot use that device.
        ToolMissing: CUDA was asked for and there is none.
    """
    offered: tuple[str, ...] = module(name).DEVICES
    has_cuda = getattr(module(name), "has_cuda", _has_cuda)
    if device == "auto":
        return "cuda" if "cuda" in offered and has_cuda() else "cpu"
    if device not in offered:
        raise UsageError(f"detector {name} runs on {' or '.join(offered)}, not on {device!r}")
    if device == "cuda" and not has_cuda():
        finder = "PyTorch" if has_cuda is _has_cuda else name
        raise ToolMissing(f"CUDA was asked for, but {finder} finds no CUDA device: use device cpu")
    return device


def _has_cuda() -> bool:
    if find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def create(name: str, device: str = "cpu", **options: Any) -> Detector:
    """A loaded detector on `device` (`"cpu"`, `"cuda"` or `"auto"`); `options` are its Config.

    Raises:
        UsageError: it is an importer, or an option is wrong.
        ToolMissing: what it needs is not there.
    """
    mod = module(name)
    if not hasattr(mod, "create"):
        raise UsageError(f"{name} takes keypoints from files and looks at no frames: avpipe build")
    config = configure(mod.Config, options, f"detector {name}")
    detector: Detector = mod.create(config, pick_device(name, device))
    return detector
