"""The keypoints that the Solos data set was released with: one array for all its videos.

`FOLDER/skeleton.npy` holds (N, 3, 47) float32 rows of x, y (px) and confidence, one a frame at 25
frames a second, with or without NumPy's header; `FOLDER/skeleton_dict.json` says which rows
[start, stop) are whose. They stay in the topology `solos47`. The release comes interpolated: what
has no confidence was not detected, and its position is left out here, so that avpipe's own
interpolation fills it.

Source: Montesinos, Slizovskaia, Haro: "Solos", 2020; https://github.com/JuanFMontesinos/Solos.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.config import key_parameters
from avpipe.detectors._imported import Files, fitted, missing, read_json, unreadable
from avpipe.detectors._people import as_keypoints
from avpipe.errors import ToolMissing
from avpipe.manifest.location import video_id
from avpipe.types import Keypoints, Recording

Rows = npt.NDArray[np.float32]
"""(N, 3, 47) float32: x and y in px, confidence."""

NAME = "import:solos"
DEVICES = ("cpu",)
FIELDS = ("skeleton",)
VERSION = 1
"""Raised whenever the same files would give other keypoints."""

CITATION = """\
@inproceedings{montesinos2020solos,
  author    = {Montesinos, Juan F. and Slizovskaia, Olga and Haro, Gloria},
  title     = {Solos: A Dataset for Audio-Visual Music Analysis},
  booktitle = {IEEE International Workshop on Multimedia Signal Processing},
  year      = {2020}
}"""

_ARRAY, _RANGES = "skeleton.npy", "skeleton_dict.json"
_SHAPE = (3, 47)


@dataclass(frozen=True)
class Config(Files):
    """Parameters of the importer."""


def identity(config: Config) -> dict[str, Any]:
    """Name and parameters; what the rows hold is each recording's own.

    Raises:
        ToolMissing: the folder or one of its two files is not there.
    """
    for name in (_ARRAY, _RANGES):
        if not (config.root(NAME) / name).is_file():
            raise ToolMissing(f"{NAME}: {config.folder} holds no {name} of the Solos release")
    return {"detector": NAME, "version": VERSION, "parameters": key_parameters(config)}


def inputs(config: Config, recording: Recording) -> dict[str, Any]:
    """Digest of the recording's rows; None if it has none."""
    array = config.root(NAME) / _ARRAY
    rows = _range(config, recording)
    facts = array.stat()
    found = rows and _digest(array, *rows, facts.st_size, facts.st_mtime_ns)
    return {"imported": found}


def load(config: Config, recording: Recording, frames: int) -> dict[str, Keypoints]:
    """Keypoints in as many frames as the video has.

    Raises:
        RecordingFailed: `unreadable`; the release has not this recording, or of another number of
            frames, or its files are not what they should be.
    """
    rows = _range(config, recording)
    if rows is None:
        raise missing(NAME, config.folder, recording)
    found = _rows(config.root(NAME) / _ARRAY, *rows)
    skeleton = as_keypoints(np.swapaxes(found, 1, 2), "solos47")
    return {"skeleton": fitted(skeleton, frames, config.slack_frames)}


def _range(config: Config, recording: Recording) -> tuple[int, int] | None:
    path = config.root(NAME) / _RANGES
    ranges = read_json(path)
    if not isinstance(ranges, dict):
        raise unreadable(path, "is not a table of ids and rows")
    for name in (recording.id, video_id(recording)):
        match ranges.get(name):
            case [int(start), int(stop)] if 0 <= start < stop:
                return start, stop
            case None:
                continue
            case other:
                raise unreadable(path, f"{name}: {other!r} is no range of rows")
    return None


def _rows(array: Path, start: int, stop: int) -> Rows:
    """Rows [start, stop), read alone."""
    rows = _open(array)
    if stop > len(rows):
        raise unreadable(array, f"has {len(rows)} rows; {_RANGES} says [{start}, {stop})")
    return np.array(rows[start:stop])


def _open(array: Path) -> Rows:
    with array.open("rb") as file:
        has_header = file.read(6) == b"\x93NUMPY"
    size = array.stat().st_size
    try:
        rows: Rows
        if has_header:
            rows = np.load(array, mmap_mode="r", allow_pickle=False)
        else:
            rows = np.memmap(array, np.float32, "r").reshape(-1, *_SHAPE)
    except ValueError as error:
        raise unreadable(array, f"{size} bytes are not rows of {_SHAPE} float32") from error
    if rows.dtype != np.float32 or rows.shape[1:] != _SHAPE:
        raise unreadable(array, f"is {rows.dtype} {rows.shape}, not float32 (N, 3, 47)")
    return rows


@cache
def _digest(array: Path, start: int, stop: int, size: int, mtime_ns: int) -> str:
    """SHA-256 of rows of the array as it was at that size and time."""
    return hashlib.sha256(_rows(array, start, stop).tobytes()).hexdigest()
