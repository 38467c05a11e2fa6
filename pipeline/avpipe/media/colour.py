"""Pictures as the decoder gives them, and the very RGB that libswscale makes of them.

Landmarks follow single grey levels: an exact conversion that differs from libswscale's by one
level moves bodies by a pixel. Its conversion is 16 bit arithmetic, so other machines (a GPU) can do
the same: half the bytes to move, and nothing for the decoding thread to compute.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Matrix(NamedTuple):
    """What the colour differences add to the luma of limited range, times 2^13."""

    red: int
    """Of the red difference, to red."""
    blue: int
    """Of the blue difference, to blue."""
    green: tuple[int, int]
    """Of the blue and the red difference, to green."""


MATRICES = (Matrix(13075, 16525, (-3209, -6660)), Matrix(14686, 17305, (-1747, -4366)))
"""BT.601 and BT.709 in libswscale's integers."""
_LUMA = 9539


class I420(NamedTuple):
    """A picture in 4:2:0: its planes one after the other, as H/2 * 3 rows of W bytes."""

    planes: npt.NDArray[np.uint8]
    """(3H/2, W): H rows of luma, then blue and red difference of every second pixel and row."""
    matrix: Matrix

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3), as the picture has in RGB."""
        rows, width = self.planes.shape
        return rows // 3 * 2, width, 3

    def rgb(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8."""
        converted = rgb(self.planes[None].astype(np.int32), self.matrix, np)[0]
        return np.asarray(converted, np.uint8)


def rgb(planes: Any, matrix: Matrix, library: Any) -> Any:
    """(n, H, W, 3) int32 in [0, 255] of pictures (n, 3H/2, W) int32.

    Args:
        planes: an array of `library`, which is numpy or torch.
    """
    n, rows, width = planes.shape
    height = rows // 3 * 2
    luma = (8 * planes[:, :height] - 128) * _LUMA >> 16
    luma = luma.reshape(n, height // 2, 2, width // 2, 2)
    chroma = 8 * planes[:, height:].reshape(n, 2, height // 2, 1, width // 2, 1) - 1024
    blue, red = chroma[:, 0], chroma[:, 1]
    green = (blue * matrix.green[0] >> 16) + (red * matrix.green[1] >> 16)
    channels = (
        luma + (red * matrix.red >> 16), luma + green, luma + (blue * matrix.blue >> 16)
    )  # fmt: skip
    return library.stack(channels, -1).clip(0, 255).reshape(n, height, width, 3)
