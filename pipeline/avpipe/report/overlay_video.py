"""Writes videos: with the skeleton drawn over every frame, and other pictures, and their sound."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.errors import AvpipeError
from avpipe.media import decode_frames
from avpipe.report.raster import draw_person
from avpipe.shards.publish import published
from avpipe.timegrid import exact
from avpipe.types import Keypoints

AUDIO_SAMPLES = 1024
"""Samples of a packet of AAC."""
ENCODING = {"preset": "veryfast", "crf": "20"}

Pixels = npt.NDArray[np.uint8]


def write_overlay(
    target: Path,
    video: Path,
    keypoints: Sequence[Keypoints],
    fps: float,
    audio: Path | None = None,
) -> None:
    """Draws the keypoints over a video.

    Args:
        target: the mp4 file; it appears whole or not at all.
        video: T frames at a constant rate, of even width and height.
        keypoints: what to draw, each of its T frames.
        fps: frames per second.
        audio: a mono WAV file of the same time; None: without sound.

    Raises:
        AvpipeError: the video does not have T frames.
        DatasetError: the file cannot be written.
    """
    shown = 0

    def drawn() -> Iterator[Pixels]:
        nonlocal shown
        for image in decode_frames(video):
            copy = np.array(image)
            for field in keypoints:
                if shown < len(field):
                    draw_person(copy, field, shown)
            shown += 1
            yield copy
        if any(len(field) != shown for field in keypoints):
            raise AvpipeError(f"{video} has {shown} frames, {' and '.join(map(str, keypoints))}")

    write_video(target, drawn(), fps, audio)


def write_video(
    target: Path, frames: Iterable[Pixels], fps: float, audio: Path | None = None
) -> None:
    """Writes pictures as a video.

    Args:
        target: the mp4 file; it appears whole or not at all.
        frames: (H, W, 3) uint8 RGB each, of one even width and height.
        fps: frames per second.
        audio: a mono WAV file of the same time; None: without sound.

    Raises:
        DatasetError: the file cannot be written.
    """
    import av

    with (
        published(target) as temporary,
        av.open(f"file:{temporary.absolute()}", "w", format="mp4") as container,
    ):
        picture = container.add_stream("libx264", rate=exact(fps), options=ENCODING)
        picture.pix_fmt = "yuv420p"
        sound = None if audio is None else _Sound(container, audio)
        for number, frame in enumerate(frames):
            if not number:
                picture.height, picture.width = frame.shape[:2]
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            if sound is not None:
                sound.write_until((number + 1) / fps)
        container.mux(picture.encode(None))
        if sound is not None:
            sound.close()


class _Sound:
    """The sound of the video, read and encoded as the pictures go by."""

    def __init__(self, container: Any, audio: Path) -> None:
        import soundfile

        self._container, self._wav = container, soundfile.SoundFile(audio)
        self._rate: int = self._wav.samplerate
        self._stream = container.add_stream("aac", rate=self._rate, layout="mono")
        self._written = 0

    def write_until(self, seconds: float) -> None:
        """Writes what is not written yet of the time before `seconds`."""
        import av

        until = min(round(seconds * self._rate), self._wav.frames)
        while self._written < until:
            samples = self._wav.read(AUDIO_SAMPLES, dtype="float32")
            frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
            frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
            frame.pts = self._written
            self._container.mux(self._stream.encode(frame))
            self._written += len(samples)

    def close(self) -> None:
        """Writes the rest."""
        self.write_until(self._wav.frames / self._rate)
        self._container.mux(self._stream.encode(None))
        self._wav.close()
