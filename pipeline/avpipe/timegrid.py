"""The time grid: how seconds, video frames and audio samples of one recording relate.

t = 0 is the start of the presentation. Frame t shows the instant t / fps, sample n is the instant
n / sample_rate. At 25 fps and 11,025 Hz a frame is 441 samples exactly; in general the sample
count of T frames is round(T * sample_rate / fps).
"""

from fractions import Fraction
from functools import lru_cache


@lru_cache
def exact(rate: float | str | Fraction) -> Fraction:
    """A rate as a fraction: 25 -> 25, 29.97 -> 2997/100, "30000/1001" as it stands."""
    return Fraction(str(rate))


def frame_count(end_seconds: float | Fraction, fps: float | Fraction) -> int:
    """Frames of a video whose last frame ends at `end_seconds`: round(fps * end)."""
    return round(Fraction(end_seconds) * exact(fps))


def sample_count(frames: int, fps: float | Fraction, sample_rate: int) -> int:
    """Samples that are exactly as long as `frames` frames."""
    return round(frames * sample_rate / exact(fps))
