"""The published networks' key names and golden outputs, and weights filled from the key names.

`golden/*_keys.json` hold state-dict key -> shape, `golden/{sop_lz_cosep,cun,ynet}.json` parameter
counts and outputs, both measured on the original networks with weights filled as in `filled`.
"""

import json
import zlib
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

GOLDEN = Path(__file__).parents[2] / "golden"

Shapes = dict[str, list[int]]


def _read(*names: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in names:
        merged |= json.loads((GOLDEN / name).read_text())
    return merged


@pytest.fixture(scope="session")
def public_keys() -> dict[str, Shapes]:
    """Public name (with dashes) -> key -> shape."""
    found = _read("sop_lz_keys.json", "cun_keys.json", "ynet_keys.json")
    return {name.replace("_", "-"): shapes for name, shapes in found.items()}


@pytest.fixture(scope="session")
def facts() -> dict[str, Any]:
    """Measured facts of every original network, by their own names."""
    return _read("sop_lz_cosep.json", "cun.json", "ynet.json")


@pytest.fixture(scope="session")
def filled() -> Callable[[Shapes], dict[str, Tensor]]:
    """Weights that depend on nothing but the key names: float64, without counters and graphs."""

    def fill(key: str, shape: list[int]) -> Tensor:
        seed = zlib.crc32(key.encode())
        value = np.random.RandomState(seed).standard_normal(prod(shape))
        if key.endswith("running_var"):
            value = 1 + 0.5 * np.abs(value)
        elif key.endswith("running_mean"):
            value = 0.1 * value
        elif len(shape) <= 1:
            value = 0.1 * value + (1.0 if key.endswith("weight") else 0.0)
        else:
            value = value * np.sqrt(2 / prod(shape[1:]))
        return torch.from_numpy(value.reshape(shape))

    def weights(shapes: Shapes) -> dict[str, Tensor]:
        skipped = ("num_batches_tracked", "A")
        return {k: fill(k, s) for k, s in shapes.items() if k.split(".")[-1] not in skipped}

    return weights


@pytest.fixture(scope="session")
def draw() -> Callable[..., Tensor]:
    """Standard normal float64 input of a seed and a shape."""

    def normal(seed: int, *shape: int) -> Tensor:
        return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape))

    return normal


@pytest.fixture(scope="session")
def deviation() -> Callable[[Tensor, Mapping[str, Any]], float]:
    """Largest relative deviation of an output from its golden summary."""

    def largest(output: Tensor, golden: Mapping[str, Any]) -> float:
        assert list(output.shape) == golden["shape"]
        flat = output.double().flatten()
        measured = [flat.mean(), flat.std(unbiased=False), flat.norm(), flat.min(), flat.max()]
        expected = [golden[k] for k in ("mean", "std", "l2", "min", "max")]
        measured += [flat[i] for i in golden["idx"]]
        expected += golden["vals"]
        pairs = zip(measured, expected, strict=True)
        return max(abs(float(m) - e) / max(abs(e), golden["std"]) for m, e in pairs)

    return largest
