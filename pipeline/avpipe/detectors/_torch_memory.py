"""When a device's memory runs out: how that shows, and how to get by with less of the host's."""

from collections.abc import Sequence

import torch
from torch import Tensor

_SIGNS = ("out of memory", "alloc_failed", "unable to find an engine")
"""What errors of CUDA, Triton, cuBLAS and cuDNN say in small letters that are of no class of their
own; the last one where no algorithm of cuDNN finds room for its workspace."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether it is the cause, also where ending the capture of a graph has failed for it."""
    if error is None:
        return False
    named = isinstance(error, RuntimeError) and any(s in str(error).lower() for s in _SIGNS)
    return named or isinstance(error, torch.OutOfMemoryError) or is_out_of_memory(error.__context__)


def host_memory(shape: Sequence[int], *, pinned: bool) -> Tensor:
    """uint8 of the host, pinned for a GPU if there is enough of that: else copies are slower."""
    try:
        return torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
    except RuntimeError as error:
        if not pinned or not is_out_of_memory(error):
            raise
        return torch.empty(shape, dtype=torch.uint8)
