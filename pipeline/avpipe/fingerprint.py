"""Acoustic fingerprints: the same sound is recognised after it was cut, encoded and uploaded again.

A fingerprint is a number of 32 bits every 46 ms: bit b says whether the difference in energy
between bands b and b + 1 (33 of them, 300 to 2000 Hz, equally wide in pitch) has grown since the
number before. Coding and loudness hardly change that (Haitsma and Kalker, "A Highly Robust Audio
Fingerprinting System", ISMIR 2002; their numbers follow each other more closely).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avpipe.types import Float32

WINDOW_SECONDS = 0.37
HOP_SECONDS = WINDOW_SECONDS / 8
LOW_HZ, HIGH_HZ, BANDS = 300.0, 2000.0, 33
SILENT_DB = -50.0
"""Below the loudest window by this much there is nothing to recognise."""
MIN_SECONDS = 4.0
"""Least time two recordings have to agree on."""
MAX_BIT_ERRORS = 0.3
"""Largest share of bits in which the same sound may differ; for other sounds it is 0.5."""
_BLOCK = 512

Print = npt.NDArray[np.uint32]
"""(F,) one number a hop; 0 where it is silent."""


@dataclass(frozen=True, slots=True)
class Match:
    """Two recordings that have sound in common."""

    a: str
    b: str
    offset_seconds: float
    """What is at t in `a` is at t + offset in `b`."""
    seconds: float
    """How long they agree, silence left out."""
    bit_errors: float
    """Share of bits that differ, in [0, 0.3]."""


def fingerprint(samples: Float32, sample_rate: int) -> Print:
    """The fingerprint of a sound.

    Args:
        samples: (N,).
        sample_rate: Hz, at least 4000.
    """
    length = round(WINDOW_SECONDS * sample_rate)
    starts = np.arange(0, max(0, len(samples) - length), HOP_SECONDS * sample_rate).astype(int)
    if len(starts) < 2:
        return np.zeros(0, np.uint32)
    edges = np.geomspace(LOW_HZ, HIGH_HZ, BANDS + 1) * length / sample_rate
    bins = np.round(edges).astype(int)
    window = np.hanning(length).astype(np.float32)
    energy = np.empty((len(starts), BANDS))
    for first in range(0, len(starts), _BLOCK):
        at = starts[first : first + _BLOCK, None] + np.arange(length)
        power = np.abs(np.fft.rfft(samples[at] * window)) ** 2
        energy[first : first + _BLOCK] = np.add.reduceat(power, bins, axis=1)[:, :BANDS]
    slope = energy[:, :-1] - energy[:, 1:]
    bits = np.diff(slope, axis=0) > 0
    numbers = (bits * (1 << np.arange(BANDS - 1, dtype=np.uint64))).sum(axis=1).astype(np.uint32)
    loud = energy.sum(axis=1)
    return np.where(loud[1:] > loud.max() * 10 ** (SILENT_DB / 10), numbers, 0).astype(np.uint32)


class Prints:
    """Fingerprints in which others are looked for.

    Args:
        known: id -> fingerprint.
    """

    def __init__(self, known: Mapping[str, Print]) -> None:
        self._names, self._known = list(known), list(known.values())
        owners = [np.full(len(p), i) for i, p in enumerate(self._known)]
        numbers = np.concatenate([np.zeros(0, np.uint32), *self._known])
        order = np.argsort(numbers, kind="stable")
        self._numbers = numbers[order]
        self._owner = np.concatenate([np.zeros(0, int), *owners])[order]
        places = [np.arange(len(p)) for p in self._known]
        self._place = np.concatenate([np.zeros(0, int), *places])[order]

    def matches(self, name: str, print_: Print) -> list[Match]:
        """Known recordings that have sound in common with one, the longest first."""
        candidates: dict[int, list[int]] = {}
        for owner, offset in self._votes(print_):
            candidates.setdefault(owner, []).append(offset)
        found = []
        for owner, offsets in candidates.items():
            compared = [_compare(print_, self._known[owner], offset) for offset in offsets]
            frames, errors, offset = max(compared, key=lambda c: c[0] * (0.5 - c[1]))
            seconds = frames * HOP_SECONDS
            if seconds >= MIN_SECONDS and errors <= MAX_BIT_ERRORS:
                shift = round(offset * HOP_SECONDS, 2)
                match = Match(name, self._names[owner], shift, round(seconds, 2), round(errors, 3))
                found.append(match)
        return sorted(found, key=lambda match: -match.seconds)

    def _votes(self, print_: Print, most: int = 5) -> list[tuple[int, int]]:
        """(recording, offset) pairs at which numbers agree, the most frequent of each recording."""
        place = np.flatnonzero(print_)
        left = np.searchsorted(self._numbers, print_[place], "left")
        counts = np.searchsorted(self._numbers, print_[place], "right") - left
        hits = np.repeat(left, counts) + _ramps(counts)
        offsets = self._place[hits] - np.repeat(place, counts)
        pairs = np.stack([self._owner[hits], offsets], axis=1)
        values, frequency = np.unique(pairs, axis=0, return_counts=True)
        chosen: dict[int, list[int]] = {}
        for i in np.argsort(-frequency, kind="stable"):
            of_owner = chosen.setdefault(int(values[i, 0]), [])
            if frequency[i] > 1 and len(of_owner) < most:
                of_owner.append(int(values[i, 1]))
        return [(owner, offset) for owner, found in chosen.items() for offset in found]


def _ramps(counts: npt.NDArray[np.int_]) -> npt.NDArray[np.int_]:
    """0, 1, ..., count - 1 of every count, one after the other."""
    ends = np.cumsum(counts)
    ramps: npt.NDArray[np.int_] = np.arange(ends[-1] if len(ends) else 0)
    return ramps - np.repeat(ends - counts, counts)


def _compare(a: Print, b: Print, offset: int) -> tuple[int, float, int]:
    """Frames that both sound in, share of bits that differ, and the offset."""
    start, stop = max(0, -offset), min(len(a), len(b) - offset)
    if stop <= start:
        return 0, 1.0, offset
    one, other = a[start:stop], b[start + offset : stop + offset]
    both = (one != 0) & (other != 0)
    frames = int(both.sum())
    differing = np.unpackbits((one ^ other)[both].view(np.uint8)).sum()
    return frames, float(differing) / max(1, 32 * frames), offset
