"""Magnitudes of mixtures and their sources on a CPU, at the speed of its matrix products.

A window of 1,022 samples is 73 x 14, and FFT libraries take over four times as long for it as for
1,024. Cooley and Tukey's split at these factors, sample n = 14 a + b and bin k = c + 73 d,

    X[k] = sum_b exp(-2 pi i b k / 1022) sum_a exp(-2 pi i a c / 73) x[14 a + b]

makes two real matrix products of it: one with the cosines and sines of the inner sum, and one for
every c of the outer. Bins of c > 36 are conjugates of others. The frames lie along the last axis,
where the products are fastest and where a network wants them; one signal is worked on at a time, in
memory that stays in the cache.

Letters: W window, Q its largest prime factor and P the rest, H = (Q + 1) / 2 values of c.
"""

import math
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from avpipe.separation.spectrogram import FrontEnd, clamp_magnitude, hann, neighbours, warp_grid

SLOW_FACTOR = 13
"""FFT libraries have code of their own for prime factors up to here."""


def suits(front_end: FrontEnd) -> bool:
    """Whether the window has a factor that is slow in FFT libraries, and an even one."""
    return front_end.window % 2 == 0 and _largest_prime(front_end.window) > SLOW_FACTOR


def magnitudes(
    front_end: FrontEnd, sources_BSN: Tensor, mixture_BN: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """What `front_end.magnitude(front_end.stft(...))` gives, for signals in main memory.

    Args:
        front_end: its window must be one that `suits`.
        sources_BSN: silent ones cost nothing.
        mixture_BN: None: exactly the sum of the sources, and so is its spectrum.

    Returns:
        Of the mixtures (B, F, T) and of their sources (B, S, F, T).
    """
    batch, places, samples = sources_BSN.shape
    shape = front_end.bins, front_end.frames(samples)
    mixtures = sources_BSN.new_zeros(batch, *shape)
    sources = sources_BSN.new_zeros(batch, places, *shape)
    with torch.no_grad():
        transform = _Transform(front_end, samples, sources_BSN.dtype)
        for b in range(batch):
            total = None
            for s in range(places):
                if _sounds(sources_BSN[b, s]):
                    into = transform.found if total is not None else transform.total
                    spectrum = transform.spectrum(sources_BSN[b, s], into)
                    transform.magnitude(spectrum, sources[b, s])
                    total = spectrum if total is None else total.add_(spectrum)
            if mixture_BN is not None:
                total = transform.spectrum(mixture_BN[b], transform.total)
            if total is not None:
                transform.magnitude(total, mixtures[b])
    return mixtures, sources


def _sounds(signal: Tensor) -> bool:
    low, high = signal.aminmax()
    return not low == high == 0


class _Outer(NamedTuple):
    """The outer sums for some values of c, as many bins of each."""

    rows: slice
    """Where those values of c stand among all."""
    matrices: Tensor
    """(N, 2 R, 2 P): for every c, from (real or imaginary, b) to (real or imaginary, bin)."""


class _Tables(NamedTuple):
    """Constants of a front end."""

    taper: Tensor
    """(W, 1)."""
    cosines: Tensor
    """(H, H) of c and a."""
    sines: Tensor
    """(H - 1, H - 1), without c = 0, the first, and a = 0."""
    outer: list[_Outer]
    low: Tensor
    """(F,) rows of the magnitudes between which every bin of the network's scale lies."""
    high: Tensor
    fraction: Tensor
    """(F, 1), how far from the first to the second."""


@cache
def _tables(front_end: FrontEnd, dtype: torch.dtype) -> _Tables:
    window, q = front_end.window, _largest_prime(front_end.window)
    exact = torch.zeros((), dtype=torch.float64)
    low, fraction = torch.arange(front_end.bins), exact.expand(front_end.bins)
    if front_end.frequency == "log":
        low, fraction = neighbours(warp_grid(front_end.log_bins, exact), front_end.linear_bins)
    high = (low + 1).clamp(max=front_end.linear_bins - 1)
    read = torch.zeros(front_end.linear_bins, dtype=torch.int)
    read[low] = read[high] = 1
    order, outer, row_of = _outer_sums(window, q, read)
    inner = (order[:, None] * torch.arange(len(order)) % q).to(exact) * (2 * math.pi / q)
    return _Tables(
        hann(window, exact).to(dtype).unsqueeze(1),
        torch.cos(inner).to(dtype),
        -torch.sin(inner)[1:, 1:].to(dtype),
        [_Outer(rows, matrices.to(dtype)) for rows, matrices in outer],
        row_of[low],
        row_of[high],
        fraction.to(dtype).unsqueeze(1),
    )


def _outer_sums(window: int, q: int, read: Tensor) -> tuple[Tensor, list[_Outer], Tensor]:
    """The order of the values of c, their outer sums, and of each bin that is read, its row.

    A log-frequency scale reads two thirds of the bins, and more for some c than for most: those
    make a group of their own.
    """
    bins = torch.arange((q + 1) // 2)[:, None] + q * torch.arange(window // q)
    bins = torch.minimum(bins, window - bins)
    many = _many(read[bins].sum(1))
    groups = [torch.nonzero(many == some)[:, 0] for some in (many[0], ~many[0])]
    row_of = torch.empty(len(read), dtype=torch.long)
    outer, rows, done = [], 0, 0
    for c in filter(len, groups):
        most = int(read[bins[c]].sum(1).max())
        d = read[bins[c]].argsort(dim=1, descending=True, stable=True)[:, :most]
        row_of[bins[c].gather(1, d)] = rows + torch.arange(d.numel()).view(d.shape)
        turns = (c[:, None] + q * d)[:, :, None] * torch.arange(window // q) % window
        angles = turns.double() * (-2 * math.pi / window)
        real, imaginary = torch.cos(angles), torch.sin(angles)
        both = [torch.cat([real, -imaginary], 2), torch.cat([imaginary, real], 2)]
        outer.append(_Outer(slice(done, done + len(c)), torch.cat(both, 1)))
        rows, done = rows + d.numel(), done + len(c)
    return torch.cat(groups), outer, row_of


def _many(counts: Tensor) -> Tensor:
    """Which counts are above the threshold that leaves least to do, where each side's largest is
    done of all on that side."""
    ordered = counts.sort().values
    below = torch.arange(1, len(counts) + 1)
    work = below * ordered + (len(counts) - below) * ordered[-1]
    return counts > ordered[work.argmin()]


class _Transform:
    """Spectra of one signal after another, in memory that is used again and again.

    A spectrum is (2 K T,): for every element of `outer`, (N, 2, R, T) of real and imaginary parts;
    K bins in all. One is kept in `total`; `found` is overwritten by the next. Each step reads one
    of two blocks and writes the other.
    """

    def __init__(self, front_end: FrontEnd, samples: int, dtype: torch.dtype) -> None:
        self.front_end, self.tables = front_end, _tables(front_end, dtype)
        window, hop, frames = front_end.window, front_end.hop, front_end.frames(samples)
        half = self.tables.cosines.shape[0]
        q = 2 * half - 1
        p = window // q
        across = -(-window // hop)
        self.padded = torch.zeros((frames + across) * hop, dtype=dtype)
        self.hops = torch.empty(hop, frames + across, dtype=dtype)
        blocks = torch.empty(2, half * 2 * p * frames, dtype=dtype)
        one, other = blocks[0], blocks[1]
        self.sizes = [m.shape[0] * m.shape[1] * frames for _, m in self.tables.outer]
        values = sum(self.sizes)
        self.total = torch.empty(values, dtype=dtype)

        self.windowed = one[: window * frames].view(window, frames)
        self.samples = self.windowed.view(q, p * frames)
        self.even = other[: half * p * frames].view(half, -1)
        self.odd = other[half * p * frames :][: (half - 1) * p * frames].view(half - 1, -1)
        self.inner = one.view(half, 2, p * frames)
        self.found = other[:values]
        self.magnitudes = one[: values // 2].view(-1, frames)

    def spectrum(self, signal_N: Tensor, into: Tensor) -> Tensor:
        """The spectrum of a signal, in `found` or in `total`."""
        tables, half = self.tables, len(self.even)
        self._window(signal_N)
        # A real sequence's transform: cosines of its even part, sines of its odd part.
        mirrored = self.samples[half:].flip(0)
        self.even[0] = self.samples[0]
        torch.add(self.samples[1:half], mirrored, out=self.even[1:])
        torch.sub(self.samples[1:half], mirrored, out=self.odd)
        torch.mm(tables.cosines, self.even, out=self.inner[:, 0])
        torch.mm(tables.sines, self.odd, out=self.inner[1:, 1])
        self.inner[0, 1] = 0
        for (rows, matrices), part in zip(tables.outer, torch.split(into, self.sizes), strict=True):
            sums = self.inner[rows].view(*matrices.shape[::2], -1)
            torch.bmm(matrices, sums, out=part.view(*matrices.shape[:2], -1))
        return into

    def magnitude(self, spectrum: Tensor, out_FT: Tensor) -> None:
        """Its magnitudes on the network's scale."""
        powers = torch.split(self.magnitudes.view(-1), [size // 2 for size in self.sizes])
        outer = zip(self.tables.outer, torch.split(spectrum, self.sizes), powers, strict=True)
        for (_, matrices), part, power in outer:
            real, imaginary = part.view(len(matrices), 2, -1).unbind(1)
            torch.mul(real, real, out=power.view_as(real)).addcmul_(imaginary, imaginary)
        rows = self.magnitudes.sqrt_()
        if self.front_end.clamp:
            rows = clamp_magnitude(rows, self.front_end.window)
        if self.front_end.frequency == "linear":
            torch.index_select(rows, 0, self.tables.low, out=out_FT)
            return
        below = rows.index_select(0, self.tables.low)
        above = rows.index_select(0, self.tables.high)
        torch.lerp(below, above, self.tables.fraction.expand_as(below), out=out_FT)

    def _window(self, signal_N: Tensor) -> None:
        """Windowed frames (W, T), centred and padded by reflection."""
        edge, count = self.front_end.window // 2, len(signal_N)
        self.padded[:edge] = signal_N[1 : edge + 1].flip(0)
        self.padded[edge : edge + count] = signal_N
        self.padded[edge + count : 2 * edge + count] = signal_N[-edge - 1 : -1].flip(0)
        # A hop later, a frame's sample is the frame before's: the transposition is of hops only.
        hop, frames = self.front_end.hop, self.windowed.shape[1]
        self.hops.copy_(self.padded.view(-1, hop).t())
        for row in range(0, self.front_end.window, hop):
            taper = self.tables.taper[row : row + hop]
            part = self.hops[: len(taper), row // hop : row // hop + frames]
            torch.mul(part, taper, out=self.windowed[row : row + hop])


def _largest_prime(number: int) -> int:
    for divisor in range(2, math.isqrt(number) + 1):
        if number % divisor == 0:
            return _largest_prime(number // divisor)
    return number
