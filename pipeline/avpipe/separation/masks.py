"""Ideal masks: what a separator learns, and the upper bound of what a mask can do.

Magnitudes are (B, S, F, T) for sources and (B, F, T) for their mixture, on one frequency scale.
Masks are (B, S, F, T) in [0, 1]. Where nothing sounds, every mask is 0.
"""

from typing import Literal

import torch
from torch import Tensor

Mask = Literal["binary", "dominant", "ratio"]
EnergyLaw = Literal["log", "linear"]


def ideal(mask: Mask, sources_BSFT: Tensor, mixture_BFT: Tensor) -> Tensor:
    """The ideal mask of the kind `mask`."""
    if mask == "binary":
        return ideal_binary(sources_BSFT, mixture_BFT)
    if mask == "dominant":
        return ideal_dominant(sources_BSFT)
    return ideal_ratio(sources_BSFT)


def ideal_binary(sources_BSFT: Tensor, mixture_BFT: Tensor) -> Tensor:
    """1 where a source has more than half of the mixture's magnitude (Zhao et al. 2018)."""
    half = 0.5 * mixture_BFT.unsqueeze(1)
    return torch.gt(sources_BSFT, half, out=torch.empty_like(sources_BSFT))


def ideal_dominant(sources_BSFT: Tensor) -> Tensor:
    """1 for the loudest source of every bin (Solos Eq. 2), the first one of equals."""
    loudest = sources_BSFT.argmax(1, keepdim=True)
    mask = torch.zeros_like(sources_BSFT).scatter_(1, loudest, 1.0)
    return mask * (sources_BSFT > 0)


def ideal_ratio(sources_BSFT: Tensor) -> Tensor:
    """Each source's share of the summed magnitudes."""
    total = sources_BSFT.sum(1, keepdim=True)
    return sources_BSFT / total.clamp_min(torch.finfo(total.dtype).tiny)


def energy_weight(mixture_BFT: Tensor, law: EnergyLaw = "log") -> Tensor:
    """Loss weight of every bin: log(1 + magnitude) in [1e-3, 10] (Zhao et al. 2018), or the
    magnitude relative to the mixture's mean: errors count more where SDR is decided."""
    if law == "linear":
        mean = mixture_BFT.mean((-2, -1), keepdim=True)
        return mixture_BFT / mean.clamp_min(torch.finfo(mean.dtype).tiny)
    return torch.log1p(mixture_BFT).clamp(1e-3, 10)


def decide(mask: Tensor, kind: Mask, threshold: float) -> Tensor:
    """0 or 1 by `threshold` for the binary kinds; a ratio mask as it is."""
    return mask if kind == "ratio" else (mask > threshold).to(mask.dtype)
