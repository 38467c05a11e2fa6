"""MediaPipe's model files: which, with which digest, and what picture each takes.

The files are those of the MediaPipe 0.10.21 wheel (Apache-2.0, see `weights/NOTICE`).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from avpipe.errors import ToolMissing

WEIGHTS = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True, slots=True)
class Model:
    """One network and its input."""

    name: str
    file: str
    sha256: str
    size: int
    """Side of the square input, px."""
    outputs: tuple[int, ...]
    """Which of the file's outputs are used; the rest is not computed."""
    signed: bool = False
    """Grey levels become [-1, 1]; otherwise [0, 1]."""
    replicate: bool = True
    """Beyond the picture its edge is repeated; otherwise it is black."""
    anchors: tuple[tuple[int, int], ...] = ()
    """Of a detector: (cells along a side, boxes a cell) of every layer."""

    def path(self, folder: Path = WEIGHTS) -> Path:
        """The file in `folder`, its digest checked.

        Raises:
            ToolMissing: it is not there or is another file.
        """
        path = folder / self.file
        found = _digest(path, path.stat().st_mtime_ns) if path.is_file() else "no such file"
        if found != self.sha256:
            raise ToolMissing(
                f"{path}: sha256 is {found}, must be {self.sha256}: reinstall avpipe, or take"
                " the file of this name from the mediapipe 0.10.21 wheel (mediapipe/modules)"
            )
        return path


_ALL = (
    Model(
        "palm",
        "palm_detection_full.tflite",
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
        size=192,
        outputs=(0, 1),
        replicate=False,
        anchors=((24, 2), (12, 6)),
    ),
    Model(
        "hand",
        "hand_landmark_full.tflite",
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
        size=224,
        outputs=(0, 1, 2),
    ),
    Model(
        "hand_recrop",
        "hand_recrop.tflite",
        "67d996ce96f9d36fe17d2693022c6da93168026ab2f028f9e2365398d8ac7d5d",
        size=256,
        outputs=(0,),
    ),
    Model(
        "body",
        "pose_detection.tflite",
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        size=224,
        outputs=(0, 1),
        signed=True,
        replicate=False,
        anchors=((28, 2), (14, 2), (7, 6)),
    ),
    Model(
        "pose",
        "pose_landmark_full.tflite",
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        size=256,
        outputs=(0, 1, 3),
    ),
    Model(
        "face",
        "face_detection_full_range_sparse.tflite",
        "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
        size=192,
        outputs=(0, 1),
        signed=True,
        replicate=False,
        anchors=((48, 1),),
    ),
    Model(
        "near_face",
        "face_detection_short_range.tflite",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        size=128,
        outputs=(0, 1),
        signed=True,
        replicate=False,
        anchors=((16, 2), (8, 6)),
    ),
    Model(
        "mesh",
        "face_landmark.tflite",
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        size=192,
        outputs=(0, 1),
    ),
)
MODELS = {model.name: model for model in _ALL}


def digests(names: Iterable[str], folder: Path = WEIGHTS) -> dict[str, str]:
    """sha256 by model name, for a detector's identity; the files are checked."""
    return {name: _digest_of(MODELS[name].path(folder)) for name in names}


def _digest_of(path: Path) -> str:
    return _digest(path, path.stat().st_mtime_ns)


@cache
def _digest(path: Path, mtime_ns: int) -> str:
    """Digest of a file; the modification time makes a replaced file another entry."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
