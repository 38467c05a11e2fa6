"""audio: the recording's sound on the dataset's time grid.

In:  `download`, a media file and its scan.
Out: `audio.wav`, mono PCM of 16 bits, exactly as long as the video's T frames, and `audio.json`.
     Sample n is the instant n / sample_rate of the same timeline as the frames: sound that starts
     late or ends early is padded with silence, what lies outside is cut. A recording without
     sound has no `audio.wav`, and `audio.json` says so.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avpipe.config import runtime_only
from avpipe.errors import FailureClass, RecordingFailed
from avpipe.media import Scan, ffmpeg
from avpipe.media.facts import AudioStream, media_file
from avpipe.stages import Facts, Job, Pool
from avpipe.timegrid import sample_count

NEEDS: tuple[str, ...] = ("download",)
POOL: Pool = "cpu"
VERSION = 1

GRAPH = (
    "aresample=async=1:first_pts=0,aresample={sample_rate}:resampler=soxr,"
    "aformat=channel_layouts=mono,apad,atrim=end_sample={samples}"
)


@dataclass(frozen=True, slots=True)
class Config:
    """Parameters of `audio`."""

    sample_rate: int = 11025
    """Hz."""
    fps: float = 25.0
    """Frames per second of the grid: the sound is as long as a whole number of frames."""
    allow_missing: bool = False
    """A recording without sound is a success that has none, not the failure `no_audio`."""
    timeout_seconds: float = runtime_only(3600.0)
    """After these ffmpeg is killed."""


def tool(config: Config) -> Facts:
    """The ffmpeg build and the filter graph."""
    return {**ffmpeg.identity(), "graph": GRAPH}


def run(job: Job) -> Facts:
    """Writes `audio.json`, and `audio.wav` if there is sound.

    Raises:
        RecordingFailed: `no_audio`, `unreadable`, or what `avpipe.media.ffmpeg.run` raises.
    """
    config: Config = job.config
    source = Scan.read(job.inputs["download"])
    if source.audio is None and not config.allow_missing:
        raise RecordingFailed(FailureClass.NO_AUDIO, "it has no audio stream")
    frames = source.frames(config.fps)
    samples = sample_count(frames, config.fps, config.sample_rate)
    if source.audio:
        target = job.out / "audio.wav"
        media = media_file(job.inputs["download"])
        ffmpeg.run(_convert(media, source.audio, samples, target, config), config.timeout_seconds)
        _verify(target, samples, config.sample_rate)
    facts: Facts = {
        "present": source.audio is not None,
        "frames": frames,
        "samples": samples,
        "sample_rate": config.sample_rate,
    }
    (job.out / "audio.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    return facts


def _convert(media: Path, audio: AudioStream, samples: int, target: Path, config: Config) -> Any:
    """The command that decodes, resamples, mixes down and cuts to length."""
    graph = GRAPH.format(sample_rate=config.sample_rate, samples=samples)
    return ffmpeg.output(media, audio.index, target, af=graph, acodec="pcm_s16le")


def _verify(target: Path, samples: int, sample_rate: int) -> None:
    import soundfile

    written = soundfile.info(str(target))
    if (written.frames, written.samplerate, written.channels) != (samples, sample_rate, 1):
        raise RecordingFailed(
            FailureClass.UNREADABLE,
            f"its sound decodes to {written.frames} samples instead of {samples}",
        )
