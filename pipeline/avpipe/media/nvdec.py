"""Decoding by a GPU's own decoder (NVDEC) where PyAV and the machine offer it: the same pictures.

H.264 and what came after it define every bit of a decoded picture, so that hardware gives what the
CPU gives. That is not taken on trust: the first pictures of every file are decoded both ways, and
where they differ, or anything fails, the CPU decodes on.
"""

import warnings
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from avpipe.errors import RecordingFailed
from avpipe.media.colour import I420
from avpipe.media.decode import Frame, decode_planes, decoded

_TRIED = 8
"""Pictures decoded both ways: the first, and some that are predicted from those around them."""


class NvdecPlanes:
    """What `decode_planes` gives, to the bit, decoded by NVDEC as far as that goes.

    Pictures come back to the host's memory. Iterating raises what `decode_planes` raises.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        """`threads`: of the CPU, where it has to decode."""
        self._path, self._threads = path, threads
        self.decoder = "nvdec"
        """What has decoded the pictures, "nvdec" or "cpu", once all have been looked at."""

    def __iter__(self) -> Iterator[Frame | I420]:
        known = list(islice(decode_planes(self._path), _TRIED))
        shown = 0
        try:
            for picture in _hardware(self._path, known):
                yield picture
                shown += 1
            return
        except (_Unlike, RecordingFailed, RuntimeError, OSError) as error:
            reason = str(error)
        self.decoder = "cpu"
        warnings.warn(
            f"{self._path.name}: decoded by the CPU from frame {shown} on, not by NVDEC: {reason}",
            stacklevel=2,
        )
        yield from islice(decode_planes(self._path, self._threads), shown, None)


class _Unlike(Exception):
    """The CPU's pictures cannot be had from NVDEC."""


def _hardware(path: Path, known: Sequence[Frame | I420]) -> Iterator[I420]:
    """The pictures of a file whose first ones are known."""
    expected = [picture for picture in known if isinstance(picture, I420)]
    matrices = {picture.matrix for picture in expected}
    if len(expected) < len(known) or len(matrices) != 1:
        raise _Unlike("its pictures are not all in 4:2:0 with one of the known matrices")
    (matrix,) = matrices
    layout: tuple[Any, ...] | None = None
    for number, picture in enumerate(decoded(path, accelerator=_cuda())):
        found = (picture.format.name, picture.colorspace, picture.color_range)
        layout = layout or found
        if found != layout or found[0] != "nv12":
            raise _Unlike(f"frame {number} comes as {found[0]}, {found[1]}, {found[2]}")
        frame = I420(planes(picture.to_ndarray()), matrix)
        if number < len(expected) and not np.array_equal(frame.planes, expected[number].planes):
            raise _Unlike(f"frame {number} differs from the CPU's")
        yield frame


def _cuda() -> Any:
    """What opens a file for NVDEC; only opening it shows whether there is a GPU."""
    try:
        from av.codec.hwaccel import HWAccel, hwdevices_available
    except ImportError as error:
        raise _Unlike(f"this PyAV offers none ({error})") from error
    if "cuda" not in hwdevices_available():
        raise _Unlike("this PyAV is built without it")
    return HWAccel(device_type="cuda", allow_software_fallback=False)


def planes(nv12: Frame) -> Frame:
    """(3H/2, W) as `I420` has it, of (3H/2, W) whose colour differences lie side by side."""
    rows, width = nv12.shape
    height = rows // 3 * 2
    out = np.empty_like(nv12)
    out[:height] = nv12[:height]
    pairs = nv12[height:].reshape(height // 2, width // 2, 2)
    out[height:].reshape(2, height // 2, width // 2)[...] = pairs.transpose(2, 0, 1)
    return out
