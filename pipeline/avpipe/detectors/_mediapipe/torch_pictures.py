"""Frames for `torch_runner`: on the device, or in the host's memory while that has no room."""

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avpipe.detectors import Frame
from avpipe.detectors._mediapipe.crop import Box
from avpipe.detectors._torch_memory import host_memory
from avpipe.media.colour import I420, Matrix, rgb

_cuda: Any = torch.cuda  # streams and events without annotations
_CONVERTED_BYTES = 4 * 2**20
"""Planes at a time: what their conversion to RGB needs for itself is thirty times their size."""


class Uploads:
    """Brings frames to a device, on a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = _cuda.Stream(device) if device.type == "cuda" else None

    def frames(self, host: Tensor, matrix: Matrix | None) -> tuple[Tensor, Any]:
        """(n, H, W, 3) on the device, and the event after which they are there.

        Args:
            host: (n, H, W, 3), or with a matrix (n, 3H/2, W) in 4:2:0; uint8. Pinned memory may be
                given up at once: PyTorch's cache waits for the copy.
        """
        with torch.inference_mode(), on(self.stream):
            arrived = host.to(self.device, non_blocking=True)
            return (arrived if matrix is None else _converted(arrived, matrix)), self._event()

    def part(self, frames: Tensor, index: int, box: Box) -> tuple[Tensor, Any]:
        """(1, h, w, 3) a copy on the device of what is in a box, and the event."""
        x0, y0, x1, y1 = box
        with torch.inference_mode(), on(self.stream):
            inside = frames[index : index + 1, y0:y1, x0:x1]
            return inside.clone(memory_format=torch.contiguous_format), self._event()

    def _event(self) -> Any:
        return None if self.stream is None else self.stream.record_event()


class Store:
    """Frames of one size: in the host's memory, on the device, or moved from there to here."""

    def __init__(self, uploads: Uploads, host: Tensor, matrix: Matrix | None = None) -> None:
        self._uploads = uploads
        self._host: Tensor | None = host
        self._matrix = matrix
        self._on_device: tuple[Tensor, Any] | None = None
        self._moving = threading.Lock()  # one thread loads while another makes room
        rows = host.shape[1]
        self.length, self.width = host.shape[0], host.shape[2]
        self.height = rows if matrix is None else rows // 3 * 2

    @property
    def resident(self) -> bool:
        """Whether all of it is on the device."""
        return self._on_device is not None

    def whole(self) -> tuple[Tensor, Any]:
        """All frames on the device, where they stay, see `Uploads.frames`."""
        with self._moving:
            if self._on_device is None:
                assert self._host is not None
                self._on_device = self._uploads.frames(self._host, self._matrix)
                self._host = None
            return self._on_device

    def some(self, index: npt.NDArray[np.int64]) -> tuple[Tensor, Any]:
        """Some frames of a store that is not resident, for as long as they are held."""
        assert self._host is not None
        return self._uploads.frames(self._host[torch.from_numpy(index)], self._matrix)

    def leave(self) -> None:
        """Gives the device's memory back. Nothing may be at work there."""
        with self._moving:
            if self._on_device is not None:
                frames, ready = self._on_device
                if ready is not None:
                    ready.synchronize()  # the thread that loads may have begun just now
                self._host, self._matrix = frames.cpu(), None
                self._on_device = None

    def part(self, index: int, box: Box) -> "Store":
        """What is in a box, as a store of one frame; on the host if this one is there."""
        x0, y0, x1, y1 = box
        if self._on_device is None:
            assert self._host is not None
            frame = self._host[index : index + 1]
            if self._matrix is not None:
                frame = _converted(frame, self._matrix)
            return Store(self._uploads, frame[:, y0:y1, x0:x1].clone())
        copied = self._uploads.part(self._on_device[0], index, box)
        part = Store(self._uploads, copied[0])
        part._host, part._on_device = None, copied
        return part


def stored(frames: Sequence[Frame | I420], uploads: Uploads) -> Store:
    """The frames in the host's memory."""
    planes = _same_planes(frames)
    pixels = planes or [f.rgb() if isinstance(f, I420) else f for f in frames]
    shape = (len(pixels), *pixels[0].shape)
    host = host_memory(shape, pinned=uploads.stream is not None)
    for row, frame in zip(host.numpy(), pixels, strict=True):
        row[...] = frame
    first = frames[0]
    return Store(uploads, host, first.matrix if planes and isinstance(first, I420) else None)


def on(stream: Any) -> AbstractContextManager[Any]:
    """Work begun inside goes to the stream; None: the CPU, which has none."""
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def _same_planes(frames: Sequence[Frame | I420]) -> list[npt.NDArray[np.uint8]]:
    """The planes of frames that can be converted together; empty if they cannot."""
    planes = [frame.planes for frame in frames if isinstance(frame, I420)]
    matrices = {frame.matrix for frame in frames if isinstance(frame, I420)}
    return planes if len(planes) == len(frames) and len(matrices) == 1 else []


def _converted(planes: Tensor, matrix: Matrix) -> Tensor:
    """(n, H, W, 3) of (n, 3H/2, W), in bands of rows."""
    n, rows, width = planes.shape
    height = rows // 3 * 2
    luma, chroma = planes[:, :height], planes[:, height:].reshape(n, 2, height // 2, width // 2)
    out = torch.empty((n, height, width, 3), dtype=torch.uint8, device=planes.device)
    at_once = max(1, _CONVERTED_BYTES // (rows * width))
    band = height if at_once > 1 else max(4, _CONVERTED_BYTES // (width * 3 // 2) // 4 * 4)
    for start in range(0, n, at_once):
        some = slice(start, start + at_once)
        for top in range(0, height, band):
            bottom = min(top + band, height)
            parts = luma[some, top:bottom], chroma[some, :, top // 2 : bottom // 2]
            joined = torch.cat([part.flatten(1) for part in parts], 1).int()
            out[some, top:bottom] = rgb(
                joined.reshape(len(joined), (bottom - top) // 2 * 3, width), matrix, torch
            )
    return out
