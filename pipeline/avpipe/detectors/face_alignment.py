"""68 points of the performer's face by FAN, through the face-alignment package, in batches.

Takes RGB frames, gives `face_landmarks` in `face68`. The package's face detector (S3FD) boxes the
faces, the largest and surest one over the whole recording is the performer's, and its points are
the peaks of FAN's heat maps. Confidence of a point is the height of its peak, cut to [0, 1].
`points` chooses the network: "2d" follows the visible contour of the face, "3d" gives the picture
of the points on the head, hidden ones too.

The package rounds points down to whole pixels; here they keep the quarter of a heat map's pixel
that the peak's neighbours tell, mapped back through the crop as it was really cut.

Source: Bulat and Tzimiropoulos, "How far are we from solving the 2D & 3D Face Alignment problem?",
ICCV 2017; Zhang et al., "S3FD", ICCV 2017. Code BSD-3; https://github.com/1adrianb/face-alignment.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from avpipe.config import key_parameters, runtime_only
from avpipe.detectors import Frame
from avpipe.detectors._fan import (
    INSTALL,
    LEAST_SIDE,
    Crop,
    Floats,
    cut,
    face_detector,
    faces,
    halving,
    network,
    peaks,
    plausible,
    searched,
)
from avpipe.detectors._files import sha256
from avpipe.detectors._frames import checked
from avpipe.detectors._people import People, as_keypoints
from avpipe.errors import ToolMissing
from avpipe.keypoints import topology
from avpipe.types import Keypoints, Topology

DEVICES = ("cuda", "cpu")
FIELDS = ("face_landmarks",)
VERSION = 1
"""Raised whenever the same frames and parameters would give other keypoints."""

CITATION = """\
@inproceedings{bulat2017far,
  author    = {Bulat, Adrian and Tzimiropoulos, Georgios},
  title     = {How far are we from solving the 2D \\& 3D Face Alignment problem? (and a dataset of
               230,000 3D facial landmarks)},
  booktitle = {International Conference on Computer Vision},
  year      = {2017}
}"""

_SOURCE = "https://www.adrianbulat.com/downloads/python-fan"
_FACES = "s3fd-619a316812.pth"
_POINTS = {"2d": "2DFAN4-11f355bf06.pth.tar", "3d": "3DFAN4-7835d9f11d.pth.tar"}
"""Names end in the first digits of the file's SHA-256."""


@dataclass(frozen=True)
class Config:
    """Parameters of the detector."""

    points: Literal["2d", "3d"] = "2d"
    """Which of the two networks; see above."""
    min_face_score: float = 0.5
    """Score from which a box counts as a face, in [0, 1]."""
    faces_max: int = 4
    """Most faces of a frame, the largest first, among which the performer's is sought."""
    search_side: int = 640
    """px; faces are searched in the picture with its longer side made so small."""
    flip: bool = True
    """Also look at the mirrored face and add the two heat maps, as the package does."""
    weights: str = runtime_only("")
    """Folder of the weights; empty: where the package keeps what it downloads. What they hold is
    part of the identity, where they lie is not."""
    batch: int = runtime_only(8)
    """Frames at a time."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_face_score <= 1:
            raise ValueError(f"min_face_score = {self.min_face_score}: must be in [0, 1]")
        for name, least in (("faces_max", 1), ("search_side", LEAST_SIDE), ("batch", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least {least}")


def identity(config: Config) -> dict[str, Any]:
    """Package, weights by sha256 and parameters; loads neither PyTorch nor a model.

    Raises:
        ToolMissing: the package or its weights are not there, or the weights are not what their
            name says.
    """
    if find_spec("face_alignment") is None or find_spec("torch") is None:
        raise ToolMissing(f"face-alignment needs its package: {INSTALL}")
    return {
        "detector": "face-alignment",
        "package": f"face-alignment {metadata.version('face-alignment')}",
        "models": {path.name: _digest(path, config) for path in _weights(config)},
        "version": VERSION,
        "parameters": key_parameters(config),
    }


def create(config: Config, device: str) -> "FaceAlignment":
    """The detector on `device`."""
    return FaceAlignment(config, device)


class FaceAlignment:
    """See `avpipe.detectors.Detector`."""

    def __init__(self, config: Config, device: str) -> None:
        self.config, self._device = config, device
        self.identity: Mapping[str, Any] = identity(config)
        self.topologies: Mapping[str, Topology] = {"face_landmarks": topology("face68")}
        faces, points = _weights(config)
        self._boxes = face_detector(faces, device, config.min_face_score)
        self._network = network(points, device)

    def detect(self, frames: Iterable[Frame]) -> dict[str, Keypoints]:
        """See `avpipe.detectors.Detector.detect`."""
        k = len(self.topologies["face_landmarks"])
        people = People(k, k)
        source = checked(frames)
        while batch := list(islice(source, self.config.batch)):
            found = halving(self._faces, batch)
            crops = [
                cut(frame, box) for frame, boxes in zip(batch, found, strict=True) for box in boxes
            ]
            points = iter(halving(self._points, crops))
            for boxes in found:
                people.append(np.array([next(points) for _ in boxes], np.float32))
        return {"face_landmarks": as_keypoints(people.performer(), "face68")}

    def _faces(self, batch: list[Frame]) -> list[list[Floats]]:
        """Boxes (left, top, right, bottom, score) of each frame, the largest first."""
        scale, pictures = searched(batch, self.config.search_side)
        height, width = batch[0].shape[:2]
        return [
            plausible([box / (scale, scale, scale, scale, 1) for box in boxes], width, height)[
                : self.config.faces_max
            ]
            for boxes in faces(self._boxes, pictures, self._device)
        ]

    def _points(self, crops: list[Crop]) -> list[Floats]:
        """(68, 3) x, y in px of the frame and confidence, of every crop."""
        import torch
        from face_alignment.utils import flip

        from avpipe.detectors._precision import strict

        found: list[Floats] = []
        for start in range(0, len(crops), self.config.batch):
            part = crops[start : start + self.config.batch]
            pictures = torch.from_numpy(np.stack([crop.picture for crop in part]))
            tensor = pictures.to(self._device).permute(0, 3, 1, 2).float() / 255
            with torch.inference_mode(), strict():
                maps = self._network(tensor)[-1]
                if self.config.flip:
                    maps = (maps + flip(self._network(flip(tensor))[-1], is_label=True)) / 2
                highest = peaks(maps).cpu().numpy()
            found += [crop.to_frame(p) for crop, p in zip(part, highest, strict=True)]
        return found


def _weights(config: Config) -> tuple[Path, Path]:
    """Files of the face detector and of FAN."""
    home = os.environ.get("TORCH_HOME") or Path(
        os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch"
    )
    cache = Path(home, "hub", "checkpoints")
    folder = Path(config.weights or cache).expanduser()
    return folder / _FACES, folder / _POINTS[config.points]


def _digest(path: Path, config: Config) -> str:
    """SHA-256 of a file of weights.

    The authors' files are checked against their names, one's own in a folder of one's own are not.
    """
    if not path.is_file():
        raise ToolMissing(
            f"{path} is missing: fetch {_SOURCE}/{path.name} into that folder, or set"
            " detect.options.weights to the folder that holds it"
        )
    digest = sha256(path)
    expected = path.name.split("-")[1].split(".")[0]
    if not config.weights and not digest.startswith(expected):
        raise ToolMissing(
            f"{path} has sha256 {digest[:10]}..., not {expected}...:"
            f" fetch {_SOURCE}/{path.name} again"
        )
    return digest
