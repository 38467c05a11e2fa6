"""What is learned of a stream while its packets go by, and which streams are used.

Pictures attached to a song (cover art) are no video. Of several video streams the one marked
default is taken, of several marked the largest picture, then the first. Of several audio streams
the first one marked default, else the first; if that one is silent throughout (below -60 dB of
full scale) and another one is not, the other one.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from avpipe.media.source import open_container

_SILENCE_PEAK = 1e-3
_REORDER = 64
"""More packets than any codec holds back to reorder them."""
_LONGEST_GROUP = 1000
"""Packets without a key picture after which nothing is to be told of them."""


@dataclass(slots=True)
class Track:
    """What is learned of one stream while its packets go by, counted in ticks of its clock."""

    stream: Any
    origin: Fraction
    """t = 0, in the file's own seconds."""
    packets: int = 0
    discarded: int = 0
    constant: bool = True
    picture: Any = None
    """The first decoded video frame."""
    _first: int | None = None
    _end: int | None = None
    """Of packets that state their duration."""
    _last: int | None = None
    """Start of the last packet that does not."""
    _waiting: list[int] = field(default_factory=list)
    _ordered: int = 0
    _grid: tuple[int, int, int] | None = None

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
        self.packets += 1
        if self._first is None or ticks < self._first:
            self._first = ticks
        if duration := packet.duration:
            if self._end is None or ticks + duration > self._end:
                self._end = ticks + duration
        elif self._last is None or ticks > self._last:
            self._last = ticks
        if self.constant:
            heapq.heappush(self._waiting, ticks)
            if len(self._waiting) > _REORDER:
                self._next_in_order()

    def finish(self) -> None:
        """Takes what is still waiting."""
        while self.constant and self._waiting:
            self._next_in_order()

    def _next_in_order(self) -> None:
        """Checks that the next presented packet is where a constant rate puts it."""
        self._grid = self._grid or self._whole_numbers()
        scale, shift, step = self._grid
        ticks = heapq.heappop(self._waiting)
        self.constant = scale > 0 and ticks * scale - shift == self._ordered * step
        self._ordered += 1

    def _whole_numbers(self) -> tuple[int, int, int]:
        """(scale, shift, step) with which packet k at a constant rate is at the tick for which
        ticks * scale - shift = k * step; scale 0: there is no such rate."""
        tick, rate = Fraction(self.stream.time_base), self._rate
        parts = tick.denominator * self.origin.denominator * rate.denominator
        return (
            int(tick * rate * parts),
            int(self.origin * rate * parts),
            parts,
        )

    @property
    def start(self) -> Fraction | None:
        """Of its first presented packet, from t = 0."""
        return None if self._first is None else self._seconds(self._first)

    @property
    def end(self) -> Fraction:
        """Of its last presented packet, from t = 0; one without duration lasts a frame."""
        ends = [Fraction(0)]
        if self._end is not None:
            ends.append(self._seconds(self._end))
        if self._last is not None:
            ends.append(self._seconds(self._last) + (1 / self._rate if self._rate else 0))
        return max(ends)

    def _seconds(self, ticks: int) -> Fraction:
        return ticks * Fraction(self.stream.time_base) - self.origin

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


class LastGroup:
    """The last pictures of a stream that can be decoded together.

    Args:
        stream: of video.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._packets: list[Any] = []

    def add(self, packet: Any) -> None:
        """Takes the next packet of the file."""
        if packet.stream_index == self._stream.index and packet.size:
            if packet.is_keyframe or len(self._packets) > _LONGEST_GROUP:
                self._packets.clear()
            self._packets.append(packet)

    def is_cut(self) -> bool:
        """Whether the very last picture, and no other of them, has errors."""
        import av

        of_stream = self._stream.codec_context
        context = av.CodecContext.create(of_stream.codec.name, "r")
        context.extradata = of_stream.extradata
        context.options, context.thread_count = {"err_detect": "explode"}, 1
        wrong = []
        for number, packet in enumerate(self._packets, start=1):
            try:
                context.decode(packet)
            except av.error.FFmpegError:
                wrong.append(number)
        return bool(wrong) and wrong == [len(self._packets)]


def _first_picture(packet: Any) -> Any:
    import av

    try:
        return next(iter(packet.decode()), None)
    except av.error.FFmpegError:
        return None


def choose_video(streams: Iterable[Any]) -> Any:
    """The video stream to use, or None."""
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails
    videos = (stream for stream in streams if stream.type == "video" and stream.codec_context)
    moving = (stream for stream in videos if not stream.disposition & still)
    return min(moving, key=_video_rank, default=None)


def _video_rank(stream: Any) -> tuple[bool, int, int]:
    context = stream.codec_context
    return not _is_default(stream), -context.width * context.height, stream.index


def choose_audio(path: Path, tracks: list[Track]) -> Track | None:
    """The audio track to use, or None."""
    sounds = (t for t in tracks if t.stream.type == "audio" and t.stream.codec_context)
    ranked = sorted(sounds, key=lambda track: not _is_default(track.stream))
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
