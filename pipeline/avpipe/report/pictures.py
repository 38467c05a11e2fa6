"""Small pictures of a player with the skeleton drawn: a frame, cropped and scaled, then drawn on,
so that lines are as sharp in a thumbnail as in the whole frame.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avpipe.report.clip import GROUND, frame_of
from avpipe.report.raster import draw_person
from avpipe.types import Float32, Keypoints

Image = npt.NDArray[np.uint8]
"""(H, W, 3) RGB."""
_MARGIN = 0.12
"""Around a person, as a share of the longer side."""
_LEAST_SIDE = 96
"""px; a crop is not smaller."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels, `[left, right)` by `[top, bottom)`."""

    left: int
    top: int
    right: int
    bottom: int

    def within(self, image: Image) -> "Box":
        """What of it lies in a picture; all of the picture if nothing does."""
        rows, columns = image.shape[:2]
        inside = Box(
            max(self.left, 0), max(self.top, 0), min(self.right, columns), min(self.bottom, rows)
        )
        is_empty = inside.left >= inside.right or inside.top >= inside.bottom
        return Box(0, 0, columns, rows) if is_empty else inside


def around(points: Float32) -> Box:
    """What holds all (n, 2) points, with a margin; it may leave the picture."""
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else np.zeros((2, 2))
    side = max(float((high - low).max()), _LEAST_SIDE)
    middle, half = (low + high) / 2, np.maximum(high - low, _LEAST_SIDE) / 2 + _MARGIN * side
    left, top = np.floor(middle - half).astype(int).tolist()
    right, bottom = np.ceil(middle + half).astype(int).tolist()
    return Box(left, top, right, bottom)


def known_points(keypoints: Keypoints, frames: slice = slice(None)) -> Float32:
    """(n, 2) places of all joints that are known in these frames."""
    shown = keypoints[frames]
    known = shown.confidence > 0
    if shown.filled is not None:
        known = known | shown.filled
    points: Float32 = np.asarray(shown.xy)[known]
    return points


def ground(box: Box) -> Image:
    """A dark picture of the size of a box: for players whose video is gone."""
    colour = [int(GROUND[i : i + 2], 16) for i in (1, 3, 5)]
    shape = (max(box.bottom - box.top, 1), max(box.right - box.left, 1), 3)
    return np.full(shape, colour, np.uint8)


def draw(
    image: Image,
    keypoints: Keypoints,
    frame: int,
    box: Box,
    width: int,
    height: int,
    lines: float = 1.0,
) -> Image:
    """The part of a picture in `box`, scaled into `width` x `height`, with the person of a frame
    in `lines` times the usual widths.

    What of the box lies outside the picture is dark.
    """
    from PIL import Image as Pil

    part = ground(box)
    rows, columns = image.shape[:2]
    top, left = max(box.top, 0), max(box.left, 0)
    bottom, right = min(box.bottom, rows), min(box.right, columns)
    if top < bottom and left < right:
        inside = (slice(top - box.top, bottom - box.top), slice(left - box.left, right - box.left))
        part[inside] = image[top:bottom, left:right]
    scale = min(width / part.shape[1], height / part.shape[0])
    size = max(round(part.shape[1] * scale), 1), max(round(part.shape[0] * scale), 1)
    scaled = np.array(Pil.fromarray(part).resize(size, Pil.Resampling.LANCZOS))
    one = keypoints[frame : frame + 1]
    moved = (np.asarray(one.xy) - (box.left, box.top) + 0.5) * scale - 0.5
    shown = Keypoints(moved.astype(np.float32), one.confidence, one.topology, one.filled)
    draw_person(scaled, shown, 0, lines)
    return scaled


def picture_at(video: Path | None, seconds: float, fps: float) -> Image | None:
    """The frame of a video at a moment; None if there is no video."""
    return None if video is None else frame_of(video, seconds, fps)


def side_by_side(images: Sequence[Image], captions: Sequence[str], below: str) -> Image:
    """Pictures of one height in a row, each under its caption, with a line of text below."""
    from PIL import Image as Pil
    from PIL import ImageDraw, ImageFont

    gap, strip = 6, 24
    font = ImageFont.load_default(size=13)
    width = sum(image.shape[1] for image in images) + gap * (len(images) - 1)
    tall = max(image.shape[0] for image in images)
    sheet = Pil.new("RGB", (width, tall + 2 * strip), "white")
    pen, left = ImageDraw.Draw(sheet), 0
    for image, caption in zip(images, captions, strict=True):
        sheet.paste(Pil.fromarray(image), (left, strip))
        pen.text((left + 4, 4), caption, fill="#22252b", font=font)
        left += image.shape[1] + gap
    pen.text((4, tall + strip + 4), below, fill="#22252b", font=font)
    return np.asarray(sheet)


def encoded(image: Image, format: str) -> bytes:
    """A picture as a `PNG` or `JPEG` file; the same picture gives the same bytes."""
    from PIL import Image as Pil

    buffer = io.BytesIO()
    Pil.fromarray(image).save(buffer, format, **({"quality": 82} if format == "JPEG" else {}))
    return buffer.getvalue()
