"""What a media file holds, by reading all of its packets: facts, and a verdict.

t = 0 is the container's start after edit lists; all seconds here count from it. A header can
promise more than the file holds, so the ends are those of the packets that are there: the scan
decides whether a file is `good`, `truncated` (it ends before its header says) or `unreadable`.
"""

from fractions import Fraction
from pathlib import Path
from typing import Any

from avpipe.errors import FailureClass, RecordingFailed
from avpipe.limits import MediaLimits
from avpipe.media.ending import cut_short
from avpipe.media.facts import AudioStream, Scan, Verdict, VideoStream
from avpipe.media.source import open_container
from avpipe.media.tracks import LastGroup, Track, choose_audio, choose_video

_STATES_DURATION = {"matroska", "webm", "flv", "asf"}
"""Formats whose container states its duration; of others it is estimated from what is there."""
_STATES_NOTHING = {"mpegts", "mpeg"}
"""Formats made to be received from anywhere to anywhere: only its last picture may tell a cut."""
_LIMITS = MediaLimits()


def scan(path: Path, limits: MediaLimits = _LIMITS) -> Scan:
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
        reason = f"it is no media file of a known format, or its index is lost ({error.strerror})"
        return Scan("unreadable", reason if size else "it is empty", size, "", 0.0, None, None)


def _examine(path: Path, container: Any, size: int, limits: MediaLimits) -> Scan:
    """Demuxes an open container to its end and draws up the scan."""
    import av

    _check(limits.max_streams, len(container.streams), "streams")
    video = choose_video(container.streams)
    if video:
        _check(limits.max_pixels, video.codec_context.width * video.codec_context.height, "pixels")
        video.codec_context.thread_count = 1
    origin = Fraction(container.start_time or 0, av.time_base)
    tracks = [Track(stream, origin) for stream in container.streams]
    names = set(container.format.name.split(","))
    last_group = LastGroup(video) if video and names & _STATES_NOTHING else None
    broken = ""
    try:
        for packet in container.demux():
            if packet.stream_index < len(tracks):  # streams can begin in the middle of a file
                tracks[packet.stream_index].add(packet)
            if last_group:
                last_group.add(packet)
    except av.error.FFmpegError as error:
        broken = error.strerror or str(error)
    for track in tracks:
        track.finish()
    _check(limits.max_seconds, float(max((track.end for track in tracks), default=0)), "seconds")

    seen = [track for track in tracks if track.packets]
    picture = tracks[video.index] if video else None
    sound = choose_audio(path, seen)
    used = [track for track in (picture, sound) if track]
    reason = _unreadable(picture, sound)
    verdict: Verdict = "unreadable" if reason else "good"
    if not reason:
        reason = _missing(path, container, origin, used, seen) or broken
        if not reason and last_group and last_group.is_cut():
            reason = "its last picture is not whole"
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


def _unreadable(video: Track | None, audio: Track | None) -> str:
    """Why nothing can be made of the file, or an empty text."""
    if video and video.picture is None:
        return "no picture of its video decodes"
    if not video and not audio:
        return "it holds neither video nor audio"
    return ""


def _missing(
    path: Path, container: Any, origin: Fraction, used: list[Track], seen: list[Track]
) -> str:
    """What the header promises and the file does not hold, or an empty text."""
    import av

    names = set(container.format.name.split(","))
    for track in used:
        if track.promised and _falls_short(track.end, track.promised):
            return _short(track.stream.type, track.end, track.promised)
    if container.duration and names & _STATES_DURATION:
        end = max(track.end for track in seen) + origin
        promised = Fraction(container.duration, av.time_base)
        if _falls_short(end, promised):
            return _short("file", end, promised)
    return cut_short(path, names)


def _falls_short(end: Fraction, promised: Fraction) -> bool:
    """True if more is missing than headers are wrong by: half a second, of short files a tenth."""
    return promised - end > min(Fraction(1, 2), promised / 10)


def _short(what: str, end: Fraction, promised: Fraction) -> str:
    return f"its {what} ends at {float(end):.2f} s, its header says {float(promised):.2f} s"


def _video_stream(track: Track) -> VideoStream:
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


def _audio_stream(track: Track) -> AudioStream:
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
    return round(float(seconds), 6) + 0.0  # no negative zero


def _check(limit: float, value: float, unit: str) -> None:
    if value > limit:
        raise RecordingFailed(
            FailureClass.LIMIT, f"it has {value:.12g} {unit}, the limit is {limit:.12g}"
        )
