"""Runs a `tflite.Graph` as a PyTorch module: NCHW inside, the file's layout outside.

Each operation is the one line of PyTorch that computes the same numbers; where the two
libraries differ in a convention (padding, channel order, memory order) the line says so.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from avpipe.detectors._mediapipe.tflite import Array, Graph, Op

_SAME, _RELU, _RELU6 = 0, 1, 3
"""Numbers of the schema's enumerations."""


class TorchGraph(nn.Module):
    """A model: (B, H, W, 3) float32 in, the wanted outputs (B, ...) out, NHWC like the file."""

    def __init__(
        self,
        graph: Graph,
        outputs: tuple[int, ...],
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        """`outputs`: positions in the file's outputs; what they do not need is not run.

        `layout` is that of the tensors in memory and changes no shape.
        """
        super().__init__()
        self.layout = layout
        self.input = graph.input
        self.outputs = tuple(graph.outputs[position] for position in outputs)
        self.ops = _needed(graph, self.outputs)
        self.constants = graph.constants
        self.shapes = graph.shapes
        for op in self.ops:
            for tensor, array in _weights(op, graph).items():
                weight = torch.from_numpy(array.copy(order="C"))
                weight = weight.contiguous(memory_format=layout) if weight.ndim == 4 else weight
                self.register_buffer(f"w{tensor}", weight)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Runs all operations in order, dropping each tensor after its last use."""
        values = {self.input: pictures.permute(0, 3, 1, 2).contiguous(memory_format=self.layout)}
        last = {tensor: i for i, op in enumerate(self.ops) for tensor in op.inputs}
        for i, op in enumerate(self.ops):
            values[op.outputs[0]] = _OPS[op.kind](self, op, values[op.inputs[0]], values)
            for tensor in op.inputs:
                if last[tensor] == i and tensor not in self.outputs:
                    values.pop(tensor, None)
        return tuple(_as_stored(values[tensor]) for tensor in self.outputs)

    def weight(self, tensor: int) -> Tensor:
        """A weight in PyTorch's layout."""
        found: Tensor = self.get_buffer(f"w{tensor}")
        return found


def _as_stored(value: Tensor) -> Tensor:
    return value.permute(0, 2, 3, 1) if value.ndim == 4 else value


def _needed(graph: Graph, outputs: tuple[int, ...]) -> tuple[Op, ...]:
    needed, kept = set(outputs), []
    for op in reversed(graph.ops):
        if needed.intersection(op.outputs):
            needed.update(op.inputs)
            kept.append(op)
    return tuple(reversed(kept))


def _weights(op: Op, graph: Graph) -> dict[int, Array]:
    """The float constants of an operation in PyTorch's layout."""
    found = {t: graph.constants[t] for t in op.inputs if t in graph.constants}
    found = {t: array for t, array in found.items() if array.dtype == np.float32}
    if op.kind == "CONV_2D":  # O, H, W, I -> O, I, H, W
        found[op.inputs[1]] = found[op.inputs[1]].transpose(0, 3, 1, 2)
    elif op.kind == "DEPTHWISE_CONV_2D":  # 1, H, W, C -> C, 1, H, W
        found[op.inputs[1]] = found[op.inputs[1]].transpose(3, 0, 1, 2)
    elif op.kind == "PRELU":
        found[op.inputs[1]] = found[op.inputs[1]].reshape(-1)
    return found


def _activated(op: Op, value: Tensor) -> Tensor:
    kind = op.options.get("fusedActivationFunction", 0)
    if kind == _RELU:
        return F.relu(value)
    return F.relu6(value) if kind == _RELU6 else value


def _same_padded(op: Op, x: Tensor, kernel: tuple[int, int]) -> Tensor:
    """TensorFlow's SAME: what a stride leaves over is padded after, not before."""
    if op.options["padding"] != _SAME:
        return x
    strides = op.options["strideH"], op.options["strideW"]
    pads = []
    for size, side, stride in zip(x.shape[2:], kernel, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + side - size, 0)
        pads.append((total // 2, total - total // 2))
    (top, bottom), (left, right) = pads
    return F.pad(x, (left, right, top, bottom)) if any((top, bottom, left, right)) else x


def _convolution(module: TorchGraph, op: Op, x: Tensor, values: dict[int, Tensor]) -> Tensor:
    weight = module.weight(op.inputs[1])
    bias = module.weight(op.inputs[2]) if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
    groups = weight.shape[0] if op.kind == "DEPTHWISE_CONV_2D" else 1
    stride = op.options["strideH"], op.options["strideW"]
    x = _same_padded(op, x, (weight.shape[2], weight.shape[3]))
    return _activated(op, F.conv2d(x, weight, bias, stride, groups=groups))


def _add(module: TorchGraph, op: Op, x: Tensor, values: dict[int, Tensor]) -> Tensor:
    other = op.inputs[1]
    return _activated(op, x + (values[other] if other in values else module.weight(other)))


def _concatenation(module: TorchGraph, op: Op, x: Tensor, values: dict[int, Tensor]) -> Tensor:
    axis = op.options["axis"]
    axis = (0, 2, 3, 1)[axis] if x.ndim == 4 else axis
    return torch.cat([values[tensor] for tensor in op.inputs], dim=axis)


def _depth_to_space(module: TorchGraph, op: Op, x: Tensor, values: dict[int, Tensor]) -> Tensor:
    # Channels are (dy, dx, c) here and (c, dy, dx) in pixel_shuffle.
    block = op.options["blockSize"]
    b, c, h, w = x.shape
    x = x.reshape(b, block * block, c // block**2, h, w).transpose(1, 2).reshape(b, c, h, w)
    return F.pixel_shuffle(x, block)


def _pad(module: TorchGraph, op: Op, x: Tensor, values: dict[int, Tensor]) -> Tensor:
    _, height, width, channels = module.constants[op.inputs[1]].tolist()
    return F.pad(x, (*width, *height, *channels))


def _max_pool(module: TorchGraph, op: Op, x: Tensor, values: dict[int, Tensor]) -> Tensor:
    # Sides are even and windows 2x2 with stride 2 in every model: SAME pads nothing.
    kernel = op.options["filterHeight"], op.options["filterWidth"]
    return F.max_pool2d(x, kernel, (op.options["strideH"], op.options["strideW"]))


def _resize(module: TorchGraph, op: Op, x: Tensor, values: dict[int, Tensor]) -> Tensor:
    size = module.constants[op.inputs[1]].tolist()
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def _reshape(module: TorchGraph, op: Op, x: Tensor, values: dict[int, Tensor]) -> Tensor:
    # The shape in the file has a batch of 1; memory order is NHWC.
    flat = _as_stored(x).reshape(x.shape[0], *module.shapes[op.outputs[0]][1:])
    return flat.permute(0, 3, 1, 2) if flat.ndim == 4 else flat


def _strided_slice(module: TorchGraph, op: Op, x: Tensor, values: dict[int, Tensor]) -> Tensor:
    # The end of the batch axis says 1: every batch entry is meant.
    begin, end = (module.constants[tensor].tolist() for tensor in op.inputs[1:3])
    height, width, channels = (slice(b, e) for b, e in zip(begin[1:], end[1:], strict=True))
    return x[:, channels, height, width]


def _fully_connected(module: TorchGraph, op: Op, x: Tensor, values: dict[int, Tensor]) -> Tensor:
    bias = module.weight(op.inputs[2]) if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
    return _activated(op, F.linear(x, module.weight(op.inputs[1]), bias))


def _mean(module: TorchGraph, op: Op, x: Tensor, values: dict[int, Tensor]) -> Tensor:
    return x.mean(dim=(2, 3))


def _prelu(module: TorchGraph, op: Op, x: Tensor, values: dict[int, Tensor]) -> Tensor:
    return F.prelu(x, module.weight(op.inputs[1]))


_OPS: dict[str, Callable[[TorchGraph, Op, Any, dict[int, Tensor]], Tensor]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "ADD": _add,
    "CONCATENATION": _concatenation,
    "DEPTH_TO_SPACE": _depth_to_space,
    "PAD": _pad,
    "MAX_POOL_2D": _max_pool,
    "RESIZE_BILINEAR": _resize,
    "RESHAPE": _reshape,
    "STRIDED_SLICE": _strided_slice,
    "FULLY_CONNECTED": _fully_connected,
    "MEAN": _mean,
    "PRELU": _prelu,
    "RELU": lambda module, op, x, values: F.relu(x),
    "LOGISTIC": lambda module, op, x, values: torch.sigmoid(x),
}
