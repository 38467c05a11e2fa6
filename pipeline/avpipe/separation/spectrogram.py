"""The spectrogram front end of all mask separators, as batched tensor code on any device.

STFT with a periodic Hann window, centred frames and reflect padding; a log-frequency scale that
resamples 512 linear bins to 256 (Zhao et al. 2018) and back; the value scales that networks read.
Any leading dimensions are batch; a spectrogram is (..., F, T), a waveform (..., N).
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from avpipe.errors import UsageError

Values = Literal["log", "db"]

LOG_BASE = 21.0
"""The log-frequency scale reads position 21^y of [1, 21] in its place y of [0, 1]."""
LOG_FLOOR = 1e-10
DB_FLOOR = 1e-4
DB_GAIN = 2.0**16


@dataclass(frozen=True)
class FrontEnd:
    """How a separator reads a waveform."""

    sample_rate: int = 11025
    """Hz."""
    samples: int = 65535
    """Samples of a training clip: 256 frames of 256 samples, less one."""
    window: int = 1022
    """Samples; 512 frequency bins."""
    hop: int = 256
    """Samples."""
    frequency: Literal["log", "linear"] = "log"
    """Scale of the frequency axis that the network reads."""
    log_bins: int = 256
    """Bins of the log-frequency scale; the linear scale keeps all `window // 2 + 1`."""
    clamp: bool = False
    """Magnitudes are limited to the largest that a signal in [-1, 1] can have (Solos IV-C)."""

    @property
    def linear_bins(self) -> int:
        return self.window // 2 + 1

    @property
    def bins(self) -> int:
        """F of what the network reads."""
        return self.log_bins if self.frequency == "log" else self.linear_bins

    def frames(self, samples: int) -> int:
        """T of the spectrogram of a waveform of so many samples."""
        if samples <= self.window // 2:
            raise UsageError(
                f"a waveform of {samples} samples is shorter than half a window"
                f" ({self.window // 2}): pad it"
            )
        return 1 + samples // self.hop

    def stft(self, waveform: Tensor) -> Tensor:
        """Complex (..., F, T) of a waveform (..., N): F = 512 linear bins, T = 1 + N // hop."""
        self.frames(waveform.shape[-1])
        flat = waveform.reshape(-1, waveform.shape[-1])
        spectrum = torch.stft(
            flat,
            self.window,
            self.hop,
            window=hann(self.window, flat),
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        return spectrum.reshape(*waveform.shape[:-1], *spectrum.shape[-2:])

    def istft(self, spectrum: Tensor, samples: int) -> Tensor:
        """The waveform (..., samples) of a complex (..., F, T)."""
        flat = spectrum.reshape(-1, *spectrum.shape[-2:])
        waveform = torch.istft(
            flat,
            self.window,
            self.hop,
            window=hann(self.window, flat.real),
            center=True,
            length=samples,
        )
        return waveform.reshape(*spectrum.shape[:-2], samples)

    def magnitude(self, spectrum: Tensor) -> Tensor:
        """|spectrum| (..., F, T), clamped if the setting says so, on the network's scale."""
        *lead, bins, frames = spectrum.shape
        # In memory a spectrum of `stft` is frame by frame; bin by bin, as the scale is fastest on,
        # it is laid out once, as one large matrix, and only after it has become real. The sum of
        # squares is several times faster than abs().
        rows = spectrum.transpose(-2, -1).reshape(-1, bins)
        power = rows.real.square() + rows.imag.square()
        magnitude = power.sqrt().t().contiguous()
        if self.clamp:
            magnitude = clamp_magnitude(magnitude, self.window)
        return self.to_scale(magnitude).reshape(-1, *lead, frames).movedim(0, -2)

    def to_scale(self, magnitude: Tensor) -> Tensor:
        """Linear bins (..., 512, T) on the network's frequency scale."""
        return warp(magnitude, self.log_bins) if self.frequency == "log" else magnitude

    def from_scale(self, mask: Tensor) -> Tensor:
        """Values on the network's frequency scale, on the linear bins (..., 512, T)."""
        return unwarp(mask, self.linear_bins) if self.frequency == "log" else mask


def hann(samples: int, like: Tensor) -> Tensor:
    """The periodic Hann window, of the type and on the device of `like`."""
    return torch.hann_window(samples, periodic=True, dtype=like.dtype, device=like.device)


def clamp_magnitude(magnitude: Tensor, window: int) -> Tensor:
    """Limited to the sum of the window, 511 for Hann 1022: the bound for signals in [-1, 1]."""
    return magnitude.clamp(max=window / 2)


def warp_grid(bins: int, like: Tensor) -> Tensor:
    """(bins,) positions in [-1, 1] on the linear axis of each log-frequency bin."""
    y = torch.linspace(-1, 1, bins, dtype=torch.float64, device=like.device)
    return (LOG_BASE ** ((y + 1) / 2) - 11) / 10


def unwarp_grid(bins: int, like: Tensor) -> Tensor:
    """(bins,) positions in [-1, 1] on the log-frequency axis of each linear bin."""
    y = torch.linspace(-1, 1, bins, dtype=torch.float64, device=like.device)
    return 2 * torch.log(10 * y + 11) / math.log(LOG_BASE) - 1


def warp(spectrogram: Tensor, bins: int = 256) -> Tensor:
    """(..., F, T) with linear bins, resampled to `bins` log-frequency bins."""
    return _resample(spectrogram, warp_grid(bins, spectrogram))


def unwarp(spectrogram: Tensor, bins: int = 512) -> Tensor:
    """(..., F, T) with log-frequency bins, resampled to `bins` linear bins."""
    return _resample(spectrogram, unwarp_grid(bins, spectrogram))


def _resample(values: Tensor, grid: Tensor) -> Tensor:
    """Linear interpolation along F; -1 and 1 are the centres of the first and the last bin.

    These are `grid_sample`'s align_corners=True positions; the public weights were trained with
    them. Only F is resampled, so two rows are gathered and blended instead of a 2-D grid.
    """
    index, fraction = neighbours(grid, values.shape[-2])
    below = values.index_select(-2, index)
    above = values.index_select(-2, (index + 1).clamp(max=values.shape[-2] - 1))
    return torch.lerp(below, above, fraction.to(values.dtype).unsqueeze(-1).expand_as(below))


def neighbours(grid: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Of `bins` bins, the one below each position in [-1, 1] and how far it is to the next."""
    last = bins - 1
    position = ((grid + 1) * (last / 2)).clamp(0, last)
    low = position.floor().clamp(max=max(last - 1, 0))
    return low.long(), position - low


def scale_values(magnitude: Tensor, values: Values) -> Tensor:
    """Magnitudes (..., F, T) as a network reads them.

    `log`: natural logarithm. `db`: compressed logarithm, then every spectrogram stretched to
    [-1, 1] (a constant one becomes -1).
    """
    if values == "log":
        return torch.log(magnitude + LOG_FLOOR)
    level = decibels(magnitude)
    low = level.amin((-2, -1), keepdim=True)
    span = level.amax((-2, -1), keepdim=True) - low
    return 2 * (level - low) / span.clamp_min(torch.finfo(level.dtype).tiny) - 1


def decibels(magnitude: Tensor) -> Tensor:
    """log(1 + 2^16 m) / log(1 + 2^16) of m = magnitude + 1e-4: 1 at full scale."""
    return torch.log1p((magnitude + DB_FLOOR) * DB_GAIN) / math.log1p(DB_GAIN)
