"""Mixtures as the papers make them, as batched tensor code on the device of the audio.

`draw` decides which windows sound together: a pure function of (seed, step), so a training resumes
in the middle of an epoch by its step number alone. `mix` adds them up. The audio itself is gathered
between the two by `AudioBank.windows`.

Letters: B mixtures, S sources (places, some may stay empty), N samples.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avpipe.errors import UsageError
from avpipe.separation.augment import Change
from avpipe.separation.data import AudioBank, Int64
from avpipe.separation.interface import Context
from avpipe.separation.transfer import sent


@dataclass(frozen=True)
class Mixing:
    """How mixtures are made."""

    fewest: int = 2
    """Sources in a mixture, at least."""
    most: int = 2
    """Sources in a mixture, at most; every number between is equally likely."""
    categories: Literal["different", "any", "same"] = "different"
    """Of the sources of one mixture. `any`: each is drawn from all the audio, so that categories
    may repeat (Sound of Pixels)."""
    combine: Literal["mean", "sum"] = "mean"
    """Mean: every source is divided by the number of sources (Sound of Pixels)."""
    gain: tuple[float, float] = (1.0, 1.0)
    """Every source is scaled by a factor from this range, drawn evenly, and clipped to [-1, 1]."""
    peak: bool = False
    """Scale every source to a peak of 1 first (conditioned U-Net)."""
    clip: Literal["none", "waveform", "magnitude"] = "none"
    """Solos IV-C states two rules as one. `waveform`: the spectrogram of the sum clipped to
    [-1, 1]; `magnitude`: the spectrogram of the sum, its magnitude clipped at the sum of the
    window. They differ: a clipped waveform has new frequencies. The front end applies the second
    (`FrontEnd.clamp`)."""

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.most:
            raise UsageError(f"mixtures of {self.fewest} to {self.most} sources are impossible")


class Draw(NamedTuple):
    """Which windows sound together; places beyond a mixture's number of sources are -1."""

    first_samples: Int64
    """(B, S) first sample of each window in the bank."""
    classes: Int64
    """(B, S)."""
    segments: Int64
    """(B, S) segment of the bank."""
    gains: npt.NDArray[np.float32]
    """(B, S)."""

    def part(self, start: int, stop: int) -> "Draw":
        """The mixtures [start, stop)."""
        some = slice(start, stop)
        return Draw(
            self.first_samples[some], self.classes[some], self.segments[some], self.gains[some]
        )


class Batch(NamedTuple):
    """What a separator learns from."""

    mixture: Tensor
    """(B, N)."""
    sources: Tensor
    """(B, S, N); they add up to the mixture before any clipping."""
    context: Context
    """The categories of the sources; of those that only accompany there are none."""


def draw(bank: AudioBank, mixing: Mixing, batch: int, seed: int, step: int) -> Draw:
    """The mixtures of one step.

    Args:
        bank: what to draw from.
        mixing: how.
        batch: B.
        seed: of the training.
        step: number of the optimiser's step; another gives other mixtures.

    Raises:
        UsageError: the bank has too few classes or recordings for so many sources.
    """
    random = np.random.default_rng((seed, step))
    counts = random.integers(mixing.fewest, mixing.most, batch, endpoint=True)
    wanted = np.arange(mixing.most) < counts[:, None]
    positions = bank.positions
    low, high = _ranges(bank, mixing, batch, random)
    window = low + np.floor(random.random(low.shape) * (high - low)).astype(np.int64)
    segment = np.searchsorted(positions, window, side="right") - 1
    first = bank.starts[segment] + bank.begins(window - positions[segment])
    return Draw(
        np.where(wanted, first, -1),
        np.where(wanted, bank.classes[segment], -1),
        np.where(wanted, segment, -1),
        random.uniform(*mixing.gain, low.shape).astype(np.float32),
    )


def check(bank: AudioBank, mixing: Mixing) -> None:
    """Raises a UsageError if the bank cannot give such mixtures."""
    present = np.unique(bank.classes)
    if mixing.categories == "different" and len(present) < mixing.most:
        raise UsageError(
            f"mixtures of {mixing.most} different categories need as many with sound:"
            f" there are {', '.join(bank.names[c] for c in present)}"
        )


def mix(
    clips_BSN: Tensor, present_BS: Tensor, gains_BS: Tensor, mixing: Mixing
) -> tuple[Tensor, Tensor]:
    """Adds clips up.

    Args:
        clips_BSN: in [-1, 1], 0 in empty places.
        present_BS: bool, which places hold a source.
        gains_BS: factors.
        mixing: how.

    Returns:
        mixture (B, N), sources (B, S, N) as they are in the mixture.
    """
    sources = clips_BSN
    if mixing.peak:
        peak = sources.abs().amax(-1, keepdim=True)
        sources = sources / peak.clamp_min(torch.finfo(sources.dtype).tiny)
    if mixing.gain != (1.0, 1.0):
        sources = (sources * gains_BS.unsqueeze(-1)).clamp_(-1, 1)
    if mixing.combine == "mean":
        sources = sources / present_BS.sum(1).clamp_min(1)[:, None, None]
    mixture = sources.sum(1)
    return (mixture.clamp(-1, 1) if mixing.clip == "waveform" else mixture), sources


def batch(
    bank: AudioBank,
    drawn: Draw,
    mixing: Mixing,
    device: torch.device | str,
    accompaniment: tuple[AudioBank, Draw] | None = None,
    change: Change | None = None,
) -> Batch:
    """The mixtures that were drawn, on `device`; the bank's device does the gathering.

    Args:
        bank: of the sources.
        drawn: from it.
        mixing: how.
        device: for the batch.
        accompaniment: what sounds with them and has no place in the context: the last sources.
        change: what becomes of the clips; the banks' windows must be as long as it reads
            (`Augmentation.reach`), and its noise is in the mixture alone.
    """
    heard = [(bank, drawn)] if accompaniment is None else [(bank, drawn), accompaniment]
    clips = torch.cat([sent(b.windows(d.first_samples), device) for b, d in heard], 1)
    present = sent(torch.from_numpy(np.concatenate([d.classes for _, d in heard], 1) >= 0), device)
    gains = sent(torch.from_numpy(np.concatenate([d.gains for _, d in heard], 1)), device)
    if change is not None:
        clips = change.clips(clips)
    mixture, sources = mix(clips, present, gains, mixing)
    if change is not None:
        mixture = change.noise(mixture)
    classes = sent(torch.from_numpy(drawn.classes), device)
    return Batch(mixture, sources, Context(categories=classes))


def _ranges(
    bank: AudioBank, mixing: Mixing, batch: int, random: np.random.Generator
) -> tuple[Int64, Int64]:
    """(B, S) ranges of window numbers from which the sources are drawn."""
    positions = bank.positions
    shape = (batch, mixing.most)
    if mixing.categories == "any":
        return np.zeros(shape, np.int64), np.full(shape, positions[-1])
    present, first = np.unique(bank.classes, return_index=True)
    edges = positions[np.append(first, len(bank))]
    if mixing.categories == "same":
        chosen = np.repeat(random.integers(len(present), size=(batch, 1)), mixing.most, 1)
    else:
        check(bank, mixing)
        chosen = random.random((batch, len(present))).argsort(1)[:, : mixing.most]
    return edges[chosen], edges[chosen + 1]
