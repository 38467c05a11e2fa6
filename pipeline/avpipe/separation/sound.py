"""Sound files of any format as mono float arrays, and other sample rates."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from avpipe.errors import UsageError
from avpipe.types import Float32

MAX_SECONDS = 4 * 3600
"""Longer files are refused: their samples would fill the memory."""


def read_mono(path: Path) -> tuple[Float32, int, int]:
    """The first audio stream of a file, its channels averaged.

    Returns:
        (N,) float32 in [-1, 1], sample rate in Hz, number of channels in the file.

    Raises:
        UsageError: there is no such file, no sound in it, more than `MAX_SECONDS` of it, or samples
            that are infinite or no numbers.
    """
    import av

    from avpipe.media.source import open_container

    if not path.is_file():
        raise UsageError(f"{path} does not exist")
    parts, samples, channels = [], 0, 0
    try:
        with open_container(path) as container:
            stream = container.streams.audio[0]
            rate, channels = int(stream.rate), int(stream.channels)
            to_float = av.AudioResampler(format="fltp", layout=stream.layout, rate=rate)
            for frame in container.decode(stream):
                for converted in to_float.resample(frame):
                    parts.append(converted.to_ndarray().mean(0))
                    samples += len(parts[-1])
                if samples > MAX_SECONDS * rate:
                    raise UsageError(f"{path} is longer than {MAX_SECONDS} s: cut it")
    except IndexError:
        raise UsageError(f"{path} has no sound") from None
    except av.error.FFmpegError as error:
        raise UsageError(f"{path} cannot be read as sound: {error}") from error
    if not parts:
        raise UsageError(f"{path} has no sound")
    signal = np.concatenate(parts).astype(np.float32)
    if not np.isfinite(signal).all():
        raise UsageError(f"{path} has samples that are no numbers: write it anew")
    return signal, rate, channels


def resample(signal: Float32, rate: int, wanted: int) -> Float32:
    """(..., N) at `rate` Hz as (..., round up of N wanted / rate) at `wanted` Hz."""
    if rate == wanted:
        return signal
    from scipy.signal import resample_poly

    ratio = Fraction(wanted, rate)
    converted = resample_poly(signal, ratio.numerator, ratio.denominator, axis=-1)
    return np.asarray(converted, dtype=np.float32)
