"""Clips made different, so that few recordings stand for more players, pitches and rooms.

Every clip gets its own pitch, vibrato, timbre and reverberation, every mixture its own noise, as
batched tensor code on the device of the audio. What is drawn comes from a generator of (seed, step,
mixture), so a training resumes to the same clips, however many processes share a batch.

Letters: P clips, M samples read, N samples given, M >= N.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avpipe.separation.transfer import sent

KNOTS_HZ = (80.0, 200.0, 500.0, 1_200.0, 2_800.0, 6_000.0)
"""Where the equaliser's gains are drawn; linear in log-frequency between, constant beyond."""
VIBRATO_HZ = (4.0, 7.0)
REVERB_LEVEL_DB = (-30.0, -3.0)
"""Energy of the reverberation, relative to the direct sound's."""
OVERSAMPLING = 2
"""Before samples are interpolated: a cubic is exact enough far below half the rate."""
NOISE_RANGE_DB = 40.0
CENTS_BOUND = 3.0
"""Standard deviations within which the tuning stays."""
BLOCK = 1_024
"""Samples read are a multiple of it, a length whose Fourier transform is fast."""


@dataclass(frozen=True)
class Augmentation:
    """How different clips become; everything 0: not at all."""

    semitones: int = 0
    """Clips are played faster or slower by a whole number of semitones, up to this."""
    cents: float = 0.0
    """Standard deviation of the tuning around it."""
    vibrato_cents: float = 0.0
    """Largest depth of a vibrato, which every second clip gets."""
    equaliser_db: float = 0.0
    """Standard deviation of the gain at each of `KNOTS_HZ`."""
    reverb_seconds: float = 0.0
    """Longest time in which the reverberation falls by 60 dB."""
    noise_db: float = -math.inf
    """Loudest white noise in a mixture, relative to full scale; it may be up to `NOISE_RANGE_DB`
    softer."""

    def reach(self, samples: int, rate: int) -> int:
        """Samples M to be read for clips of N `samples` at `rate` Hz: the fastest need most."""
        if not self.resamples:
            return samples
        return BLOCK * math.ceil((samples * self.fastest + 2 * self.margin(rate)) / BLOCK)

    def margin(self, rate: int) -> int:
        """Samples by which a vibrato may run ahead or behind, and those around an interpolated."""
        swing = 2 * self.fastest * vibrato_depth(self.vibrato_cents) / (2 * math.pi * VIBRATO_HZ[0])
        return 2 + math.ceil(swing * rate)

    @property
    def resamples(self) -> bool:
        """Whether clips are played at other speeds."""
        return bool(self.semitones or self.cents or self.vibrato_cents)

    @property
    def fastest(self) -> float:
        """Largest speed, without vibrato."""
        return float(2 ** ((self.semitones + CENTS_BOUND * self.cents / 100) / 12))


@dataclass(frozen=True)
class Change:
    """The augmentation of one batch."""

    how: Augmentation
    samples: int
    """N."""
    rate: int
    """Hz."""
    randoms: Sequence[np.random.Generator]
    """(B,) what is drawn for a mixture comes from its own, in the order of the calls."""

    def clips(self, read_BSM: Tensor) -> Tensor:
        """Clips (B, S, N) from what was read for them; silence stays silence.

        Empty places are worked on like the others: blocks of another size every step would
        fragment the memory.
        """
        changed = self._clips(read_BSM.flatten(0, 1))
        return changed.reshape(*read_BSM.shape[:2], -1)

    def noise(self, mixture_BN: Tensor) -> Tensor:
        """The mixtures with their noise."""
        samples = mixture_BN.shape[-1]
        hiss = self._each(lambda random: _hiss(samples, self.how, random))
        return mixture_BN + _like(hiss, mixture_BN)

    def _each(self, draw: Callable[[np.random.Generator], Tensor]) -> Tensor:
        """What is drawn for every mixture, one after the other."""
        return torch.cat([draw(random) for random in self.randoms])

    def _clips(self, read_PM: Tensor) -> Tensor:
        how, rate, read = self.how, self.rate, read_PM.shape[-1]
        sources = len(read_PM) // len(self.randoms)
        spectrum = torch.fft.rfft(read_PM)
        if how.equaliser_db:
            bins = spectrum.shape[1]
            gains = self._each(lambda random: _equaliser(sources, bins, rate, how, random))
            spectrum = spectrum * _like(gains, read_PM)
        if how.reverb_seconds:
            # Circular: what sounds at the end reverberates at the beginning, as if from before.
            rooms = self._each(lambda random: _rooms(sources, rate, how, random))
            spectrum = spectrum * torch.fft.rfft(_like(rooms, read_PM), n=read)
        if not how.resamples:
            same: Tensor = torch.fft.irfft(spectrum, n=read)
            return same
        fine = OVERSAMPLING * torch.fft.irfft(spectrum, n=OVERSAMPLING * read)
        places = self._each(lambda random: _places(sources, self.samples, rate, how, random))
        return interpolate(fine, _like(OVERSAMPLING * places, fine))


def _like(values: Tensor, signal: Tensor) -> Tensor:
    """Values from the host's memory, of the type of the signal and where it is."""
    return sent(values.to(signal.dtype), signal.device)


def interpolate(signal_PM: Tensor, places_PN: Tensor) -> Tensor:
    """The signals (P, N) at fractional places in [1, M - 2), by Catmull-Rom's cubic."""
    low = places_PN.floor()
    x = places_PN - low
    index = low.long()
    before, at, after, beyond = (signal_PM.gather(1, index + k) for k in (-1, 0, 1, 2))
    slope, rise = (after - before) / 2, (beyond - at) / 2
    bend = 3 * (after - at) - 2 * slope - rise
    twist = slope + rise - 2 * (after - at)
    return at + x * (slope + x * (bend + x * twist))


def _places(
    count: int, samples: int, rate: int, how: Augmentation, random: np.random.Generator
) -> Tensor:
    """(P, N) float64 places in what was read, in samples."""
    steps = random.integers(-how.semitones, how.semitones, (count, 1), endpoint=True)
    detuned = how.cents * random.standard_normal((count, 1)).clip(-CENTS_BOUND, CENTS_BOUND)
    speed = 2 ** ((steps + detuned / 100) / 12)
    shaking = random.random((count, 1)) < 0.5
    depth = shaking * random.random((count, 1)) * vibrato_depth(how.vibrato_cents)
    turns = random.uniform(*VIBRATO_HZ, (count, 1)) * 2 * math.pi / rate
    phase = random.uniform(0, 2 * math.pi, (count, 1))
    time = np.arange(samples)
    swing = np.sin(turns * time + phase) - np.sin(phase)
    return torch.from_numpy(how.margin(rate) + speed * (time + depth / turns * swing))


def vibrato_depth(cents: float) -> float:
    """Relative change of the frequency."""
    return math.log(2) / 1_200 * cents


def _equaliser(
    count: int, bins: int, rate: int, how: Augmentation, random: np.random.Generator
) -> Tensor:
    """(P, F) gains."""
    gains = random.normal(0.0, how.equaliser_db, (count, len(KNOTS_HZ)))
    hertz = np.linspace(0, rate / 2, bins).clip(KNOTS_HZ[0])
    knots = np.log(KNOTS_HZ)
    shapes = [np.interp(np.log(hertz), knots, row) for row in np.eye(len(knots))]
    decibels = torch.from_numpy(gains) @ torch.from_numpy(np.stack(shapes))
    return 10 ** (decibels / 20)


def _hiss(samples: int, how: Augmentation, random: np.random.Generator) -> Tensor:
    """(1, N) white noise."""
    level = how.noise_db - random.uniform(0, NOISE_RANGE_DB)
    return torch.from_numpy(random.standard_normal((1, samples), np.float32) * 10 ** (level / 20))


def _rooms(count: int, rate: int, how: Augmentation, random: np.random.Generator) -> Tensor:
    """(P, L) impulse responses: the direct sound, and noise that decays exponentially."""
    time = np.arange(max(2, round(how.reverb_seconds * rate))) / rate
    fall = how.reverb_seconds * random.uniform(0.2, 1.0, (count, 1))
    tail = random.standard_normal((count, len(time))) * 10 ** (-3 * time / fall)
    tail[:, 0] = 0.0
    level = 10 ** (random.uniform(*REVERB_LEVEL_DB, (count, 1)) / 20)
    rooms = tail * level / np.linalg.norm(tail, axis=1, keepdims=True)
    rooms[:, 0] = 1.0
    return torch.from_numpy(rooms)
