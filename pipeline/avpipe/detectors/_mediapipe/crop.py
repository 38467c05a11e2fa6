"""Cuts regions out of a picture exactly as MediaPipe does.

A region is (cx, cy, width, height, rotation): px and radians, clockwise in the picture. Pixel
(i, j) of a crop of side S samples the picture at c + R(rotation) ((i/S - 1/2) width,
(j/S - 1/2) height), taken as a pixel index. The position is rounded to 1/32 px and the four
neighbours are mixed in integers, as OpenCV does: landmarks follow single grey levels, so another
interpolation moves hands by 0.2 px and bodies by 3 px.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.detectors import Frame

Regions = npt.NDArray[np.float64]
"""(n, 5): cx, cy, width, height in px, rotation in radians."""
Crop = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in whole px, half-open; it may lie partly outside the picture."""

ROUND = 1.5 * 2.0**52
"""Adding this to a float64 leaves the nearest integer (ties to even) in its low 32 bits."""
REACH = 32_000
"""OpenCV takes positions as 16 bit numbers; beyond this the picture has long ended."""


def whole_picture(height: int, width: int) -> Regions:
    """(1, 5) the square around the whole picture, as the full-frame detectors see it."""
    side = max(height, width)
    return np.array([[width / 2, height / 2, side, side, 0.0]])


def within(height: int, width: int, box: Box) -> Box:
    """The part of a box that is in the picture; empty (left = right) if there is none."""
    x0, x1 = (min(max(x, 0), width) for x in box[::2])
    y0, y1 = (min(max(y, 0), height) for y in box[1::2])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else (0, 0, 0, 0)


class Cutter:
    """Cuts crops of one size on the CPU, in memory of its own: one for each thread."""

    def __init__(self, size: int, replicate: bool) -> None:
        """`size`: px, a multiple of 4; `replicate`: repeat the edge beyond the picture; otherwise
        black."""
        self._size, self._replicate = size, replicate
        # Cut in bands: models push everything out of the cache, and less comes back for a band.
        band = (size // 4, size)
        self._position = np.empty(band)
        self._x, self._y = np.empty(band, np.int32), np.empty(band, np.int32)
        self._whole, self._fraction = np.empty((*band, 2), np.int16), np.empty(band, np.uint16)
        self._crop = np.empty((size, size, 3), np.uint8)

    def __call__(self, frame: Frame, region: npt.NDArray[np.float64]) -> Crop:
        """(size, size, 3) uint8 of a region (5,) of a frame; good until the next one is cut."""
        import cv2

        across, down = axes(region[None], self._size)
        along = np.ascontiguousarray(across[0].T)
        far = np.abs(region[:2]).max() + region[2:4].sum() > REACH
        border = cv2.BORDER_REPLICATE if self._replicate else cv2.BORDER_CONSTANT
        x, y, rows = self._x, self._y, len(self._x)
        for top in range(0, self._size, rows):
            for axis, out in enumerate((x, y)):
                np.add(down[0, top : top + rows, axis, None], along[axis], self._position)
                np.add(self._position, ROUND, self._position)
                np.copyto(out, self._position.view(np.int32)[:, ::2])
                if far:
                    np.clip(out, -32 * REACH, 32 * REACH, out)
                np.right_shift(out, 5, self._whole[..., axis], casting="unsafe")
                np.bitwise_and(out, 31, out)
            np.left_shift(y, 5, y)
            np.bitwise_or(y, x, self._fraction, casting="unsafe")
            cut = self._crop[top : top + rows]
            cv2.remap(frame, self._whole, self._fraction, cv2.INTER_LINEAR, cut, border)
        return self._crop


def crop(frame: Frame, region: npt.NDArray[np.float64], size: int, replicate: bool) -> Crop:
    """One crop, see `Cutter`."""
    return Cutter(size, replicate)(frame, region)


def axes(regions: Regions, size: int) -> tuple[npt.NDArray[np.float64], ...]:
    """Positions in 1/32 px as a sum: (n, size, 2) along a row, (n, size, 2) down the columns."""
    placed = steps(regions)[:, None]
    unit = np.arange(size)[:, None] / size - 0.5
    return placed[..., :2] * unit, placed[..., 2:4] * unit + placed[..., 4:]


def steps(regions: Regions) -> npt.NDArray[np.float64]:
    """(n, 6) in 1/32 px: the vectors along the first row and the first column of the crop, and
    its centre."""
    cx, cy, width, height, rotation = 32 * regions.T
    cos, sin = np.cos(rotation / 32), np.sin(rotation / 32)
    return np.stack([cos * width, sin * width, -sin * height, cos * height, cx, cy], -1)


def to_picture(points: npt.NDArray[np.floating[Any]], regions: Regions) -> npt.NDArray[np.float64]:
    """(n, K, 2) px in the picture of points (n, K, 2) given in parts of their crop."""
    cx, cy, width, height, rotation = (column[:, None] for column in regions.T)
    cos, sin = np.cos(rotation), np.sin(rotation)
    x = (points[..., 0].astype(np.float64) - 0.5) * width
    y = (points[..., 1].astype(np.float64) - 0.5) * height
    return np.stack([cx + cos * x - sin * y, cy + sin * x + cos * y], -1)
