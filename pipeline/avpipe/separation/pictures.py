"""What is seen of the sources: a few pictures of every drawn window, cropped for the networks.

The JPEG files of the segments stay in main memory; threads decode the drawn ones, and those of the
next step while the network is at work.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avpipe.errors import UsageError
from avpipe.images import Images, Pixels
from avpipe.separation.data import AudioBank, Int64
from avpipe.separation.mixing import Draw

if TYPE_CHECKING:
    from avpipe.dataset import Dataset

FIELD = "frames"
SIZE = 224
"""Pixels a side, as the networks take them."""
MARGIN = 1.1
"""In training a crop of SIZE is taken from a picture whose short side is this much longer
(Sound of Pixels)."""
CENTRE = (0.5, 0.5, False)
THREADS = 8


@dataclass(frozen=True)
class Look:
    """Which pictures of a window are shown."""

    count: int = 1
    """T."""
    seconds_apart: float = 3.0
    """From one to the next, around the middle of the window."""

    @property
    def offsets(self) -> npt.NDArray[np.float64]:
        """(T,) seconds from the middle."""
        return (np.arange(self.count) - (self.count - 1) / 2) * self.seconds_apart


class Pictures:
    """The pictures of the segments of a bank."""

    def __init__(self, images: Sequence[Images], bank: AudioBank, fps: float, look: Look) -> None:
        self._images, self._bank, self._fps, self._look = images, bank, fps, look
        self._pool = ThreadPoolExecutor(THREADS)

    @classmethod
    def load(cls, dataset: "Dataset", bank: AudioBank, look: Look) -> "Pictures":
        """Reads the JPEG files of all segments of `bank`; none is decoded."""
        images = [dataset.clip(row, fields=(FIELD,)).fields[FIELD] for row in bank.rows]
        if any(len(shown) == 0 for shown in images):
            raise UsageError(f"{dataset.path}: a segment has no pictures, build it again")
        return cls(images, bank, dataset.fps, look)

    def start(self, drawn: Draw, seed: tuple[int, ...] | None) -> list[Future[Pixels] | None]:
        """Begins to decode what `finish` gives.

        Args:
            drawn: the windows.
            seed: of random crops and mirroring; None: the centre, as it is.
        """
        random = None if seed is None else np.random.default_rng(seed)
        jobs: list[Future[Pixels] | None] = []
        for segment, first in zip(
            drawn.segments.ravel().tolist(), drawn.first_samples.ravel().tolist(), strict=True
        ):
            place = CENTRE if random is None else _random_place(random)
            margin = 1.0 if random is None else MARGIN
            for number in self._shown(segment, first) if segment >= 0 else ():
                images = self._images[segment]
                jobs.append(self._pool.submit(_cropped, images, number, place, margin))
            if segment < 0:
                jobs += [None] * self._look.count
        return jobs

    def finish(self, jobs: list[Future[Pixels] | None], drawn: Draw) -> Tensor:
        """(B, S, T, 3, 224, 224) uint8; zeros in empty places."""
        black = np.zeros((SIZE, SIZE, 3), np.uint8)
        pixels = np.stack([black if job is None else job.result() for job in jobs])
        shape = (*drawn.segments.shape, self._look.count, SIZE, SIZE, 3)
        return torch.from_numpy(pixels).reshape(shape).movedim(-1, -3).contiguous()

    def frames(self, drawn: Draw, seed: tuple[int, ...] | None = None) -> Tensor:
        """`start` and `finish`."""
        return self.finish(self.start(drawn, seed), drawn)

    def _shown(self, segment: int, first_sample: int) -> list[int]:
        """Numbers of the pictures around the middle of a window."""
        bank = self._bank
        middle = (first_sample - bank.starts[segment] + bank.window / 2) / bank.sample_rate
        seconds = middle + self._look.offsets
        return nearest(self._images[segment].frames, seconds * self._fps)


def players(video: Path, count: int, look: Look) -> Tensor:
    """What is seen of players who sit side by side in a video.

    The picture is cut into `count` strips of one width, from left to right; a player is shown by
    the middle square of a strip, at moments around the middle of the video.

    Returns:
        (count, T, 3, 224, 224) uint8.

    Raises:
        UsageError: the file has no pictures.
    """
    from avpipe.errors import RecordingFailed
    from avpipe.media import decode_frames, scan

    try:
        stream = scan(video).video
        if stream is None:
            raise UsageError(
                f"{video} has no pictures, and this separator needs to see the players"
            )
        rate = stream.packets / stream.end_seconds
        seconds = stream.end_seconds / 2 + look.offsets
        wanted = np.clip(np.round(seconds * rate), 0, stream.packets - 1).astype(int).tolist()
        decoded = enumerate(decode_frames(video))
        shown = {number: frame for number, frame in decoded if number in wanted}
    except RecordingFailed as error:
        raise UsageError(f"{video} cannot be seen: {error}") from error
    strips = [np.array_split(shown[number], count, axis=1) for number in wanted]
    pixels = [[crop(strips[t][s], CENTRE, 1.0) for t in range(look.count)] for s in range(count)]
    return torch.from_numpy(np.array(pixels)).movedim(-1, -3).contiguous()


def nearest(shown: Int64, wanted: npt.NDArray[np.float64]) -> list[int]:
    """Index into `shown` (ascending) of the entry nearest to each of `wanted`."""
    found: list[int] = np.abs(shown[None, :] - wanted[:, None]).argmin(1).tolist()
    return found


def crop(pixels: Any, place: tuple[float, float, bool], margin: float) -> Pixels:
    """A square of a picture (H, W, 3), 1 / margin of its short side, as (224, 224, 3).

    Args:
        pixels: uint8 RGB.
        place: where the square is between the left and the right, the upper and the lower edge
            (0 to 1 each), and whether it is mirrored.
        margin: at least 1.
    """
    from PIL import Image

    height, width = pixels.shape[:2]
    side = min(height, width) / margin
    left, top = place[0] * (width - side), place[1] * (height - side)
    box = (left, top, left + side, top + side)
    image = Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box)
    cropped = np.asarray(image)
    return cropped[:, ::-1] if place[2] else cropped


def _cropped(
    images: Images, number: int, place: tuple[float, float, bool], margin: float
) -> Pixels:
    return crop(images[number], place, margin)


def _random_place(random: np.random.Generator) -> tuple[float, float, bool]:
    return random.random(), random.random(), bool(random.integers(2))
