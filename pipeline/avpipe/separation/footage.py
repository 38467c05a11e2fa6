"""A video on the grid of 25 frames per second, and where its players are in the picture.

The players are those whom the detector of builds finds, from left to right. A picture in which it
does not find as many is cut into strips of one width.
"""

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avpipe import detectors
from avpipe.errors import RecordingFailed, UsageError
from avpipe.images import Pixels
from avpipe.media import decode_frames
from avpipe.one_file import OneFile
from avpipe.types import Keypoints

DETECTOR = "mediapipe"
LOOKS = 60
"""Frames in which players are looked for, spread over the video."""
SEEN = 0.5
"""Share of them in which a player must be found."""
EXTENT = (2, 98)
"""Percentiles of a player's joints, over all looks, that bound the body."""
MARGIN = 0.2
"""Left around the body for the instrument, as a share of its larger side."""

Extent = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """A part of the picture, px, half-open; its sizes are even."""

    left: int
    top: int
    right: int
    bottom: int

    def cut(self, frame: Pixels) -> Pixels:
        """That part of a frame (H, W, 3)."""
        return np.ascontiguousarray(frame[self.top : self.bottom, self.left : self.right])


@dataclass(frozen=True)
class Footage:
    """The pictures of a video while `opened` lasts."""

    video: Path
    """`frames` pictures of one even size, frame t shown at t / fps seconds."""
    frames: int
    fps: float
    sound_start_seconds: float
    """When the sound begins; 0 without sound."""
    places: tuple[Place, ...]
    """Of the players, from left to right."""

    def pictures(self) -> Iterator[Pixels]:
        """All of them, from the first one."""
        return decode_frames(self.video)


@contextmanager
def opened(video: Path, players: int, device: str = "cpu") -> Iterator[Footage]:
    """Puts a video on the grid and finds its players.

    Args:
        video: a media file.
        players: how many there are.
        device: of the detector.

    Raises:
        UsageError: the file has no pictures, or they cannot be decoded.
    """
    with tempfile.TemporaryDirectory(prefix="avpipe-footage-") as folder:
        try:
            file = OneFile(video, Path(folder))
            if file.scan.video is None:
                raise UsageError(f"{video} has no pictures: the players cannot be seen")
            grid = file.run("video")
            path = Path(folder) / "video" / "video.mp4"
            places = _places(path, grid, players, device)
        except RecordingFailed as error:
            raise UsageError(f"{video} cannot be seen: {error}") from error
        sound = file.scan.audio
        start = sound.start_seconds if sound else 0.0
        yield Footage(path, grid["frames"], grid["fps"], start, places)


def _places(video: Path, grid: dict[str, int], players: int, device: str) -> tuple[Place, ...]:
    size = (grid["width"], grid["height"])
    looks = islice(decode_frames(video), 0, None, max(1, grid["frames"] // LOOKS))
    detector = detectors.create(DETECTOR, device, recipe="ensemble", players=players)
    found = detector.detect(looks)
    bodies = [_extent(keypoints) for keypoints in found.values()]
    seen = [body for body in bodies if body is not None]
    if len(seen) < players:
        warnings.warn(
            f"{len(seen)} of {players} players are found in the picture: it is cut into {players}"
            " strips of one width, which may show a player in part or another one",
            stacklevel=2,
        )
        return strips(players, size)
    return around(seen, size)


def _extent(found: Keypoints) -> Extent | None:
    """Left, top, right and bottom of a body; None if it is seldom seen."""
    known = found.confidence > 0
    if known.any(1).mean() < SEEN:
        return None
    (left, top), (right, bottom) = np.percentile(found.xy[known], EXTENT, axis=0)
    return np.array([left, top, right, bottom])


def strips(players: int, size: tuple[int, int]) -> tuple[Place, ...]:
    """Parts of one width of a picture of (width, height) px."""
    width, height = size
    edges = [width * number // players for number in range(players + 1)]
    return tuple(_even(left, 0, right, height) for left, right in pairwise(edges))


def around(bodies: Sequence[Extent], size: tuple[int, int]) -> tuple[Place, ...]:
    """The parts of a picture of (width, height) px that show these bodies, from left to right; a
    margin ends half-way to a neighbour beside it."""
    parts = []
    for number, (left, top, right, bottom) in enumerate(bodies):
        margin = MARGIN * max(right - left, bottom - top)
        first, last = 0.0, float(size[0])
        if number and bodies[number - 1][2] < left:
            first = (bodies[number - 1][2] + left) / 2
        if number + 1 < len(bodies) and right < bodies[number + 1][0]:
            last = (right + bodies[number + 1][0]) / 2
        parts.append(
            _even(
                max(first, left - margin),
                max(0, top - margin),
                min(last, right + margin),
                min(size[1], bottom + margin),
            )
        )
    return tuple(parts)


def _even(left: float, top: float, right: float, bottom: float) -> Place:
    x, y = int(left), int(top)
    width, height = (max(2, int(length) // 2 * 2) for length in (right - x, bottom - y))
    return Place(x, y, x + width, y + height)
