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

_ROUND = 1.5 * 2.0**52
"""Adding this to a float64 leaves the nearest integer (ties to even) in its low 32 bits."""
_REACH = 32_000
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


def crop(frame: Frame, region: npt.NDArray[np.float64], size: int, replicate: bool) -> Crop:
    """(size, size, 3) uint8 of one region, on the CPU.

    Args:
        frame: (H, W, 3) uint8.
        region: (5,).
        replicate: repeat the edge beyond the picture; otherwise black.
    """
    import cv2

    across, down = axes(region[None], size)
    x, y = (_nearest(np.add.outer(down[0, :, axis], across[0, :, axis])) for axis in (0, 1))
    if np.abs(region[:2]).max() + region[2:4].sum() > _REACH:
        x, y = (np.clip(v, -32 * _REACH, 32 * _REACH) for v in (x, y))
    whole = np.empty((size, size, 2), np.int16)
    np.right_shift(x, 5, out=whole[..., 0], casting="unsafe")
    np.right_shift(y, 5, out=whole[..., 1], casting="unsafe")
    fraction = ((y & 31) << 5 | (x & 31)).astype(np.uint16)
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    return np.asarray(
        cv2.remap(frame, whole, fraction, cv2.INTER_LINEAR, borderMode=border), np.uint8
    )


def crops_on_device(frames: Any, index: Any, regions: Regions, size: int, replicate: bool) -> Any:
    """(n, size, size, 3) uint8 of many regions as torch operations; the same bits as `crop`.

    Args:
        frames: (T, H, W, 3) uint8 tensor.
        index: (n,) int64 tensor, the frame of each region.
        regions: (n, 5).
    """
    import torch

    t, h, w, _ = frames.shape
    flat = frames.reshape(t * h * w, 3)
    across, down = (torch.from_numpy(a).to(frames.device) for a in axes(regions, size))
    x, y = (
        (down[:, :, None, axis] + across[:, None, :, axis])
        .round().clamp(-32 * _REACH, 32 * _REACH).to(torch.int64)
        for axis in (0, 1)
    )  # fmt: skip
    weight_x, weight_y = (x & 31).int(), (y & 31).int()

    def tap(dx: int, dy: int) -> Any:
        column, row = (x >> 5) + dx, (y >> 5) + dy
        inside = column.clamp(0, w - 1), row.clamp(0, h - 1)
        values = flat[(index[:, None, None] * h + inside[1]) * w + inside[0]].int()
        if replicate:
            return values
        return values * ((inside[0] == column) & (inside[1] == row))[..., None]

    a, b = weight_x[..., None], weight_y[..., None]
    upper = tap(0, 0) * (32 - a) + tap(1, 0) * a
    lower = tap(0, 1) * (32 - a) + tap(1, 1) * a
    return ((upper * (32 - b) + lower * b + 512) >> 10).to(torch.uint8)


def axes(regions: Regions, size: int) -> tuple[npt.NDArray[np.float64], ...]:
    """Positions in 1/32 px as a sum: (n, size, 2) along a row, (n, size, 2) down the columns."""
    cx, cy, width, height, rotation = 32 * regions.T
    cos, sin = np.cos(rotation / 32), np.sin(rotation / 32)
    unit = np.arange(size)[:, None] / size - 0.5
    across = np.stack([cos * width, sin * width], -1)[:, None] * unit
    down = np.stack([-sin * height, cos * height], -1)[:, None] * unit
    return across, down + np.stack([cx, cy], -1)[:, None]


def to_picture(points: npt.NDArray[np.floating[Any]], regions: Regions) -> npt.NDArray[np.float64]:
    """(n, K, 2) px in the picture of points (n, K, 2) given in parts of their crop."""
    cx, cy, width, height, rotation = (column[:, None] for column in regions.T)
    cos, sin = np.cos(rotation), np.sin(rotation)
    x = (points[..., 0].astype(np.float64) - 0.5) * width
    y = (points[..., 1].astype(np.float64) - 0.5) * height
    return np.stack([cx + cos * x - sin * y, cy + sin * x + cos * y], -1)


def _nearest(positions: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """The nearest integers; spoils its argument."""
    positions += _ROUND
    return positions.view(np.int32)[:, ::2]
