"""What importers share: where the keypoints of a recording lie, and how they fit its video.

Imported keypoints belong to the frames of the resampled video: the same rate, the same size in
pixels, the first frame first.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from avpipe.config import runtime_only
from avpipe.errors import FailureClass, RecordingFailed, ToolMissing
from avpipe.manifest.location import video_id
from avpipe.store import sha256_file, sha256_text
from avpipe.types import Float32, Keypoints, Recording


@dataclass(frozen=True)
class Files:
    """Parameters of every importer."""

    folder: str = runtime_only("")
    """Where the files are; what they hold is part of the key, where they lie is not."""
    slack_frames: int = 2
    """How many frames the files may hold more or less than the video. Missing ones at the end
    count as not detected, surplus ones are left out; a larger difference is a failure: such files
    were made at another rate or from another video."""

    def __post_init__(self) -> None:
        if self.slack_frames < 0:
            raise ValueError(f"slack_frames = {self.slack_frames}: must be at least 0")
        if self.folder:  # workers may run elsewhere
            object.__setattr__(self, "folder", str(Path(self.folder).expanduser().absolute()))

    def root(self, name: str) -> Path:
        """The folder of importer `name`.

        Raises:
            ToolMissing: it is not given, or not there.
        """
        if not self.folder:
            raise ToolMissing(f"{name} needs its files: --set detect.options.folder=DIR")
        if not Path(self.folder).is_dir():
            raise ToolMissing(f"{name}: there is no folder {self.folder} (detect.options.folder)")
        return Path(self.folder)


def places(folder: Path, recording: Recording) -> Iterator[Path]:
    """`FOLDER/<id>` and `FOLDER/<category>/<id>`, also with the id of the video it is cut from."""
    folders = [folder]
    if recording.category and Path(recording.category).name == recording.category:
        folders.append(folder / recording.category)
    for at, name in product(folders, dict.fromkeys((recording.id, video_id(recording)))):
        yield at / name


def missing(name: str, folder: str, recording: Recording) -> RecordingFailed:
    """The files hold nothing of the recording."""
    text = f"{name}: {folder} holds no keypoints of {recording.id}"
    return RecordingFailed(FailureClass.UNREADABLE, text)


def unreadable(path: Path, what: str) -> RecordingFailed:
    """A file is not what it should be."""
    return RecordingFailed(FailureClass.UNREADABLE, f"{path}: {what}")


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        RecordingFailed: it is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise unreadable(path, f"is not JSON: {error}") from error


def points(values: Any, path: Path, entry: str) -> Float32:
    """(K, 3) from a flat list x, y, confidence, x, ...; (0, 3) from an empty one.

    Args:
        values: what `entry` of `path` is.

    Raises:
        RecordingFailed: it is not a list of numbers, three a joint.
    """
    try:
        return np.array(values, np.float32).reshape(-1, 3)
    except (TypeError, ValueError) as error:
        text = f"{entry} must be numbers, three a joint ({error})"
        raise unreadable(path, text) from error


def number(name: str, path: Path) -> int:
    """The frame number in a name: its last number.

    Raises:
        RecordingFailed: there is none.
    """
    found = re.findall(r"\d+", name)
    if not found:
        raise unreadable(path, f"{name!r} holds no frame number")
    return int(found[-1])


def fitted(keypoints: Keypoints, frames: int, slack: int) -> Keypoints:
    """As many frames as the video has, by the rule of `Files.slack_frames`."""
    lacking = frames - len(keypoints)
    check_length(len(keypoints), frames, slack)
    if lacking <= 0:
        return keypoints[:frames]
    k = len(keypoints.topology)
    return Keypoints(
        np.concatenate([keypoints.xy, np.zeros((lacking, k, 2), np.float32)]),
        np.concatenate([keypoints.confidence, np.zeros((lacking, k), np.float32)]),
        keypoints.topology,
    )


def check_length(found: int, frames: int, slack: int) -> None:
    """Whether keypoints of `found` frames can be fitted to a video of `frames`.

    Raises:
        RecordingFailed: they differ by more than `slack`.
    """
    if abs(frames - found) > slack:
        raise RecordingFailed(
            FailureClass.UNREADABLE,
            f"keypoints of {found} frames for a video of {frames}: they are of another"
            f" rate or video (up to {slack} more or less are fitted: detect.options.slack_frames)",
        )


def digest(files: list[Path]) -> str:
    """SHA-256 of names and contents; read once as long as sizes and times stay as they are."""
    return _digest(tuple(files), _signature(files))


@cache
def _digest(files: tuple[Path, ...], signature: str) -> str:
    return sha256_text("\n".join(f"{sha256_file(path)} {path.name}" for path in files))


def _signature(files: list[Path]) -> str:
    facts = ((path, path.stat()) for path in files)
    return sha256_text("\n".join(f"{p} {s.st_size} {s.st_mtime_ns}" for p, s in facts))
