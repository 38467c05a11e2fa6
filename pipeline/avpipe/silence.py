"""When the instrument sounds: frame energy against the recording's own level.

A recording's level is a high percentile of its frames, so that loud and soft recordings are judged
alike. Two thresholds keep a decaying note from flickering, and two least lengths keep short rests
inside the music and short noises out of it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.errors import AvpipeError
from avpipe.keypoints.segments import runs
from avpipe.timegrid import exact, frame_count
from avpipe.types import Bool

Floats = npt.NDArray[np.float64]

_LEVEL_PERCENTILE = 95
_BLOCK_FRAMES = 4096
"""Frames whose samples are squared at a time: bounds the memory for long recordings."""


@dataclass(frozen=True)
class SilenceThresholds:
    """dB are relative to the recording's level unless it says full scale."""

    open_db: float = -30.0
    """A silence ends with a frame louder than this."""
    close_db: float = -36.0
    """A sound ends with a frame softer than this."""
    floor_dbfs: float = -80.0
    """Below this (full scale) a frame is silent in any recording."""
    min_silence_seconds: float = 2.0
    """Shorter silences are rests within the music."""
    min_sound_seconds: float = 0.5
    """Shorter sounds (a click, a page turned) are silence."""

    def __post_init__(self) -> None:
        if self.close_db > self.open_db:
            raise AvpipeError(f"close_db {self.close_db} must not be above open_db {self.open_db}")
        if self.min_silence_seconds < 0 or self.min_sound_seconds < 0:
            raise AvpipeError("the least lengths of silence and sound must not be negative")


DEFAULTS = SilenceThresholds()


def sounding(
    audio: npt.NDArray[Any],
    fps: float,
    sample_rate: int,
    thresholds: SilenceThresholds = DEFAULTS,
) -> Bool:
    """Which frames sound.

    Args:
        audio: (N,) floats in [-1, 1], or integer PCM.
        fps: frames per second of the grid.
        sample_rate: Hz.
        thresholds: see there.

    Returns:
        (T,) T = round(N * fps / sample_rate). Every run of False is at least `min_silence_seconds`
        and every run of True at least `min_sound_seconds` long, unless it is the whole recording.
    """
    power = frame_power(audio, fps, sample_rate)
    floor = _ratio(thresholds.floor_dbfs)
    audible = power[power > floor]
    if not len(audible):
        return np.zeros(len(power), np.bool_)
    level = np.percentile(audible, _LEVEL_PERCENTILE, method="lower")
    loud = power > max(floor, level * _ratio(thresholds.open_db))
    soft = power <= max(floor, level * _ratio(thresholds.close_db))
    state = _hold(loud, soft)
    state = _drop_short_runs(state, thresholds.min_silence_seconds * fps, of=False)
    return _drop_short_runs(state, thresholds.min_sound_seconds * fps, of=True)


def frame_power(audio: npt.NDArray[Any], fps: float, sample_rate: int) -> Floats:
    """(T,) mean square of every frame, 1 = full scale.

    For 16 bit samples the sums are exact, hence the same on every machine.
    """
    audio = np.asarray(audio)
    scale = float(np.iinfo(audio.dtype).max) + 1 if audio.dtype.kind == "i" else 1.0
    frames = frame_count(len(audio) / exact(sample_rate), fps)
    at = np.r_[(np.arange(frames) * (sample_rate / fps)).astype(np.int64), len(audio)]
    power = np.zeros(frames)
    for first in range(0, frames, _BLOCK_FRAMES):
        edges = at[first : first + _BLOCK_FRAMES + 1]
        samples = audio[edges[0] : edges[-1]] / scale
        sums = np.add.reduceat(np.square(samples, dtype=np.float64), edges[:-1] - edges[0])
        power[first : first + len(sums)] = sums / np.diff(edges)
    return power


def _ratio(db: float) -> float:
    return float(10 ** (db / 10))


def _hold(loud: Bool, soft: Bool) -> Bool:
    """Hysteresis: True from a loud frame to the next soft one; True before the first of either."""
    decided = np.where(loud | soft, np.arange(len(loud)), -1)
    last = np.maximum.accumulate(decided)
    held: Bool = np.where(last >= 0, loud[last], True)
    return held


def _drop_short_runs(mask: Bool, min_frames: float, *, of: bool) -> Bool:
    """Turns runs of `of` that are shorter than `min_frames` into the opposite."""
    out = mask.copy()
    starts, stops = runs(mask == of)
    short = (stops - starts < min_frames) & (stops - starts < len(mask))
    for start, stop in zip(starts[short], stops[short], strict=True):
        out[start:stop] = not of
    return out
