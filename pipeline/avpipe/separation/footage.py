"""A video on the grid of 25 frames per second, and where its players are in the picture.

They are looked for as for the fields `player_frames` and `player_skeletons` of a dataset
(`avpipe.players`), with the parameters that those have by default. A picture in which too few are
seen is cut into strips of one width.
"""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from avpipe.errors import RecordingFailed, UsageError
from avpipe.images import Pixels
from avpipe.media import decode_frames
from avpipe.one_file import OneFile
from avpipe.players import Place, around, find, largest
from avpipe.stages.players import Config


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
def opened(video: Path, players: int) -> Iterator[Footage]:
    """Puts a video on the grid and finds its players.

    Args:
        video: a media file.
        players: how many there are.

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
            places = _places(path, grid, players)
        except RecordingFailed as error:
            raise UsageError(f"{video} cannot be seen: {error}") from error
        sound = file.scan.audio
        start = sound.start_seconds if sound else 0.0
        yield Footage(path, grid["frames"], grid["fps"], start, places)


def _places(video: Path, grid: dict[str, Any], players: int) -> tuple[Place, ...]:
    config = Config()
    people = find(video, grid["frames"], config.looks)
    size = grid["height"], grid["width"]
    if len(people) < players:
        warnings.warn(
            f"{len(people)} of {players} players are found in the picture: it is cut into {players}"
            " strips of one width, which may show a player in part or another one",
            stacklevel=2,
        )
        return strips(players, *size)
    if len(people) > players:
        warnings.warn(
            f"{len(people)} people are found in the picture: the {players} largest ones are taken"
            " for the players",
            stacklevel=2,
        )
    return tuple(around(one, config.margin, *size) for one in largest(people, players))


def strips(players: int, height: int, width: int) -> tuple[Place, ...]:
    """Parts of one width of a picture, px, from left to right."""
    edges = [width * number // players for number in range(players + 1)]
    return tuple(Place(left, 0, right - left, height) for left, right in pairwise(edges))
