"""What a media file holds, by reading all of its packets: facts, and a verdict.

t = 0 is the container's start after edit lists; all seconds here count from it. A header can
promise more than the file holds, so the ends are those of the packets that are there: the scan
decides whether a file is `good`, `truncated` (it ends before its header says) or `unreadable`.

Which streams: pictures attached to a song (cover art) are no video. Of several video streams the
one marked default is taken, of several marked the largest picture, then the first. Of several
audio streams the first one marked default, else the first; if that one is silent throughout
(below -60 dB of full scale) and another one is not, the other one.
"""

import heapq
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from avpipe.errors import FailureClass, RecordingFailed
from avpipe.media.source import open_container
from avpipe.timegrid import exact, frame_count

FILE = "scan.json"
"""Name of the scan in the artifact of `download`, beside `media.<ext>`."""

_SILENCE_PEAK = 1e-3
_REORDER = 64
"""More packets than any codec holds back to reorder them."""
_TRUSTED_DURATION = {"matroska", "webm", "avi", "asf", "wav"}
"""Formats whose container states its duration (others estimate it from bytes and bit rate)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may be at most; beyond it the recording fails as `limit`."""

    max_bytes: int = 4 << 30
    max_seconds: float = 4 * 3600.0
    max_pixels: int = 3840 * 2160
    """Width times height of a frame."""
    max_streams: int = 32


@dataclass(frozen=True, slots=True)
class VideoStream:
    """The video stream that is used."""

    index: int
    codec: str
    width: int
    """px, as stored (before rotation)."""
    height: int
    rotation: int
    """Degrees clockwise that the file asks its player to turn the picture: 0, 90, 180, 270."""
    pixel_format: str
    average_rate: str
    """Frames per second as a fraction, e.g. `30000/1001`; 0 if not known."""
    end_seconds: float
    """End of the last presented packet."""
    packets: int
    """Presented packets."""
    constant: bool
    """Presented packet k is at exactly k / average_rate, and none is discarded."""


@dataclass(frozen=True, slots=True)
class AudioStream:
    """The audio stream that is used."""

    index: int
    codec: str
    sample_rate: int
    channels: int
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class Scan:
    """What one media file holds."""

    verdict: Literal["good", "truncated", "unreadable"]
    reason: str
    """Why it is not good; empty if it is."""
    bytes: int
    format: str
    """Short names of the container format."""
    start_seconds: float
    """The container's own timestamp of t = 0."""
    video: VideoStream | None
    audio: AudioStream | None

    @property
    def end_seconds(self) -> float:
        """End of the recording: of the video if there is one, else of the audio."""
        used = self.video or self.audio
        return used.end_seconds if used else 0.0

    def frames(self, fps: float) -> int:
        """T of the recording on the grid of `fps`.

        Raises:
            RecordingFailed: `unreadable`; it is shorter than one frame.
        """
        end = exact(self.end_seconds)
        frames = frame_count(end, fps) if self.video else math.floor(end * exact(fps))
        if frames < 1:
            raise RecordingFailed(
                FailureClass.UNREADABLE, f"{self.end_seconds} s is less than a frame at {fps} fps"
            )
        return frames

    def write(self, folder: Path) -> None:
        """Writes `scan.json`."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Scan":
        """Reads `scan.json`."""
        values = json.loads((folder / FILE).read_text())
        video, audio = values.pop("video"), values.pop("audio")
        return cls(
            **values,
            video=VideoStream(**video) if video else None,
            audio=AudioStream(**audio) if audio else None,
        )


def media_file(folder: Path) -> Path:
    """The `media.<ext>` in the artifact of `download`."""
    return next(path for path in sorted(folder.iterdir()) if path.stem == "media")


def scan(path: Path, limits: Limits = Limits()) -> Scan:
    """Reads the whole file, decodes one picture, and says what is there.

    Raises:
        RecordingFailed: `limit`; the text says which one.
    """
    import av

    size = path.stat().st_size
    _check(limits.max_bytes, size, "bytes")
    try:
        with open_container(path) as container:
            return _examine(path, container, size, limits)
    except av.error.FFmpegError as error:
        return Scan("unreadable", error.strerror or str(error), size, "", 0.0, None, None)


@dataclass(slots=True)
class _Track:
    """What is learned of one stream while its packets go by."""

    stream: Any
    origin: Fraction
    """t = 0, in the file's own seconds."""
    start: Fraction | None = None
    end: Fraction = Fraction(0)
    packets: int = 0
    discarded: int = 0
    constant: bool = True
    picture: Any = None
    """The first decoded video frame."""
    _waiting: list[Fraction] = field(default_factory=list)
    _ordered: int = 0

    def add(self, packet: Any) -> None:
        """Takes the next packet of the stream."""
        if self.stream.type == "video" and self.picture is None:
            self.picture = _first_picture(packet)
        ticks = packet.dts if packet.pts is None else packet.pts
        if ticks is None:
            return
        if packet.is_discard:
            self.discarded += 1
            return
        at = Fraction(ticks * packet.time_base) - self.origin
        self.start = at if self.start is None else min(self.start, at)
        self.end = max(self.end, at + self._duration(packet))
        self.packets += 1
        heapq.heappush(self._waiting, at)
        if len(self._waiting) > _REORDER:
            self._next_in_order()

    def finish(self) -> None:
        """Takes what is still waiting."""
        while self._waiting:
            self._next_in_order()

    def _next_in_order(self) -> None:
        """Checks that the next presented packet is where a constant rate puts it."""
        at = heapq.heappop(self._waiting)
        self.constant = self.constant and self._rate > 0 and at * self._rate == self._ordered
        self._ordered += 1

    def _duration(self, packet: Any) -> Fraction:
        if packet.duration:
            return Fraction(packet.duration * self.stream.time_base)
        return 1 / self._rate if self._rate else Fraction(0)

    @property
    def _rate(self) -> Fraction:
        """Average frames per second; 0 if it is not known, or not video."""
        return Fraction(getattr(self.stream, "average_rate", None) or 0)

    @property
    def promised(self) -> Fraction | None:
        """Where the stream's own header says that it ends."""
        if self.stream.duration is None or self.start is None:
            return None
        return self.start + Fraction(self.stream.duration * self.stream.time_base)


def _first_picture(packet: Any) -> Any:
    import av

    try:
        return next(iter(packet.decode()), None)
    except av.error.FFmpegError:
        return None


def _examine(path: Path, container: Any, size: int, limits: Limits) -> Scan:
    """Demuxes an open container to its end and draws up the scan."""
    import av

    _check(limits.max_streams, len(container.streams), "streams")
    video = _choose_video(container.streams.video)
    if video:
        _check(limits.max_pixels, video.codec_context.width * video.codec_context.height, "pixels")
        video.codec_context.thread_count = 1
    origin = Fraction(container.start_time or 0, av.time_base)
    tracks = [_Track(stream, origin) for stream in container.streams]
    broken = ""
    try:
        for packet in container.demux():
            tracks[packet.stream_index].add(packet)
    except av.error.FFmpegError as error:
        broken = error.strerror or str(error)
    for track in tracks:
        track.finish()
    _check(limits.max_seconds, float(max(track.end for track in tracks)), "seconds")

    seen = [track for track in tracks if track.packets]
    picture = tracks[video.index] if video else None
    sound = _choose_audio(path, [track for track in seen if track.stream.type == "audio"])
    used = [track for track in (picture, sound) if track]
    reason = _unreadable(picture, sound)
    verdict: Literal["good", "truncated", "unreadable"] = "unreadable" if reason else "good"
    if not reason:
        reason = _missing(container, origin, used, seen) or broken
        verdict = "truncated" if reason else "good"
    return Scan(
        verdict,
        reason,
        size,
        container.format.name,
        _rounded(origin),
        _video_stream(picture) if picture and picture.picture else None,
        _audio_stream(sound) if sound else None,
    )


def _choose_video(streams: Iterable[Any]) -> Any:
    """The video stream to use, or None: see the module's docstring."""
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails
    moving = [stream for stream in streams if not stream.disposition & still]
    return min(moving, key=_video_rank, default=None)


def _video_rank(stream: Any) -> tuple[bool, int, int]:
    context = stream.codec_context
    return not _is_default(stream), -context.width * context.height, stream.index


def _choose_audio(path: Path, tracks: list[_Track]) -> _Track | None:
    """The audio track to use, or None: see the module's docstring."""
    ranked = sorted(tracks, key=lambda track: not _is_default(track.stream))
    if len(ranked) < 2:
        return ranked[0] if ranked else None
    return next((t for t in ranked if not _is_silent(path, t.stream.index)), ranked[0])


def _is_default(stream: Any) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.default)


def _is_silent(path: Path, index: int) -> bool:
    """True if no sample of the stream exceeds -60 dB of full scale; decodes until one does."""
    import av
    import numpy as np

    try:
        with open_container(path) as container:
            resampler = av.AudioResampler(format="fltp")
            for frame in container.decode(container.streams[index]):
                for chunk in resampler.resample(frame):
                    if np.abs(chunk.to_ndarray()).max(initial=0) > _SILENCE_PEAK:
                        return False
    except av.error.FFmpegError:
        return True
    return True


def _unreadable(video: _Track | None, audio: _Track | None) -> str:
    """Why nothing can be made of the file, or an empty text."""
    if video and video.picture is None:
        return "no picture of its video decodes"
    if not video and not audio:
        return "it holds neither video nor audio"
    return ""


def _missing(container: Any, origin: Fraction, used: list[_Track], seen: list[_Track]) -> str:
    """What the header promises and the file does not hold, or an empty text."""
    import av

    for track in used:
        if track.promised and _falls_short(track.end, track.promised):
            return _short(track.stream.type, track.end, track.promised)
    if container.duration and not _TRUSTED_DURATION.isdisjoint(container.format.name.split(",")):
        end = max(track.end for track in seen) + origin
        promised = Fraction(container.duration, av.time_base)
        if _falls_short(end, promised):
            return _short("file", end, promised)
    return ""


def _falls_short(end: Fraction, promised: Fraction) -> bool:
    """True if more is missing than headers are wrong by: half a second, of short files a tenth."""
    return promised - end > min(Fraction(1, 2), promised / 10)


def _short(what: str, end: Fraction, promised: Fraction) -> str:
    return f"its {what} ends at {float(end):.2f} s, its header says {float(promised):.2f} s"


def _video_stream(track: _Track) -> VideoStream:
    stream, picture = track.stream, track.picture
    return VideoStream(
        index=stream.index,
        codec=stream.codec_context.name,
        width=picture.width,
        height=picture.height,
        rotation=-picture.rotation % 360,
        pixel_format=picture.format.name,
        average_rate=str(stream.average_rate or 0),
        end_seconds=_rounded(track.end),
        packets=track.packets,
        constant=track.constant and not track.discarded,
    )


def _audio_stream(track: _Track) -> AudioStream:
    context = track.stream.codec_context
    return AudioStream(
        index=track.stream.index,
        codec=context.name,
        sample_rate=context.sample_rate,
        channels=context.channels,
        start_seconds=_rounded(track.start or Fraction(0)),
        end_seconds=_rounded(track.end),
    )


def _rounded(seconds: Fraction) -> float:
    """To the microsecond: the same text everywhere, and finer than any container's clock."""
    return round(float(seconds), 6)


def _check(limit: float, value: float, unit: str) -> None:
    if value > limit:
        raise RecordingFailed(
            FailureClass.LIMIT, f"it has {value:.12g} {unit}, the limit is {limit:.12g}"
        )
