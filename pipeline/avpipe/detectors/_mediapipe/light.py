"""Dark and veiled pictures, their contrast stretched before anybody is looked for in them.

The models have learnt from ordinary pictures: in little light they miss small hands that the grey
levels which are left still show. A picture of ordinary contrast stays as it is, to the bit.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from avpipe.detectors import Frame
from avpipe.media.colour import I420

_CONTRAST = 128
"""Ordinary: so many grey levels between the darkest and the brightest thousandth of a picture."""
_MOST, _NOISE = 8.0, 6.0
"""Contrast is multiplied by the first at most, and so that the noise does not get stronger than the
second, in grey levels: the models cope with a dark picture better than with a noisy one."""
_STEPS = 4
"""Of the gain for each factor of two, so that it is the same in most frames of a recording."""
_BLOCK, _APART = 2, 16
"""Sides of the squares of pixels that are looked at, and how far apart they are: whole pixels of
the colour differences of 4:2:0, so that both forms of a picture are judged by the same pixels."""


def stretched(frames: Iterable[Frame | I420]) -> Iterator[Frame | I420]:
    """The frames, those of little contrast with more; each by itself."""
    for frame in frames:
        darkest, gain = _levels(frame)
        yield frame if gain == 1 else _stretched(frame, darkest, gain)


def _levels(frame: Frame | I420) -> tuple[int, float]:
    """The darkest grey level, and by how much what is above it must be multiplied, a power of the
    fourth root of two; 1: there is contrast enough."""
    sample = _sample(frame)
    red, green, blue = (sample[..., channel] for channel in range(3))
    top = np.percentile(np.maximum(np.maximum(red, green), blue), 99.9, method="higher")
    low = np.percentile(np.minimum(np.minimum(red, green), blue), 0.1, method="lower")
    contrast = max(float(top) - float(low), 1.0)
    if contrast >= _CONTRAST:
        return int(low), 1.0
    most = min(_CONTRAST / contrast, _NOISE / max(_noise(sample), _NOISE / _MOST))
    return int(low), float(max(2.0 ** (np.floor(_STEPS * np.log2(most)) / _STEPS), 1.0))


def _noise(sample: Any) -> float:
    """Standard deviation of the noise, grey levels: of what is neither an edge nor a slope in a
    square of pixels."""
    height, width = (length // _BLOCK * _BLOCK for length in sample.shape[:2])
    if not height or not width:
        return 0.0
    green = sample[:height, :width, 1].astype(np.int32)
    rows = green[::2] - green[1::2]
    return float(np.median(np.abs(rows[:, ::2] - rows[:, 1::2]))) / 1.35


def _sample(frame: Frame | I420) -> Any:
    """(h, w, 3) some of the pixels."""
    height, width, _ = frame.shape
    rows, columns = (np.arange(length) % _APART < _BLOCK for length in (height, width))
    if not isinstance(frame, I420):
        return frame[rows][:, columns]
    luma, chroma = frame.planes[:height], frame.planes[height:]
    chroma = chroma.reshape(2, height // 2, width // 2)
    apart = _APART // _BLOCK
    parts = luma[rows][:, columns], chroma[:, ::apart, ::apart]
    some = np.concatenate([part.ravel() for part in parts])
    return I420(some.reshape(-1, int(columns.sum())), frame.matrix).rgb()


def _stretched(frame: Frame | I420, darkest: int, gain: float) -> Frame:
    import cv2

    levels = np.rint((np.arange(256) - darkest) * gain).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(frame.rgb() if isinstance(frame, I420) else frame, levels), np.uint8)
