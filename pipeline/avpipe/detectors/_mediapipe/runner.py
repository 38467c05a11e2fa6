"""Runs a model on regions of pictures: the one thing that differs between CPU and CUDA.

A runner is given pictures once, then any number of regions of them. Results are float32 numpy
arrays, a row per region, and do not depend on which other regions were asked for with them.
"""

import queue
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from avpipe.detectors import Frame
from avpipe.detectors._mediapipe import decode
from avpipe.detectors._mediapipe.crop import Box, Regions
from avpipe.detectors._mediapipe.litert import LiteRT
from avpipe.detectors._mediapipe.models import MODELS, WEIGHTS
from avpipe.media.colour import I420

Float32 = npt.NDArray[np.float32]


class Pictures(Protocol):
    """Frames of one size, ready for regions to be taken from."""

    height: int
    width: int

    def __len__(self) -> int: ...

    def run(self, name: str, index: Sequence[int], regions: Regions) -> tuple[Float32, ...]:
        """The outputs of model `name` for each region (n, 5) of frame index (n,).

        Of the body's heat maps only `decode.heat_windows` is given.
        """
        ...

    def cut(self, index: int, box: Box) -> "Pictures":
        """A copy of the part of one frame in a box that lies in it."""
        ...


class Runner(Protocol):
    """Loaded models on a device."""

    def load(self, frames: Sequence[Frame | I420]) -> Pictures:
        """Pictures of one size to take regions from."""
        ...


class LiteRTRunner:
    """Models on the CPU, spread over threads; a thread has interpreters of its own."""

    def __init__(
        self, names: Sequence[str], threads: int, heat_map_window: int = 9, folder: Path = WEIGHTS
    ) -> None:
        self._window = heat_map_window
        self._sets: queue.SimpleQueue[dict[str, LiteRT]] = queue.SimpleQueue()
        for _ in range(threads):
            self._sets.put({name: LiteRT(MODELS[name], folder) for name in names})
        self._threads = ThreadPoolExecutor(threads) if threads > 1 else None

    def load(self, frames: Sequence[Frame | I420]) -> "CpuPictures":
        """Pictures to take regions from."""
        return CpuPictures(self, [f.rgb() if isinstance(f, I420) else f for f in frames])

    def map(self, name: str, jobs: Sequence[tuple[Frame, Any]]) -> list[tuple[Float32, ...]]:
        """The outputs of one model for (frame, region) pairs."""

        def one(job: tuple[Frame, Any]) -> tuple[Float32, ...]:
            models = self._sets.get()
            try:
                outputs = models[name](*job)
            finally:
                self._sets.put(models)
            if name != "pose":
                return outputs
            raw, presence, heat = (output[None] for output in outputs)
            return raw[0], presence[0], decode.heat_windows(raw, heat, self._window)[0]

        if self._threads is None or len(jobs) < 2:
            return [one(job) for job in jobs]
        return list(self._threads.map(one, jobs))


class CpuPictures:
    """See `Pictures`."""

    def __init__(self, runner: LiteRTRunner, frames: Sequence[Frame]) -> None:
        self._runner, self._frames = runner, frames
        self.height, self.width = frames[0].shape[:2]

    def __len__(self) -> int:
        return len(self._frames)

    def run(self, name: str, index: Sequence[int], regions: Regions) -> tuple[Float32, ...]:
        """See `Pictures.run`."""
        jobs = [(self._frames[i], region) for i, region in zip(index, regions, strict=True)]
        rows = self._runner.map(name, jobs)
        return tuple(np.stack(column) for column in zip(*rows, strict=True))

    def cut(self, index: int, box: Box) -> "CpuPictures":
        """See `Pictures.cut`."""
        x0, y0, x1, y1 = box
        return CpuPictures(self._runner, [self._frames[index][y0:y1, x0:x1].copy()])
