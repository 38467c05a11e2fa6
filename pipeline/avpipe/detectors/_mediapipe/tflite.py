"""Reads a `.tflite` file into a graph of operations with plain float32 weights.

Stored as half precision, and for some convolutions as sparse rows, weights are expanded here
(both exactly), so that what executes a graph sees arithmetic only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


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
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    (graph,) = model.subgraphs
    constants = {
        index: _array(tensor, model.buffers[tensor.buffer].data)
        for index, tensor in enumerate(graph.tensors)
        if model.buffers[tensor.buffer].data is not None
    }
    ops = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = _kinds()[max(code.builtinCode, code.deprecatedBuiltinCode)]
        inputs, outputs = tuple(map(int, operator.inputs)), tuple(map(int, operator.outputs))
        if kind in ("DEQUANTIZE", "DENSIFY"):
            # Sparse tensors were expanded with the buffers: both only pass a constant on.
            constants[outputs[0]] = constants.pop(inputs[0])
        else:
            options = vars(operator.builtinOptions) if operator.builtinOptions else {}
            ops.append(Op(kind, inputs, outputs, options))
    return Graph(
        ops=tuple(ops),
        constants={i: a.astype(np.float32) if a.dtype == np.float16 else a
                   for i, a in constants.items()},
        input=int(graph.inputs[0]),
        outputs=tuple(map(int, graph.outputs)),
        shapes={i: tuple(map(int, t.shape)) for i, t in enumerate(graph.tensors)},
    )  # fmt: skip


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


def _array(tensor: Any, data: Any) -> Array:
    dtype = {0: np.float32, 1: np.float16, 2: np.int32}[tensor.type]
    values = np.frombuffer(data, dtype)
    shape = tuple(map(int, tensor.shape))
    if tensor.sparsity is None:
        return values.reshape(shape)
    return _dense(tensor.sparsity, values, shape)


def _dense(sparsity: Any, values: Array, shape: tuple[int, ...]) -> Array:
    """Expands rows that are compressed along the last dimension, the only layout in use."""
    *outer, last = sparsity.dimMetadata
    if list(sparsity.traversalOrder) != list(range(len(shape))) or any(d.format for d in outer):
        raise ValueError("only rows compressed along the last dimension are known")
    starts = np.asarray(last.arraySegments.values)
    columns = np.asarray(last.arrayIndices.values)
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts.astype(np.int64)))
    dense = np.zeros((len(starts) - 1, shape[-1]), values.dtype)
    dense[rows, columns] = values[: len(columns)]
    return dense.reshape(shape)


@cache
def _kinds() -> dict[int, str]:
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    return {v: k for k, v in vars(BuiltinOperator).items() if isinstance(v, int)}
