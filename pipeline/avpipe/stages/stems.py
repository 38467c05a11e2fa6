"""stems: what every instrument of a mixture plays, on its own.

In:  `download` of a recording that is a folder (`avpipe.fetch.tracks`): the mixture, whose length
     counts, and the players' tracks.
Out: `stems.npy`, (N, S) float32 in the scale of the mixture, a column a source, exactly as long as
     the audio of T frames, and `stems.json` with the sources' names. Players of one instrument are
     one source: their tracks are added up (Montesinos et al., "Solos", 2020, evaluate so).

The manifest's column `instruments` names the tracks in their order, wherever it is given: files are
misnamed in places (URMP's piece 15 calls its trombone a trumpet). Files that name the same
instruments in another order are a contradiction, which somebody has to resolve.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avpipe.config import runtime_only
from avpipe.errors import FailureClass, RecordingFailed
from avpipe.fetch import tracks
from avpipe.media import Scan, ffmpeg, scan
from avpipe.stages import Facts, Job, Pool, audio
from avpipe.timegrid import sample_count
from avpipe.types import Float32

NEEDS: tuple[str, ...] = ("download",)
POOL: Pool = "cpu"
VERSION = 1
COLUMNS = ("instruments",)


@dataclass(frozen=True, slots=True)
class Config:
    """Parameters of `stems`."""

    sample_rate: int = 11025
    """Hz; the dataset's."""
    fps: float = 25.0
    """Frames per second of the grid; the dataset's."""
    merge: bool = True
    """Add up the tracks of one instrument; False: every track is a source, the second violin
    is `vn-2`."""
    min_sources: int = 1
    """Mixtures of fewer sources are left out: there is nothing to separate in a duet of one
    instrument."""
    timeout_seconds: float = runtime_only(3600.0)
    """After these ffmpeg is killed."""


def tool(config: Config) -> Facts:
    """The ffmpeg build and the filter graph."""
    return {**ffmpeg.identity(), "graph": audio.GRAPH}


def run(job: Job) -> Facts:
    """Writes the sources.

    Raises:
        RecordingFailed: `no_audio`, there are no tracks; `limit`, there are fewer sources than
            wanted; `unreadable`, or what `tracks.names` and `avpipe.media.ffmpeg.run` raise.
    """
    config: Config = job.config
    folder = job.inputs["download"]
    found = tracks.linked(folder)
    if not found:
        raise RecordingFailed(
            FailureClass.NO_AUDIO,
            "it has no tracks of its players: its source must be a folder of folders as URMP's",
        )
    names = tracks.names([name for name, _ in found], job.recording.extra.get("instruments", ""))
    frames = Scan.read(folder).frames(config.fps)
    samples = sample_count(frames, config.fps, config.sample_rate)
    columns = sources_of(names, config.merge)
    sources = list(dict.fromkeys(columns))
    if len(sources) < config.min_sources:
        raise RecordingFailed(
            FailureClass.LIMIT,
            f"it has {len(sources)} sources ({' '.join(sources)}), stems.min_sources asks for"
            f" {config.min_sources}",
        )
    stems = np.zeros((samples, len(sources)), np.float32)
    for name, (_, path) in zip(columns, found, strict=True):
        stems[:, sources.index(name)] += _resampled(path, samples, job.out, config)
    np.save(job.out / "stems.npy", stems, allow_pickle=False)
    facts: Facts = {
        "present": True,
        "frames": frames,
        "samples": samples,
        "sample_rate": config.sample_rate,
        "names": sources,
    }
    (job.out / "stems.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    return {**facts, "tracks": len(found)}


def sources_of(names: list[str], merge: bool) -> list[str]:
    """The source that every track belongs to, by what the tracks are."""
    return names if merge else list(_numbered(names))


def _numbered(names: list[str]) -> Iterator[str]:
    """vn, vn, va -> vn, vn-2, va."""
    for i, name in enumerate(names):
        before = names[:i].count(name)
        yield f"{name}-{before + 1}" if before else name


def _resampled(path: Path, samples: int, out: Path, config: Config) -> Float32:
    """A track on the grid: (N,) float32."""
    import soundfile

    stream = scan(path).audio
    if stream is None:
        raise RecordingFailed(FailureClass.UNREADABLE, f"{path.name} holds no sound")
    graph = audio.GRAPH.format(sample_rate=config.sample_rate, samples=samples)
    with tempfile.TemporaryDirectory(dir=out) as place:
        target = Path(place) / "track.wav"
        command = ffmpeg.output(path, stream.index, target, af=graph, acodec="pcm_f32le")
        ffmpeg.run(command, config.timeout_seconds)
        track: Float32 = soundfile.read(target, dtype="float32")[0]
    if track.shape != (samples,):
        raise RecordingFailed(
            FailureClass.UNREADABLE, f"{path.name} decodes to {track.shape}, not ({samples},)"
        )
    return track
