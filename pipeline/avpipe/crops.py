"""Crops of a face that stay in place: every frame is turned, scaled and moved so that the eyes
and the nose lie where a mean face has them.

The mean face is MediaPipe's canonical face mesh (`canonical_face_model.obj`, Apache-2.0), seen
from the front: x to the right and y down in its centimetres, the origin between the cheeks. What
moves with speech and song (mouth, jaw) is no anchor, so that its movement stays in the crop. The
transformation is the similarity that fits the anchors best by least squares. Faces that jump
(the mesh of a first frame, or one that sits on a hand) do not count; where there is none, the place
is interpolated between the neighbours; then it is smoothed over time.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from avpipe.types import Bool, Keypoints

if TYPE_CHECKING:
    from PIL import Image

MEAN_FACE = {
    "right_eye_outer": (-4.445859, -2.663991),
    "right_eye_inner": (-1.856432, -2.585245),
    "left_eye_inner": (1.856432, -2.585245),
    "left_eye_outer": (4.445859, -2.663991),
    "nose_base": (0.0, 2.089024),
}
"""Joint of `face68` -> its place in the mean face, cm (mesh points 33, 133, 362, 263 and 2)."""

SCALE_FRAMES, SCALE_FACTOR = 101, 1.3
"""A face that is larger or smaller by this factor than the median face of so many frames around it
is none."""
JUMP_FRAMES, JUMP_CM = 7, 2.5
"""Nor is one that lies farther than this from the median place of so many frames."""

Complex = npt.NDArray[np.complex128]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Window:
    """The square of the mean face that a crop shows."""

    centre: tuple[float, float]
    """Its middle in the mean face, cm."""
    side: float
    """Its side, cm."""
    size: int
    """Its side in the crop, px."""


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the mean face lies in every frame: a point p of it, as a complex number, is at
    `turn * p + origin`."""

    turn: Complex
    """(T,) px per cm, with the angle of the face."""
    origin: Complex
    """(T,) px."""
    held: Bool
    """(T,) true where no face was found and the place follows from the neighbours."""


def place(face: Keypoints, smoothing_frames: float = 2.0) -> Placement | None:
    """Where the face is.

    Args:
        face: T frames in `face68`, or in what has a view as such.
        smoothing_frames: standard deviation of the Gaussian that smooths the places over time;
            0: none.

    Returns:
        None if no frame shows a face, or only faces that jump.
    """
    face = face.view("face68")
    anchors = [face.topology.index(name) for name in MEAN_FACE]
    found = (face.confidence[:, anchors] > 0).all(axis=1)
    if not found.any():
        return None
    seen = face.xy[found][:, anchors].astype(np.float64)
    turn, origin = np.full((2, len(face)), np.nan, np.complex128)
    turn[found], origin[found] = _fit(seen[..., 0] + 1j * seen[..., 1])
    found &= _plausible(turn, origin)
    if not found.any():
        return None
    turn, origin = (
        _smooth(_interpolate(value, found), smoothing_frames) for value in (turn, origin)
    )
    return Placement(turn, origin, ~found)


def crop(frames: Iterator[Pixels], where: Placement, window: Window) -> Iterator["Image.Image"]:
    """The window of every frame as a Pillow image; what lies outside the frame is black.

    Args:
        frames: (H, W, 3) uint8 RGB each, as many as places.
    """
    from PIL import Image

    scale = np.abs(where.turn) * window.side / window.size  # px of the frame per px of the crop
    # Frames in which the face is large are reduced by averaging first, all by the same factor, so
    # that the sharpness does not change over time.
    factor = max(1, round(float(np.median(scale))))
    for frame, turn, origin in zip(frames, where.turn, where.origin, strict=True):
        matrix = _matrix(complex(turn), complex(origin), window)
        left, top, right, bottom = _bounds(matrix, window.size, frame.shape, factor)
        if right <= left or bottom <= top:
            yield Image.new("RGB", (window.size, window.size))
            continue
        part = Image.fromarray(np.ascontiguousarray(frame[top:bottom, left:right]))
        part = part.reduce(factor) if factor > 1 else part
        a, b, c, d, e, f = matrix
        data = (a, b, c - left, d, e, f - top)
        yield part.transform(
            (window.size, window.size),
            Image.Transform.AFFINE,
            tuple(value / factor for value in data),
            Image.Resampling.BILINEAR,
        )


def _fit(seen: Complex) -> tuple[Complex, Complex]:
    """Least squares over the anchors: (T,) turn and origin from (T, anchors)."""
    mean = np.array([complex(*p) for p in MEAN_FACE.values()])
    centre = mean.mean()
    relative = mean - centre
    middle = seen.mean(axis=1)
    turn = ((seen - middle[:, None]) * relative.conj()).sum(axis=1) / (abs(relative) ** 2).sum()
    return turn, middle - turn * centre


def _plausible(turn: Complex, origin: Complex) -> Bool:
    """(T,) true where the face agrees with those around it; NaN where there is none."""
    scale = np.abs(turn)
    apart = np.abs(np.log(scale / _median(scale, SCALE_FRAMES)))
    middle = _median(origin.real, JUMP_FRAMES) + 1j * _median(origin.imag, JUMP_FRAMES)
    plausible: Bool = (apart <= math.log(SCALE_FACTOR)) & (abs(origin - middle) <= JUMP_CM * scale)
    return plausible


def _median(values: npt.NDArray[np.float64], frames: int) -> npt.NDArray[np.float64]:
    """The median of what is known in so many frames around each one."""
    import pandas as pd

    return pd.Series(values).rolling(frames, center=True, min_periods=1).median().to_numpy()


def _interpolate(values: Complex, known: Bool) -> Complex:
    """Linear between known values; the first and the last one are held beyond."""
    frames, at = np.arange(len(values)), np.flatnonzero(known)
    real, imaginary = (np.interp(frames, at, part[at]) for part in (values.real, values.imag))
    whole: Complex = real + 1j * imaginary
    return whole


def _smooth(values: Complex, sigma: float) -> Complex:
    """A Gaussian over time; the first and last value are held beyond the ends."""
    reach = math.ceil(3 * sigma)
    if reach == 0:
        return values
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.convolve(np.pad(values, reach, mode="edge"), kernel / kernel.sum(), mode="valid")


def _matrix(turn: complex, origin: complex, window: Window) -> tuple[float, ...]:
    """Crop to frame, both with the origin at the corner of the first pixel, as Pillow has it."""
    pixel = turn * window.side / window.size
    half = window.side / 2
    corner = turn * (complex(*window.centre) - complex(half, half)) + origin + complex(0.5, 0.5)
    return pixel.real, -pixel.imag, corner.real, pixel.imag, pixel.real, corner.imag


def _bounds(
    matrix: tuple[float, ...], size: int, shape: tuple[int, ...], factor: int
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what the crop needs of the frame; left and top are multiples
    of the factor, so that pixels of neighbouring frames are averaged in the same groups."""
    a, b, c, d, e, f = matrix
    corners = [(x, y) for x in (0, size) for y in (0, size)]
    xs = [a * x + b * y + c for x, y in corners]
    ys = [d * x + e * y + f for x, y in corners]
    margin = 2 * factor
    left, top = (max(0, int(min(v)) - margin) // factor * factor for v in (xs, ys))
    right = min(shape[1], math.ceil(max(xs)) + margin)
    bottom = min(shape[0], math.ceil(max(ys)) + margin)
    return left, top, right, bottom
