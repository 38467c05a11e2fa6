"""What a separator is compared with: its stems and the true ones, in the same order.

A separator of sources gives one stem a source, or only the stems of the first, shown ones; one of
classes gives one a class, and two sources of one class are one stem.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from avpipe.errors import UsageError
from avpipe.separation.interface import Context, Separator, sum_by_class


class Stems(NamedTuple):
    """Estimates and truth of a batch; S is the number of sources or of classes."""

    references: Tensor
    """(B, S, N)."""
    estimates: Tensor
    """(B, S, N)."""
    classes: Tensor
    """(B, S) int64 class of every stem, -1 for an empty place."""
    present: Tensor
    """(B, S) bool: a source of the mixture is meant; False for absent classes."""


def stems(separator: Separator, mixture: Tensor, sources: Tensor, context: Context) -> Stems:
    """Separates a batch.

    Args:
        separator: in eval mode.
        mixture: (B, N).
        sources: (B, S, N), 0 in empty places.
        context: with categories.
    """
    categories = context.get("categories")
    estimates = separator.separate(mixture, context)
    if separator.output == "sources":
        categories = categories[:, : estimates.shape[1]]
        return Stems(sources[:, : estimates.shape[1]], estimates, categories, categories >= 0)
    count = len(separator.classes)
    known = torch.arange(count, device=mixture.device)
    present = (known[:, None] == categories[:, None, :]).any(-1)
    references = sum_by_class(sources, categories, count)
    return Stems(references, estimates, known.expand(len(mixture), -1), present)


def completed(stems_SN: Tensor, mixture_N: Tensor, names: Sequence[str]) -> Tensor:
    """A stem a name: where a separator gives one less, the last source is what it was not shown,
    and what the others leave of the mixture.

    Raises:
        UsageError: it gives fewer.
    """
    missing = len(names) - len(stems_SN)
    if missing == 1:
        return torch.cat([stems_SN, (mixture_N - stems_SN.sum(0)).unsqueeze(0)])
    if missing:
        raise UsageError(f"the separator gives {len(stems_SN)} of {', '.join(names)}")
    return stems_SN
