"""Pixels and samples of the files that the stages write: RGB frames, float audio."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.errors import FailureClass, RecordingFailed
from avpipe.media.colour import I420, MATRICES, Matrix
from avpipe.media.source import open_container
from avpipe.types import Float32

Frame = npt.NDArray[np.uint8]


def decode_frames(path: Path, threads: int = 1) -> Iterator[Frame]:
    """The frames of a video in presentation order, one at a time.

    Args:
        path: a video file.
        threads: decoding threads.

    Yields:
        (H, W, 3) uint8 RGB, converted as libswscale does by default.

    Raises:
        RecordingFailed: `unreadable`; the file cannot be decoded, holds fewer frames than its
            header says, or pictures of several sizes.
    """
    for picture in decoded(path, threads):
        yield _rgb(picture)


def decodes(path: Path) -> bool:
    """Whether `decode_frames` comes to the end of a video."""
    try:
        for _ in decoded(path):
            pass
    except RecordingFailed:
        return False
    return True


def decode_planes(path: Path, threads: int = 1) -> Iterator[Frame | I420]:
    """As `decode_frames`, but frames whose RGB `I420.rgb` makes to the bit are left in 4:2:0."""
    matrices: dict[tuple[Any, ...], Matrix | None] = {}
    for picture in decoded(path, threads):
        layout = (picture.format.name, picture.colorspace, picture.color_range)
        if layout not in matrices:
            matrices[layout] = _matrix(picture)
        matrix = matrices[layout]
        yield _rgb(picture) if matrix is None else I420(picture.to_ndarray(), matrix)


def _rgb(picture: Any) -> Frame:
    return np.asarray(picture.to_ndarray(format="rgb24"))


def _matrix(picture: Any) -> Matrix | None:
    """With which the conversion outside libswscale gives the same RGB, if there is one: tried on
    a picture of noise, since a real one may lack the colours that would tell."""
    from av import VideoFrame

    if picture.format.name != "yuv420p" or picture.width % 2 or picture.height % 2:
        return None
    rows = picture.height // 2 * 3
    noise = np.random.default_rng(0).integers(0, 256, (rows, picture.width), np.uint8)
    trial = VideoFrame.from_ndarray(noise, format="yuv420p")
    trial.colorspace, trial.color_range = picture.colorspace, picture.color_range
    expected = _rgb(trial)
    same = (m for m in MATRICES if np.array_equal(I420(noise, m).rgb(), expected))
    return next(same, None)


def decoded(path: Path, threads: int = 1, accelerator: Any = None) -> Iterator[Any]:
    """PyAV's pictures of a video, all of one size; as `decode_frames`.

    Args:
        accelerator: a `HWAccel` of PyAV that decodes instead of the CPU.
    """
    import av

    shown, size = 0, None
    try:
        with open_container(path, accelerator) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = threads
            for frame in container.decode(stream):
                size = size or (frame.width, frame.height)
                if size != (frame.width, frame.height):
                    raise _unreadable(path, f"its pictures change size at frame {shown}")
                yield frame
                shown += 1
            expected = stream.frames
    except (av.error.FFmpegError, IndexError) as error:
        raise _unreadable(path, f"frame {shown} does not decode: {error}") from error
    if shown < expected:
        raise _unreadable(path, f"{shown} of {expected} frames decode")


def _unreadable(path: Path, message: str) -> RecordingFailed:
    return RecordingFailed(FailureClass.UNREADABLE, f"{path.name}: {message}")


def read_audio(path: Path, start: int = 0, stop: int | None = None) -> Float32:
    """Samples `[start, stop)` of a mono PCM file: (N,) float32 in [-1, 1)."""
    import soundfile

    samples: Any
    samples, _ = soundfile.read(str(path), start=start, stop=stop, dtype="float32")
    return np.asarray(samples, dtype=np.float32)
