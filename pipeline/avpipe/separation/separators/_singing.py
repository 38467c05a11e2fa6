"""What Y-Net and its baselines share: complex masks of a singing voice at 16 384 Hz.

The spectrogram keeps every second frequency bin, 256 x 256 for 4 s, as real and imaginary part;
so is the mask. One stem per voice that is shown; what is not shown (accompaniment) has none.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from avpipe.separation import masks
from avpipe.separation.interface import Context, Example, Need, Trainable
from avpipe.separation.spectrogram import FrontEnd

FRONT_END = FrontEnd(sample_rate=16384, frequency="linear")
BOUND = 10.0
"""Masks are compared as 10 tanh of their parts."""
FLOOR = 1e-8


class ComplexMaskSeparator(Trainable):
    """A separator around a network (B, 2, F, T), visual (B, ...) -> mask (B, 2, F, T).

    Without a visual need it hears one voice, the first source of the mixture.
    """

    output: Literal["sources"] = "sources"
    front_end = FRONT_END
    network: nn.Module

    def __init__(self, network: nn.Module, need: Need | None) -> None:
        super().__init__()
        self.network = network
        self.need = need
        self.needs = frozenset({need} if need else ())

    def visual(self, shown: Tensor) -> Tensor:
        """The needed field of the context as the network reads it, (B, S, ...) -> (B * S, ...)."""
        return shown.flatten(0, 1)

    def example(self, mixture_BN: Tensor, sources_BSN: Tensor, context: Context) -> Example:
        """The target is 10 tanh of the complex ratio of the first, shown, sources."""
        voices = sources_BSN[:, : self._voices(context)]
        mixture = self._bins(mixture_BN)
        ratio = self._bins(voices) / (mixture + FLOOR).unsqueeze(1)
        target = self.activate(torch.view_as_real(ratio).movedim(-1, 2))
        return Example(mixture, target, masks.energy_weight(mixture.abs())[:, None, None])

    def forward(self, mixture: Tensor, context: Context) -> Tensor:
        """Complex (B, F, T) -> mask (B, S, 2, F, T)."""
        voices = self._voices(context)
        parts = torch.view_as_real(mixture).movedim(-1, 1)
        each = parts.unsqueeze(1).expand(-1, voices, -1, -1, -1).flatten(0, 1)
        shown = None if self.need is None else self.visual(context.get(self.need))
        mask: Tensor = self.network(each, shown)
        return mask.reshape(-1, voices, *mask.shape[1:])

    def activate(self, logits: Tensor) -> Tensor:
        """Masks bounded for the loss; separation uses them unbounded."""
        return BOUND * torch.tanh(logits)

    @torch.no_grad()
    def separate(self, mixture_BN: Tensor, context: Context) -> Tensor:
        """See `Separator.separate`."""
        spectrum = self.front_end.stft(mixture_BN)
        parts = self(spectrum[..., ::2, :], context).movedim(2, -1).contiguous()
        mask = torch.view_as_complex(parts).repeat_interleave(2, -2)
        return self.front_end.istft(mask * spectrum.unsqueeze(1), mixture_BN.shape[-1])

    def _bins(self, waveform: Tensor) -> Tensor:
        return self.front_end.stft(waveform)[..., ::2, :]

    def _voices(self, context: Context) -> int:
        return 1 if self.need is None else context.get(self.need).shape[1]
