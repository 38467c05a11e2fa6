"""The time grid: how seconds, video frames and audio samples of one recording relate.

t = 0 is the start of the presentation. Frame t shows the instant t / fps, sample n is the instant
n / sample_rate. At 25 fps and 11,025 Hz a frame is 441 samples exactly; in general the sample
count of T frames is round(T * sample_rate / fps).
"""

from fractions import Fraction
from functools import lru_cache

from avpipe.types import Segment


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


def sample_range(
    segment: Segment, fps: float | Fraction, sample_rate: int, total_samples: int
) -> tuple[int, int]:
    """Half-open samples of a segment; always `sample_count(len(segment))` long.

    Where a frame is not a whole number of samples, rounding start and length apart can exceed the
    recording by one sample: the range then starts one sample earlier.
    """
    length = sample_count(len(segment), fps, sample_rate)
    start = min(sample_count(segment.start, fps, sample_rate), total_samples - length)
    return start, start + length


def kept_range(segment: Segment, step: int) -> tuple[int, int]:
    """Which of the frames 0, step, 2 * step, ... lie in a segment, as a half-open range of their
    numbers 0, 1, 2, ...; it may be empty."""
    return -(-segment.start // step), -(-segment.stop // step)
