"""Networks on CUDA that give the numbers of the CPU, and the same ones every time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def strict() -> Iterator[None]:
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
