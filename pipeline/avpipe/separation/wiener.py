"""A Wiener filter from stems: the mixture shared out, nothing lost and nothing doubled.

Each stem's share of the summed power, bin by bin, becomes its mask on the mixture (Wiener 1949; as
open-unmix and others do with their networks' answers). The masks add up to 1, so the stems add up
to the mixture.
"""

import torch
from torch import Tensor

from avpipe.separation.spectrogram import FrontEnd


@torch.no_grad()
def wiener(front_end: FrontEnd, mixture_N: Tensor, stems_SN: Tensor) -> Tensor:
    """Stems (S, N) whose sum is the mixture; where all stems are silent, they share it equally."""
    samples = mixture_N.shape[-1]
    short = max(0, front_end.window - samples)
    mixture = torch.nn.functional.pad(mixture_N, (0, short))
    stems = torch.nn.functional.pad(stems_SN, (0, short))
    spectrum = front_end.stft(mixture)
    found = front_end.stft(stems)
    power = found.real.square() + found.imag.square()
    total = power.sum(0, keepdim=True)
    equal = torch.full_like(power, 1 / len(stems))
    mask = torch.where(total > 0, power / total.clamp_min(torch.finfo(power.dtype).tiny), equal)
    return front_end.istft(mask * spectrum, mixture.shape[-1])[:, :samples]
