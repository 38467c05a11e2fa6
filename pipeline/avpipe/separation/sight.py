"""What is seen of the sources of a mixture, in step with its sound.

What is shown is decided by a `Look`. A `Source` is one player on a grid of frames: a segment of a
dataset's shards, or a person in a video (`avpipe.separation.players`). A `Scene` shows the sources
of one mixture at any time; a `Sight` those of drawn mixtures, its pictures decoded by threads while
the network is at the step before.

Pictures are few and chosen; keypoints, faces and mouths are those of every frame of the clip, the
first of them the frame at which the clip begins.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from avpipe.errors import UsageError
from avpipe.images import Images, Pixels
from avpipe.separation.data import AudioBank
from avpipe.separation.interface import Context, Need
from avpipe.separation.look import Look
from avpipe.separation.mixing import Draw
from avpipe.types import Clip

if TYPE_CHECKING:
    from avpipe.dataset import Dataset

SIZE = 224
"""Pixels a side of the pictures, as the networks take them."""
MARGIN = 1.1
"""In training a crop of SIZE is taken from a picture whose short side is this much longer
(Sound of Pixels)."""
CENTRE = (0.5, 0.5, False)
REACH = 4
"""Frames around a wanted picture that are read at first to find the nearest one."""
THREADS = 8

Seen = dict[Need, npt.NDArray[Any]]
"""Field of the context -> (T, ...) of one source."""


@dataclass(frozen=True, eq=False)
class Source:
    """One player, seen on a grid of frames."""

    read: Callable[[int, int, Sequence[str]], Clip]
    """(first frame, number of frames, fields) -> that part of what is known."""
    frames: int
    """T."""
    fps: float
    delay_seconds: float = 0.0
    """Time of the sound at which frame 0 is shown."""

    def show(
        self,
        look: Look,
        start_seconds: float,
        seconds: float,
        random: np.random.Generator | None = None,
    ) -> Seen:
        """What is seen during a clip of the sound; beyond the ends, the first and last frame.

        Args:
            look: what to show.
            start_seconds: of the clip.
            seconds: its length.
            random: for crops and mirroring of the pictures; None: the centre, as it is.
        """
        seen: Seen = {}
        start = start_seconds - self.delay_seconds
        if look.moving:
            count = ceil(seconds * self.fps - 1e-6)
            seen |= self._every_frame(look, round(start * self.fps), count)
        if "frames" in look.needs:
            moments = (start + look.moments(seconds)) * self.fps
            seen["frames"] = np.stack([self._picture(moment, random) for moment in moments])
        return seen

    def _every_frame(self, look: Look, first: int, count: int) -> Seen:
        """(T, ...) of the frames [first, first + count)."""
        wanted = np.clip(np.arange(first, first + count), 0, self.frames - 1)
        low = int(wanted[0])
        fields = [look.field_of(need) for need in sorted(look.moving)]
        clip = self.read(low, int(wanted[-1]) + 1 - low, fields)
        seen: Seen = {}
        for need, field in zip(sorted(look.moving), fields, strict=True):
            found = clip.keypoints if field == "skeleton" else clip.fields.get(field)
            if isinstance(found, Images):
                shown = nearest(found.frames, wanted - low)
                seen[need] = np.asarray(found)[shown].transpose(0, 3, 1, 2)
            else:
                assert found is not None
                points = found.view(look.topology)
                joined = np.concatenate([points.xy, points.confidence[..., None]], 2)
                seen[need] = joined[wanted - low]
        return seen

    def _picture(self, moment: float, random: np.random.Generator | None) -> Pixels:
        """(3, SIZE, SIZE), the picture nearest to a frame."""
        place = CENTRE if random is None else _random_place(random)
        frame, reach = min(max(round(moment), 0), self.frames - 1), REACH
        while True:
            low, high = max(frame - reach, 0), min(frame + reach + 1, self.frames)
            images: Images = self.read(low, high - low, ("frames",)).fields["frames"]
            if len(images):
                (shown,) = nearest(images.frames, np.array([moment - low]))
                pixels = crop(images[shown], place, 1.0 if random is None else MARGIN)
                return pixels.transpose(2, 0, 1)
            if high - low == self.frames:
                raise UsageError("a segment has no pictures: build the dataset again")
            reach *= 4


class Scene(NamedTuple):
    """The sources of one mixture, to be seen at any time of its sound."""

    sources: tuple[Source, ...]
    starts: tuple[float, ...]
    """Seconds into each source at which the mixture begins."""

    def part(self, places: Sequence[int]) -> "Scene":
        """Some of the sources."""
        return Scene(tuple(self.sources[p] for p in places), tuple(self.starts[p] for p in places))

    def context(self, look: Look, start_seconds: float, seconds: float) -> Context:
        """What is seen of every source (B = 1) during a clip of the mixture."""
        shown = [
            source.show(look, start + start_seconds, seconds)
            for source, start in zip(self.sources, self.starts, strict=True)
        ]
        return _collated([shown])


class Sight:
    """What is seen in the clips of a bank."""

    def __init__(self, sources: Sequence[Source], bank: AudioBank, look: Look) -> None:
        self.look = look
        self._sources, self._bank = sources, bank

    @classmethod
    def load(cls, dataset: "Dataset", bank: AudioBank, look: Look) -> "Sight":
        """Of the segments of `bank`; nothing is read yet."""
        lock = Lock()
        return cls([_of_segment(dataset, row, lock) for row in bank.rows], bank, look)

    def start(
        self, drawn: Draw, seed: tuple[int, ...] | None, earlier: int = 0
    ) -> list[Future[Seen] | None]:
        """Begins to read and decode what `finish` gives.

        Args:
            drawn: the clips.
            seed: of random crops and mirroring; None: the centre, as it is.
            earlier: mixtures of the same seed that other processes have before these.
        """
        places = zip(
            drawn.segments.ravel().tolist(), drawn.first_samples.ravel().tolist(), strict=True
        )
        jobs: list[Future[Seen] | None] = []
        seconds = self._bank.window / self._bank.sample_rate
        for number, (segment, first) in enumerate(places, earlier * drawn.segments.shape[1]):
            if segment < 0:
                jobs.append(None)
                continue
            random = None if seed is None else np.random.default_rng((*seed, number))
            start = (first - self._bank.starts[segment]) / self._bank.sample_rate
            source = self._sources[segment]
            jobs.append(self._pool.submit(source.show, self.look, start, seconds, random))
        return jobs

    def finish(self, jobs: list[Future[Seen] | None], drawn: Draw) -> Context:
        """The needed fields; zeros in empty places."""
        seen = [None if job is None else job.result() for job in jobs]
        places = drawn.segments.shape[1]
        return _collated([seen[i : i + places] for i in range(0, len(seen), places)])

    def context(self, drawn: Draw, seed: tuple[int, ...] | None = None) -> Context:
        """`start` and `finish`."""
        return self.finish(self.start(drawn, seed), drawn)

    def scene(self, segments: Sequence[int], first_samples: Sequence[int]) -> Scene:
        """Clips of the bank that sound together, by their first samples."""
        bank = self._bank
        starts = [
            float(first - bank.starts[segment]) / bank.sample_rate
            for segment, first in zip(segments, first_samples, strict=True)
        ]
        return Scene(tuple(self._sources[segment] for segment in segments), tuple(starts))

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(THREADS)


def nearest(shown: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> list[int]:
    """Index into `shown` (ascending) of the entry nearest to each of `wanted`."""
    found: list[int] = np.abs(shown[None, :] - wanted[:, None]).argmin(1).tolist()
    return found


def crop(pixels: Any, place: tuple[float, float, bool], margin: float) -> Pixels:
    """A square of a picture (H, W, 3), 1 / margin of its short side, as (SIZE, SIZE, 3).

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


def _of_segment(dataset: "Dataset", row: int, lock: Lock) -> Source:
    def read(start: int, frames: int, fields: Sequence[str]) -> Clip:
        with lock:  # HDF5 has one of its own; the table of open shards has none
            return dataset.clip(row, start, frames, fields)

    return Source(read, len(dataset.segment(row)), dataset.fps)


def _collated(seen_BS: Sequence[Sequence[Seen | None]]) -> Context:
    """Mixtures of sources as tensors (B, S, T, ...), zeros for None."""
    first = next(seen for row in seen_BS for seen in row if seen is not None)
    fields = {}
    for need, like in first.items():
        shape = (len(seen_BS), len(seen_BS[0]), *like.shape)
        together = np.zeros(shape, like.dtype)
        for b, row in enumerate(seen_BS):
            for s, seen in enumerate(row):
                if seen is not None:
                    together[b, s] = seen[need]
        fields[need] = torch.from_numpy(together)
    return Context(**fields)


def _random_place(random: np.random.Generator) -> tuple[float, float, bool]:
    return random.random(), random.random(), bool(random.integers(2))
