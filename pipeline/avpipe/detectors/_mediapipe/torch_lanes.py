"""Models at work on groups of regions: crops, the network, its outputs back on the host.

A lane has a stream and buffers of its own; on CUDA the network of a group is one CUDA graph.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avpipe.detectors._mediapipe.models import MODELS, Model
from avpipe.detectors._mediapipe.tflite import read
from avpipe.detectors._mediapipe.torch_crop import Sampler, crops
from avpipe.detectors._mediapipe.torch_graph import TorchGraph
from avpipe.detectors._mediapipe.torch_pictures import on
from avpipe.detectors._precision import strict

Float32 = npt.NDArray[np.float32]

GROUP = 16
"""Regions a model looks at in one pass, whatever is asked for."""
_ROOM = 256 * 2**20
"""Bytes that must be free where a network is captured. For want of a workspace cuDNN takes another
algorithm, without a word and with other bits: scarce memory must show before it is that scarce."""
_cuda: Any = torch.cuda  # streams and events without annotations


class Network(torch.nn.Module):
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


class Lane:
    """Works on one group at a time."""

    def __init__(
        self, networks: Mapping[str, Network], device: torch.device, sample: Sampler
    ) -> None:
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

    def start(self, name: str, frames: Tensor, ready: Any, placed: npt.NDArray[np.float64]) -> None:
        """Begins with (n <= GROUP, 7) regions of the frames, once they are `ready`, see
        `torch_crop.crops`."""
        with torch.inference_mode(), on(self._stream):
            if name not in self._programs:
                self._programs[name] = _Program(
                    self._networks[name], self._device, self._stream, self._pool
                )
            program = self._programs[name]
            self._used = len(placed)
            self._placed[: self._used] = torch.from_numpy(placed)
            self._placed[self._used :] = self._placed[0]
            if self._stream is not None:
                self._stream.wait_event(ready)
            on_device = self._placed.to(self._device, non_blocking=True)
            model = program.model
            program.input.copy_(crops(frames, on_device, model.size, model.replicate, self._sample))
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

    def __init__(self, network: Network, device: torch.device, stream: Any, pool: Any) -> None:
        self.model = network.model
        shape = (GROUP, self.model.size, self.model.size, 3)
        self.input = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._network, self._outputs = network, tuple[Tensor, ...]()
        self._graph: Any = None
        if stream is not None:
            torch.empty(_ROOM, dtype=torch.uint8, device=device)
            self._capture(stream, pool)

    def run(self) -> list[Tensor]:
        """The outputs in the host's memory, once the stream has come so far."""
        if self._graph is None:
            with strict():
                return list(self._network(self.input))
        self._graph.replay()
        for on_host, output in zip(self._on_host, self._outputs, strict=True):
            on_host.copy_(output, non_blocking=True)
        return self._on_host

    def _capture(self, stream: Any, pool: Any) -> None:
        with strict():
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
