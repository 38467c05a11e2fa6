"""Ideal masks made from the true sources: the upper bound of every mask separator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from avpipe.separation import masks
from avpipe.separation.interface import Context, Separator
from avpipe.separation.spectrogram import FrontEnd


@dataclass(frozen=True)
class Config:
    """Parameters of the ideal masks."""

    mask: masks.Mask = "dominant"
    """Every bin to its loudest source is the best of the binary masks; `binary`, more than half of
    the mixture's magnitude, is what Sound of Pixels learns."""
    frequency: Literal["log", "linear"] = "linear"
    """Scale on which the mask is made; the way back from `log` costs some of it."""


class Oracle(Separator):
    """One stem per true source; `needs` the references."""

    output = "sources"
    needs = frozenset({"references"})

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.front_end = FrontEnd(frequency=config.frequency)

    @torch.no_grad()
    def separate(self, mixture_BN: Tensor, context: Context) -> Tensor:
        """Stems (B, S, N) of the references (B, S, N)."""
        spectrum = self.front_end.stft(mixture_BN)
        sources = self.front_end.magnitude(self.front_end.stft(context.get("references")))
        mask = masks.ideal(self.config.mask, sources, self.front_end.magnitude(spectrum))
        mask = masks.decide(self.front_end.from_scale(mask), self.config.mask, 0.5)
        return self.front_end.istft(mask * spectrum.unsqueeze(1), mixture_BN.shape[-1])


def create(config: Config) -> Oracle:
    """The separator."""
    return Oracle(config)


PUBLIC: dict[str, Callable[[], nn.Module]] = {}
