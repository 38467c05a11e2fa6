"""Runs models with PyTorch, on CUDA or (for tests) on the CPU.

Regions are computed in groups of one size, each filled up, because kernels chosen for another size
may round otherwise: results do not depend on what else was asked for, on the batch size, or on
memory running out. Lanes work on groups at the same time, each with a stream and buffers of its
own; on CUDA a group is one CUDA graph. The host waits only for results.
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avpipe.detectors import Frame
from avpipe.detectors._mediapipe.crop import Box, Regions, steps
from avpipe.detectors._mediapipe.models import MODELS, WEIGHTS, Model
from avpipe.detectors._mediapipe.tflite import read
from avpipe.detectors._mediapipe.torch_crop import crops, sampler
from avpipe.detectors._mediapipe.torch_graph import TorchGraph
from avpipe.media.colour import I420, rgb

Float32 = npt.NDArray[np.float32]

GROUP = 16
"""Regions a model looks at in one pass, whatever is asked for."""
_cuda: Any = torch.cuda  # streams and events without annotations
_CONVERTED_AT_ONCE = 4
"""Frames: what their conversion to RGB needs for itself is thirty times their size."""


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
        networks = {
            name: _Network(MODELS[name], folder, layout, kind, heat_map_window)
            .eval()
            .to(self.device)
            for name in names
        }
        sample = sampler(self.device)
        self._lanes = [_Lane(networks, self.device, sample) for _ in range(-(-batch // GROUP))]
        self._uploads = _cuda.Stream(self.device) if self.device.type == "cuda" else None

    @property
    def batch(self) -> int:
        """Most regions at a time."""
        return GROUP * len(self._lanes)

    def load(self, frames: Sequence[Frame | I420]) -> "TorchPictures":
        """Uploads the frames, once; may be called while another thread is in `run`."""
        planes = _same_planes(frames)
        pixels = planes or [f.rgb() if isinstance(f, I420) else f for f in frames]
        shape = (len(pixels), *pixels[0].shape)
        host = torch.empty(shape, dtype=torch.uint8, pin_memory=self._uploads is not None)
        for row, frame in zip(host.numpy(), pixels, strict=True):
            row[...] = frame
        with torch.inference_mode(), _on(self._uploads):
            on_device = host.to(self.device, non_blocking=True)
            if planes:
                first = frames[0]
                assert isinstance(first, I420)
                on_device = _converted(on_device, first)
            # The pinned memory returns to PyTorch's cache, which waits for the copy.
            return TorchPictures(self, on_device, _event(self._uploads))

    def cut(self, pictures: "TorchPictures", index: int, box: Box) -> "TorchPictures":
        """See `Pictures.cut`."""
        x0, y0, x1, y1 = box
        with torch.inference_mode(), _on(self._uploads):
            part = pictures.frames[index : index + 1, y0:y1, x0:x1].clone(
                memory_format=torch.contiguous_format
            )
            return TorchPictures(self, part, _event(self._uploads))

    def run(
        self, name: str, pictures: "TorchPictures", index: Sequence[int], regions: Regions
    ) -> tuple[Float32, ...]:
        """See `Pictures.run`; halves the batch and goes on when memory runs out."""
        placed = np.column_stack([steps(regions), index])
        while True:
            try:
                return self._groups(name, pictures, placed)
            except RuntimeError as error:
                if not _is_out_of_memory(error) or len(self._lanes) == 1:
                    raise
            self._halve()  # out here, where no traceback holds on to what it frees

    def _groups(
        self, name: str, pictures: "TorchPictures", placed: npt.NDArray[np.float64]
    ) -> tuple[Float32, ...]:
        parts: list[list[Float32]] = []
        started: list[_Lane] = []
        for number, start in enumerate(range(0, len(placed), GROUP)):
            if len(started) == len(self._lanes):
                parts.append(started.pop(0).finish())
            lane = self._lanes[number % len(self._lanes)]
            lane.start(name, pictures, placed[start : start + GROUP])
            started.append(lane)
        parts += [lane.finish() for lane in started]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def _halve(self) -> None:
        if self._uploads is not None:
            torch.cuda.synchronize(self.device)
        del self._lanes[len(self._lanes) // 2 :]
        gc.collect()
        if self._uploads is not None:
            torch.cuda.empty_cache()


class TorchPictures:
    """See `Pictures`."""

    def __init__(self, runner: TorchRunner, frames: Tensor, ready: Any) -> None:
        self._runner, self.frames, self.ready = runner, frames, ready
        _, self.height, self.width, _ = frames.shape

    def __len__(self) -> int:
        return len(self.frames)

    def run(self, name: str, index: Sequence[int], regions: Regions) -> tuple[Float32, ...]:
        """See `Pictures.run`."""
        return self._runner.run(name, self, index, regions)

    def cut(self, index: int, box: Box) -> "TorchPictures":
        """See `Pictures.cut`."""
        return self._runner.cut(self, index, box)


class _Network(torch.nn.Module):
    """A model between grey levels and what is brought back to the host."""

    def __init__(
        self,
        model: Model,
        folder: Path,
        layout: torch.memory_format,
        kind: torch.dtype,
        window: int,
    ) -> None:
        super().__init__()
        self.model, self._kind, self._window = model, kind, window
        self._graph = TorchGraph(read(model.path(folder)), model.outputs, layout).to(kind)
        self._scale = float(np.float32((2 if model.signed else 1) / 255))

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """(GROUP, S, S, 3) uint8 to outputs (GROUP, ...) float32."""
        grey = pictures.float() * self._scale - (1.0 if self.model.signed else 0.0)
        outputs = tuple(output.float() for output in self._graph(grey.to(self._kind)))
        if self.model.name != "pose":
            return outputs
        raw, presence, heat = outputs
        return raw, presence, _heat_windows(raw, heat, self._window)


class _Lane:
    """Works on one group at a time."""

    def __init__(self, networks: Mapping[str, _Network], device: torch.device, sample: Any) -> None:
        self._networks, self._device, self._sample = networks, device, sample
        self._stream = _cuda.Stream(device) if device.type == "cuda" else None
        self._pool = torch.cuda.graph_pool_handle() if self._stream else None
        self._programs: dict[str, _Program] = {}
        self._placed = torch.empty(
            (GROUP, 7), dtype=torch.float64, pin_memory=self._stream is not None
        )
        # A wait that sleeps: decoders need the core.
        self._done = _cuda.Event(blocking=True) if self._stream else None
        self._used, self._pending = 0, list[Tensor]()

    def start(self, name: str, pictures: TorchPictures, placed: npt.NDArray[np.float64]) -> None:
        """Begins with (n <= GROUP, 7) regions, see `torch_crop.crops`."""
        with torch.inference_mode(), _on(self._stream):
            if name not in self._programs:
                self._programs[name] = _Program(
                    self._networks[name], self._device, self._stream, self._pool
                )
            program = self._programs[name]
            self._used = len(placed)
            self._placed[: self._used] = torch.from_numpy(placed)
            self._placed[self._used :] = self._placed[0]
            if self._stream is not None:
                self._stream.wait_event(pictures.ready)
            on_device = self._placed.to(self._device, non_blocking=True)
            model = program.model
            program.input.copy_(
                crops(pictures.frames, on_device, model.size, model.replicate, self._sample)
            )
            self._pending = program.run()
            if self._done is not None:
                self._done.record()

    def finish(self) -> list[Float32]:
        """Waits for what was begun; its outputs (n, ...)."""
        if self._done is not None:
            self._done.synchronize()
        return [output[: self._used].numpy().copy() for output in self._pending]


class _Program:
    """A network with buffers of its own; on CUDA captured as a graph."""

    def __init__(self, network: _Network, device: torch.device, stream: Any, pool: Any) -> None:
        self.model = network.model
        shape = (GROUP, self.model.size, self.model.size, 3)
        self.input = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._network, self._outputs = network, tuple[Tensor, ...]()
        self._graph: Any = None
        if stream is not None:
            self._capture(stream, pool)

    def run(self) -> list[Tensor]:
        """The outputs in the host's memory, once the stream has come so far."""
        if self._graph is None:
            with _strict():
                return list(self._network(self.input))
        self._graph.replay()
        for on_host, output in zip(self._on_host, self._outputs, strict=True):
            on_host.copy_(output, non_blocking=True)
        return self._on_host

    def _capture(self, stream: Any, pool: Any) -> None:
        with _strict():
            for _ in range(2):  # libraries choose kernels and take memory outside of the graph
                outputs = self._network(self.input)
            stream.synchronize()
            self._on_host = [torch.empty(o.shape, pin_memory=True) for o in outputs]
            del outputs
            graph = torch.cuda.CUDAGraph()
            # Meanwhile the next frames are uploaded by another thread.
            with torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"):
                self._outputs = self._network(self.input)
            self._graph = graph


def _heat_windows(raw: Tensor, heat: Tensor, window: int) -> Tensor:
    """`decode.heat_windows` on the device, from where whole heat maps would be much to move."""
    n, cells, _, joints = heat.shape
    cell = (raw.reshape(n, joints, 5)[..., :2] / MODELS["pose"].size * cells).long()
    reach = torch.arange(window, device=raw.device) - window // 2
    columns, rows = ((cell[..., axis, None] + reach).clamp(0, cells - 1) for axis in (0, 1))
    batch = torch.arange(n, device=raw.device)[:, None, None, None]
    joint = torch.arange(joints, device=raw.device)[None, :, None, None]
    return heat[batch, rows[..., :, None], columns[..., None, :], joint]


def _same_planes(frames: Sequence[Frame | I420]) -> list[npt.NDArray[np.uint8]]:
    """The planes of frames that can be converted together; empty if they cannot."""
    planes = [frame.planes for frame in frames if isinstance(frame, I420)]
    matrices = {frame.matrix for frame in frames if isinstance(frame, I420)}
    return planes if len(planes) == len(frames) and len(matrices) == 1 else []


def _converted(planes: Tensor, first: I420) -> Tensor:
    out = torch.empty((len(planes), *first.shape), dtype=torch.uint8, device=planes.device)
    for start in range(0, len(planes), _CONVERTED_AT_ONCE):
        some = slice(start, start + _CONVERTED_AT_ONCE)
        out[some] = rgb(planes[some].int(), first.matrix, torch)
    return out


@contextmanager
def _strict() -> Iterator[None]:
    """Single precision is single precision, and the same kernels are taken every time.

    By default cuDNN multiplies in TensorFloat-32, which moves hands by half a pixel.
    """
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    settings: list[tuple[Any, str, Any]] = [
        (cudnn, "enabled", True), (cudnn, "benchmark", False), (cudnn, "deterministic", True)
    ]  # fmt: skip
    if hasattr(cudnn, "conv"):  # PyTorch 2.9 on; it refuses a mixture with the names before
        settings += [(part, "fp32_precision", "ieee") for part in (cudnn.conv, products)]
    else:
        settings += [(part, "allow_tf32", False) for part in (cudnn, products)]
    chosen = [getattr(part, name) for part, name, _ in settings]
    try:
        for part, name, value in settings:
            setattr(part, name, value)
        yield
    finally:
        for (part, name, _), value in zip(settings, chosen, strict=True):
            setattr(part, name, value)


def _is_out_of_memory(error: BaseException | None) -> bool:
    """Also where ending the capture of a graph has failed because of it."""
    if error is None or isinstance(error, torch.cuda.OutOfMemoryError):
        return error is not None
    return _is_out_of_memory(error.__context__)


def _on(stream: Any) -> AbstractContextManager[Any]:
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def _event(stream: Any) -> Any:
    return None if stream is None else stream.record_event()
