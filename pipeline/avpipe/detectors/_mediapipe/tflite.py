"""Reads a `.tflite` file into a graph of operations with plain float32 weights.

Stored as half precision, and for some convolutions as sparse rows, weights are expanded here
(both exactly), so that what executes a graph sees arithmetic only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.detectors._mediapipe.flatbuffer import Table

Array = npt.NDArray[Any]

# Field numbers and enumerations of TensorFlow Lite's schema (version 3).
_MODEL_CODES, _MODEL_GRAPHS, _MODEL_BUFFERS = 1, 2, 4
_GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OUTPUTS, _GRAPH_OPERATORS = 0, 1, 2, 3
_TENSOR_SHAPE, _TENSOR_BUFFER, _TENSOR_SPARSITY = 0, 2, 6
_KINDS = {
    0: "ADD", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 5: "DEPTH_TO_SPACE",
    6: "DEQUANTIZE", 9: "FULLY_CONNECTED", 14: "LOGISTIC", 17: "MAX_POOL_2D", 19: "RELU",
    22: "RESHAPE", 23: "RESIZE_BILINEAR", 34: "PAD", 40: "MEAN", 45: "STRIDED_SLICE", 54: "PRELU",
    124: "DENSIFY",
}  # fmt: skip
_STRIDES = {"padding": (0, "b"), "strideW": (1, "i"), "strideH": (2, "i")}
_OPTIONS = {
    "ADD": {"fusedActivationFunction": (0, "b")},
    "CONCATENATION": {"axis": (0, "i")},
    "CONV_2D": {**_STRIDES, "fusedActivationFunction": (3, "b")},
    "DEPTHWISE_CONV_2D": {**_STRIDES, "fusedActivationFunction": (4, "b")},
    "DEPTH_TO_SPACE": {"blockSize": (0, "i")},
    "FULLY_CONNECTED": {"fusedActivationFunction": (0, "b")},
    "MAX_POOL_2D": {**_STRIDES, "filterWidth": (3, "i"), "filterHeight": (4, "i")},
}
"""Field and form of the options that are used."""


@dataclass(frozen=True, slots=True)
class Op:
    """One operation; tensors are named by their number in the file."""

    kind: str
    """TensorFlow Lite's name, e.g. "CONV_2D"."""
    inputs: tuple[int, ...]
    """-1 stands for an optional tensor that is not there."""
    outputs: tuple[int, ...]
    options: Mapping[str, Any]
    """Options as the schema names them, e.g. `strideW`; enumerations are numbers."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A model: operations in the order of execution."""

    ops: tuple[Op, ...]
    constants: Mapping[int, Array]
    """Weights (float32) and integer parameters by tensor."""
    input: int
    outputs: tuple[int, ...]
    shapes: Mapping[int, tuple[int, ...]]
    """Shape of every tensor, NHWC, with batch 1."""


def read(path: Path) -> Graph:
    """The graph of a model file."""
    model = Table.root(path.read_bytes())
    (graph,) = model.tables(_MODEL_GRAPHS)
    buffers, tensors = model.tables(_MODEL_BUFFERS), graph.tables(_GRAPH_TENSORS)
    constants = {}
    for index, tensor in enumerate(tensors):
        data = buffers[tensor.number(_TENSOR_BUFFER, "I")].array(0, np.uint8)
        if len(data):
            constants[index] = _array(tensor, data)
    # A number beyond 127 does not fit the older of the two fields.
    codes = [max(code.number(0, "b"), code.number(3, "i")) for code in model.tables(_MODEL_CODES)]
    ops = []
    for operator in graph.tables(_GRAPH_OPERATORS):
        kind = _KINDS[codes[operator.number(0, "I")]]
        inputs, outputs = (tuple(operator.array(field, np.int32).tolist()) for field in (1, 2))
        if kind in ("DEQUANTIZE", "DENSIFY"):
            # Sparse tensors were expanded with the buffers: both only pass a constant on.
            constants[outputs[0]] = constants.pop(inputs[0])
        else:
            ops.append(Op(kind, inputs, outputs, _options(kind, operator.table(4))))
    return Graph(
        ops=tuple(ops),
        constants={i: a.astype(np.float32) if a.dtype == np.float16 else a
                   for i, a in constants.items()},
        input=int(graph.array(_GRAPH_INPUTS, np.int32)[0]),
        outputs=tuple(graph.array(_GRAPH_OUTPUTS, np.int32).tolist()),
        shapes={i: _shape(tensor) for i, tensor in enumerate(tensors)},
    )  # fmt: skip


def _options(kind: str, table: Table | None) -> dict[str, int]:
    wanted = _OPTIONS.get(kind, {})
    if table is None:
        return dict.fromkeys(wanted, 0)
    return {name: table.number(field, form) for name, (field, form) in wanted.items()}


def prune(path: Path, outputs: tuple[int, ...]) -> bytes:
    """The model file with only these of its outputs (positions) and what they need.

    What is left computes the same numbers; the rest costs nothing any more.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    (graph,) = model.subgraphs
    graph.outputs = [int(graph.outputs[position]) for position in outputs]
    needed, kept = set(graph.outputs), []
    for operator in reversed(graph.operators):
        if needed.intersection(map(int, operator.outputs)):
            needed.update(map(int, operator.inputs))
            kept.append(operator)
    graph.operators = kept[::-1]
    model.signatureDefs = None
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _shape(tensor: Table) -> tuple[int, ...]:
    return tuple(tensor.array(_TENSOR_SHAPE, np.int32).tolist())


def _array(tensor: Table, data: Array) -> Array:
    values = data.view({0: np.float32, 1: np.float16, 2: np.int32}[tensor.number(1, "b")])
    sparsity = tensor.table(_TENSOR_SPARSITY)
    if sparsity is None:
        return values.reshape(_shape(tensor))
    order, dimensions = sparsity.array(0, np.int32), sparsity.tables(2)
    *outer, last = dimensions
    if order.tolist() != list(range(len(order))) or any(d.number(0, "b") for d in outer):
        raise ValueError("only rows compressed along the last dimension are known")
    starts, columns = (_indices(last, field) for field in (2, 4))
    return expanded(starts, columns, values, _shape(tensor))


def _indices(dimension: Table, field: int) -> Array:
    """A union of vectors: its kind in one field, the vector in the next."""
    dtype = {1: np.int32, 2: np.uint16, 3: np.uint8}[dimension.number(field, "B")]
    vector = dimension.table(field + 1)
    return np.empty(0, dtype) if vector is None else vector.array(0, dtype)


def expanded(starts: Array, columns: Array, values: Array, shape: tuple[int, ...]) -> Array:
    """A dense array from rows that are compressed along the last dimension.

    Args:
        starts: (rows + 1,) where each row's values begin.
        columns: (n,) the column of each value.
        values: (n,), possibly with padding after them.
        shape: of the array.
    """
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts.astype(np.int64)))
    dense = np.zeros((len(starts) - 1, shape[-1]), values.dtype)
    dense[rows, columns] = values[: len(columns)]
    return dense.reshape(shape)
