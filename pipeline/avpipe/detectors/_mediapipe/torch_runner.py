"""Runs models with PyTorch, on CUDA or (for tests) on the CPU.

Regions are computed in groups of one size, each filled up, because kernels chosen for another size
may round otherwise: results do not depend on what else was asked for, on the batch size, or on
memory running out. Lanes work on groups at the same time, each with a stream and buffers of its
own (`torch_lanes`). The host waits only for results.
"""

import gc
import threading
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avpipe.detectors import Frame
from avpipe.detectors._mediapipe.crop import Box, Regions, steps
from avpipe.detectors._mediapipe.models import MODELS, WEIGHTS
from avpipe.detectors._mediapipe.torch_crop import sampler
from avpipe.detectors._mediapipe.torch_lanes import GROUP, Lane, Network
from avpipe.detectors._mediapipe.torch_pictures import Store, Uploads, stored
from avpipe.detectors._torch_memory import is_out_of_memory
from avpipe.errors import FailureClass, RecordingFailed
from avpipe.media.colour import I420

Float32 = npt.NDArray[np.float32]


class TorchRunner:
    """Models on a device."""

    def __init__(
        self,
        names: Sequence[str],
        device: str,
        batch: int,
        *,
        half: bool = False,
        heat_map_window: int = 9,
        folder: Path = WEIGHTS,
    ) -> None:
        """`batch`: most regions at a time, rounded up to whole groups."""
        self.device = torch.device(device)
        # CUDA has few and slow kernels for channels that come last in single precision.
        plain = self.device.type == "cuda" and not half
        layout = torch.contiguous_format if plain else torch.channels_last
        kind = torch.float16 if half else torch.float32
        self._networks = {
            name: Network(MODELS[name], folder, layout, kind, heat_map_window)
            .eval()
            .to(self.device)
            for name in names
        }
        self._sample = sampler(self.device)
        self._uploads = Uploads(self.device)
        self._lanes = self._new_lanes(-(-batch // GROUP))
        self._frames = 0
        self._stores = weakref.WeakSet[Store]()
        self._listing = threading.Lock()  # frames are loaded by another thread

    @property
    def batch(self) -> int:
        """Most regions at a time."""
        return GROUP * len(self._lanes)

    @property
    def frames_at_a_time(self) -> int:
        """Most frames of one load on the device, 0: all of them; less when memory has run out."""
        return self._frames

    def load(self, frames: Sequence[Frame | I420]) -> "TorchPictures":
        """Uploads the frames, once; may be called while another thread is in `run`.

        Where the device has no room for them they wait in the host's memory for `run`, which can
        make room.
        """
        store = stored(frames, self._uploads)
        pictures = self._pictures(store)
        if self._fits(store):
            try:
                store.whole()
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
        return pictures

    def cut(self, pictures: "TorchPictures", index: int, box: Box) -> "TorchPictures":
        """See `Pictures.cut`."""
        try:
            return self._pictures(pictures.store.part(index, box))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        self._move_out([pictures.store])
        return self._pictures(pictures.store.part(index, box))

    def run(
        self, name: str, pictures: "TorchPictures", index: Sequence[int], regions: Regions
    ) -> tuple[Float32, ...]:
        """See `Pictures.run`.

        When memory runs out it halves the batch and goes on; at the least batch it moves frames
        out to the host's memory and works on half as many at a time. None of it changes a result.

        Raises:
            RecordingFailed: `limit`; there is no room for a group of regions and one frame.
        """
        frames, placed = np.asarray(index, np.int64), steps(regions)
        while True:
            try:
                return self._parts(name, pictures.store, frames, placed)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if len(self._lanes) == 1 and self._frames == 1:
                    raise RecordingFailed(
                        FailureClass.LIMIT,
                        f"the memory of {self.device} has no room for {GROUP} regions and a frame"
                        f" of {pictures.width} x {pictures.height}: free some, or use device cpu",
                        permanent=False,
                    ) from error
            self._make_room()  # out here, where no traceback holds on to what it frees

    def _parts(
        self, name: str, store: Store, frames: npt.NDArray[np.int64], placed: Regions
    ) -> tuple[Float32, ...]:
        if self._fits(store):
            return self._groups(name, *store.whole(), np.column_stack([placed, frames]))
        needed = np.unique(frames)
        found, order = list[tuple[Float32, ...]](), list[npt.NDArray[np.int64]]()
        for start in range(0, len(needed), self._frames):
            some = needed[start : start + self._frames]
            rows = np.flatnonzero(np.isin(frames, some))
            local = np.searchsorted(some, frames[rows])
            part = store.some(some)
            found.append(self._groups(name, *part, np.column_stack([placed[rows], local])))
            order.append(rows)
            del part  # before the next ones come
        back = np.argsort(np.concatenate(order))
        return tuple(np.concatenate(column)[back] for column in zip(*found, strict=True))

    def _groups(
        self, name: str, frames: Tensor, ready: Any, placed: npt.NDArray[np.float64]
    ) -> tuple[Float32, ...]:
        parts: list[list[Float32]] = []
        started: list[Lane] = []
        for number, start in enumerate(range(0, len(placed), GROUP)):
            if len(started) == len(self._lanes):
                parts.append(started.pop(0).finish())
            lane = self._lanes[number % len(self._lanes)]
            lane.start(name, frames, ready, placed[start : start + GROUP])
            started.append(lane)
        parts += [lane.finish() for lane in started]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def _make_room(self) -> None:
        """Halves the batch, or at the least batch the frames that are on the device."""
        if len(self._lanes) > 1:
            self._settle()
            # New ones: what the capture of a graph leaves behind when it fails is not relied on.
            count, self._lanes = len(self._lanes) // 2, []
            self._release()
            self._lanes = self._new_lanes(count)
            return
        with self._listing:
            stores = list(self._stores)
        self._frames = max(1, (self._frames or max(store.length for store in stores)) // 2)
        self._move_out(stores)
        self._lanes = []
        self._release()
        self._lanes = self._new_lanes(1)

    def _move_out(self, stores: Iterable[Store]) -> None:
        self._settle()
        for store in stores:
            store.leave()
        self._release()

    def _settle(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _release(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _fits(self, store: Store) -> bool:
        return not self._frames or store.length <= self._frames

    def _pictures(self, store: Store) -> "TorchPictures":
        with self._listing:
            self._stores.add(store)
        return TorchPictures(self, store)

    def _new_lanes(self, count: int) -> list["Lane"]:
        return [Lane(self._networks, self.device, self._sample) for _ in range(count)]


class TorchPictures:
    """See `Pictures`."""

    def __init__(self, runner: TorchRunner, store: Store) -> None:
        self._runner, self.store = runner, store
        self.height, self.width = store.height, store.width

    def __len__(self) -> int:
        return self.store.length

    def run(self, name: str, index: Sequence[int], regions: Regions) -> tuple[Float32, ...]:
        """See `Pictures.run`."""
        return self._runner.run(name, self, index, regions)

    def cut(self, index: int, box: Box) -> "TorchPictures":
        """See `Pictures.cut`."""
        return self._runner.cut(self, index, box)
