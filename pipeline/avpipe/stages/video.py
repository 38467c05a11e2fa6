"""video: the recording's pictures on the dataset's time grid.

In:  `download`, a media file and its scan.
Out: `video.mp4`, T frames of h264 yuv420p at a constant rate, upright, and `video.json`. Frame t is
     the last one presented at or before t / fps seconds (the first one, before that); the last one
     is held to the end. A recording without video has no `video.mp4`, and `video.json` says so.

A file that is already what would come out, and decodes, is copied packet by packet instead of
encoded again. In one with a scratch the decoder hides it, as `avpipe.media.ffmpeg` allows.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avpipe.config import runtime_only
from avpipe.errors import FailureClass, RecordingFailed
from avpipe.media import Scan, decodes, ffmpeg, scan
from avpipe.media.facts import VideoStream, media_file
from avpipe.stages import Facts, Job, Pool
from avpipe.timegrid import exact

NEEDS: tuple[str, ...] = ("download",)
POOL: Pool = "cpu"
VERSION = 2

GRAPH = (
    "scale=iw:ih,tpad=stop_duration=1:stop_mode=clone,fps={fps}:start_time=0:round=up,"
    "tpad=stop=-1:stop_mode=clone,trim=end_frame={frames},"
    "pad=ceil(iw/2)*2:ceil(ih/2)*2,scale=out_range=tv,format=yuv420p"
)
"""The first `scale` keeps the first picture's size where a stream changes its own. `round=up` shows
at t / fps the last frame at or before it; without the first `tpad` a last frame that ends before
the next instant of the grid would be lost. 4:2:0 colour needs even sizes."""


@dataclass(frozen=True, slots=True)
class Config:
    """Parameters of `video`."""

    fps: float = 25.0
    """Frames per second of the grid."""
    crf: int = 18
    """x264's constant rate factor: 0 is lossless, 18 hardly visible, 51 the worst."""
    preset: str = "veryfast"
    """x264's preset: speed against size."""
    allow_missing: bool = False
    """A recording without video is a success that has none, not the failure `no_video`."""
    timeout_seconds: float = runtime_only(3600.0)
    """After these ffmpeg is killed."""


def tool(config: Config) -> Facts:
    """The ffmpeg build and the filter graph."""
    return {**ffmpeg.identity(), "graph": GRAPH}


def run(job: Job) -> Facts:
    """Writes `video.json`, and `video.mp4` if there is video.

    Raises:
        RecordingFailed: `no_video`, `unreadable`, or what `avpipe.media.ffmpeg.run` raises.
    """
    config: Config = job.config
    source = Scan.read(job.inputs["download"])
    if source.video is None and not config.allow_missing:
        raise RecordingFailed(FailureClass.NO_VIDEO, "it has no video stream")
    frames = source.frames(config.fps)
    facts: Facts = {"present": False, "frames": frames, "fps": config.fps}
    copied = False
    if source.video:
        target = job.out / "video.mp4"
        media = media_file(job.inputs["download"])
        if is_on_grid(source.video, frames, config.fps):
            command = ffmpeg.output(media, source.video.index, target, vcodec="copy")
            ffmpeg.run(command, config.timeout_seconds)
            copied = decodes(target)
        if not copied:
            ffmpeg.run(_encode(media, source.video, frames, target, config), config.timeout_seconds)
        written = _verify(target, frames, config.fps)
        facts |= {"present": True, "width": written.width, "height": written.height}
    (job.out / "video.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    return {**facts, "copied": copied}


def is_on_grid(video: VideoStream, frames: int, fps: float) -> bool:
    """True if the stream is what `video` would write: then its packets can be copied."""
    return (
        (video.codec, video.pixel_format, video.rotation) == ("h264", "yuv420p", 0)
        and video.constant
        and exact(video.average_rate) == exact(fps)
        and video.packets == frames
    )


def _encode(media: Path, video: VideoStream, frames: int, target: Path, config: Config) -> Any:
    """The command that decodes, turns upright, resamples and encodes."""
    graph = GRAPH.format(fps=exact(config.fps), frames=frames)
    return ffmpeg.output(
        media,
        video.index,
        target,
        decoding={"reinit_filter": 0},  # a new graph would begin to count frames again
        vf=graph,
        vcodec="libx264",
        crf=config.crf,
        preset=config.preset,
    )


def _verify(target: Path, frames: int, fps: float) -> VideoStream:
    """The stream that was written; the recording is unreadable if it is not T frames."""
    written = scan(target).video
    if written is None or not is_on_grid(written, frames, fps):
        shown = written.packets if written else 0
        raise RecordingFailed(
            FailureClass.UNREADABLE, f"its video decodes to {shown} frames instead of {frames}"
        )
    return written
