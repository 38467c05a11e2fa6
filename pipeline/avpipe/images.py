"""Pictures of a recording, kept as JPEG one behind the other.

On disk, in the folder of an artifact: `<field>.mjpeg` (a video that any player shows),
`<field>_offsets.npy` (I + 1,) int64, where each picture starts and the last one ends,
`<field>_held.npy` (I,) bool for pictures that may be taken over from a neighbouring frame, and
`<field>.json`, see `Facts`. Picture i shows frame i * step.
"""

import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from mmap import mmap
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from avpipe.errors import DatasetError
from avpipe.types import Bool

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Facts:
    """What `<field>.json` says."""

    present: bool
    """False: the recording has no such pictures, and there are no other files."""
    frames: int
    """T of the recording."""
    images: int = 0
    """I = ceil(T / step)."""
    step: int = 1
    """Frames from one picture to the next."""
    height: int = 0
    width: int = 0
    bytes: int = 0
    """Size of all pictures."""


@dataclass(frozen=True, eq=False)
class Images:
    """The pictures of a clip: an array (I, H, W, 3) of uint8 RGB whose rows are decoded when they
    are asked for. `numpy.asarray(images)` decodes all of them."""

    jpeg: Pixels
    """(bytes,) the JPEG files, one behind the other."""
    offsets: npt.NDArray[np.int64]
    """(I + 1,) where each one starts in `jpeg`, and the last one ends."""
    frames: npt.NDArray[np.int64]
    """(I,) frame of the clip that each one shows."""
    height: int
    width: int
    held: Bool | None = None
    """(I,) true where the place of the crop is taken over from other frames; None if never."""

    dtype = np.dtype(np.uint8)
    ndim = 4

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(I, H, W, 3)."""
        return len(self), self.height, self.width, 3

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return f"Images{self.shape}"

    def encoded(self, i: int) -> bytes:
        """Picture `i` as a JPEG file."""
        return self.jpeg[self.offsets[i] : self.offsets[i + 1]].tobytes()

    @overload
    def __getitem__(self, i: int) -> Pixels: ...
    @overload
    def __getitem__(self, i: slice) -> "Images": ...
    def __getitem__(self, i: int | slice) -> "Pixels | Images":
        """One picture (H, W, 3), or a range of them, not decoded yet."""
        if isinstance(i, slice):
            start, stop, step = i.indices(len(self))
            if step != 1:
                raise ValueError("pictures are sliced without a step; use numpy.asarray first")
            stop = max(start, stop)
            held = None if self.held is None else self.held[start:stop]
            return Images(
                self.jpeg[self.offsets[start] : self.offsets[stop]],
                self.offsets[start : stop + 1] - self.offsets[start],
                self.frames[start:stop],
                self.height,
                self.width,
                held,
            )
        number = range(len(self))[i]
        pixels = decode(self.encoded(number))
        if pixels.shape != self.shape[1:]:
            raise DatasetError(f"picture {number} is {pixels.shape}, not {self.shape[1:]}")
        return pixels

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        pixels = np.empty(self.shape, np.uint8)
        for i in range(len(self)):
            pixels[i] = self[i]
        return pixels if dtype is None else pixels.astype(dtype)


def decode(jpeg: bytes) -> Pixels:
    """A JPEG file as (H, W, 3) uint8 RGB.

    Raises:
        DatasetError: it is not a JPEG file.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise DatasetError(f"a picture cannot be decoded ({error}): run verify") from error


def encode(pixels: Any, quality: int) -> bytes:
    """A Pillow image as a JPEG file with full colour resolution; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    pixels.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def save(folder: Path, field: str, pictures: Iterable[bytes], facts: Facts, held: Any) -> Facts:
    """Writes pictures as they come.

    Args:
        folder: where to.
        field: name of the files.
        pictures: JPEG files.
        facts: without `images` and `bytes`, which are counted.
        held: (I,) bool, or None.
    """
    offsets = [0]
    with (folder / f"{field}.mjpeg").open("wb") as file:
        for picture in pictures:
            offsets.append(offsets[-1] + file.write(picture))
    return index(folder, field, offsets, facts, held)


def index(folder: Path, field: str, offsets: list[int], facts: Facts, held: Any = None) -> Facts:
    """Writes what belongs to `<field>.mjpeg`, given where its pictures start and end."""
    np.save(folder / f"{field}_offsets.npy", np.array(offsets, np.int64), allow_pickle=False)
    if held is not None:
        np.save(folder / f"{field}_held.npy", np.asarray(held, np.bool_), allow_pickle=False)
    counted = {"images": len(offsets) - 1, "bytes": offsets[-1]}
    facts = Facts(**(asdict(facts) | counted))
    write_facts(folder, field, facts)
    return facts


def write_facts(folder: Path, field: str, facts: Facts) -> None:
    """Writes `<field>.json`."""
    (folder / f"{field}.json").write_text(
        json.dumps(asdict(facts), indent=1, sort_keys=True) + "\n"
    )


def read_facts(folder: Path, field: str) -> Facts:
    """What `<field>.json` says."""
    return Facts(**json.loads((folder / f"{field}.json").read_text(encoding="utf-8")))


def split(stream: bytes | mmap) -> list[int]:
    """Offsets (I + 1) of baseline JPEG files that stand one behind the other.

    Raises:
        ValueError: the stream is something else.
    """
    offsets, at = [0], 0
    while at < len(stream):
        if stream[at : at + 2] != b"\xff\xd8":
            raise ValueError(f"no JPEG file starts at byte {at}")
        at += 2
        while stream[at + 1 : at + 2] not in (b"\xda", b""):  # headers, up to the start of the scan
            at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
        end = stream.find(b"\xff\xd9", at)  # in a scan 0xff is followed by 0 but for markers
        if end < 0:
            raise ValueError(f"the JPEG file at byte {offsets[-1]} does not end")
        at = end + 2
        offsets.append(at)
    return offsets
