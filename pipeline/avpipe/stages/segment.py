"""segment: which frame ranges of a recording are worth having.

Takes the keypoints of `detect` and the sound of `audio`; gives `segments.json` {"frames": T,
"segments": [[start, stop], ...], "reason": why there is none, or null} and, to look at,
`bands.sidecar.json` {"visible", "sounding": half-open runs of frames}. No segment is a success: the
reason is `no_hands` (nowhere long enough), `silent`, or `short` (the recording itself).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from avpipe.errors import AvpipeError, FailureClass, RecordingFailed
from avpipe.keypoints import files, find_segments, hand_visibility
from avpipe.keypoints.segments import runs
from avpipe.silence import SilenceThresholds, sounding
from avpipe.stages import Facts, Job, Pool
from avpipe.timegrid import exact
from avpipe.types import Bool, Recording, Segment

NEEDS = ("detect", "audio")
POOL: Pool = "cpu"
VERSION = 1


@dataclass(frozen=True)
class Config:
    """Parameters of `segment`."""

    source: Literal["hands", "given", "whole"] = "hands"
    """Where hands are visible; or the recording's `start_seconds` to `stop_seconds`, taken as they
    stand (an open end is the recording's own); or all of it. A recording without video has no
    hands to look for: `hands` is then `whole`."""
    min_frames: int = 150
    """Least visible frames in a segment of `hands`, least length of one of `whole`."""
    max_gap: int = 5
    """Most frames in a row without a visible hand inside a segment."""
    split_silence: bool = True
    """Split segments of `hands` and `whole` at silences."""
    silence_open_db: float = SilenceThresholds.open_db
    """A silence ends with a frame louder than this (relative to the recording's level)."""
    silence_close_db: float = SilenceThresholds.close_db
    """A sound ends with a frame softer than this."""
    silence_floor_dbfs: float = SilenceThresholds.floor_dbfs
    """Frames below this (full scale) are silent in any recording."""
    silence_min_seconds: float = SilenceThresholds.min_silence_seconds
    """Shorter silences do not split."""
    sound_min_seconds: float = SilenceThresholds.min_sound_seconds
    """Shorter sounds between silences are part of the silence."""
    legacy: bool = False
    """Hands as the published Solos code found them, and no silence: for comparison with its
    released timestamps."""
    fps: float = 25
    """Frames per second of the grid; the dataset's."""
    sample_rate: int = 11025
    """Hz; the dataset's."""

    def __post_init__(self) -> None:
        if self.min_frames < 1 or self.max_gap < 0:
            raise ValueError("min_frames must be at least 1 and max_gap at least 0")
        _ = self.thresholds

    @property
    def thresholds(self) -> SilenceThresholds:
        """The silence parameters."""
        return SilenceThresholds(
            open_db=self.silence_open_db,
            close_db=self.silence_close_db,
            floor_dbfs=self.silence_floor_dbfs,
            min_silence_seconds=self.silence_min_seconds,
            min_sound_seconds=self.sound_min_seconds,
        )


def tool(config: Config) -> Facts:
    """Nothing outside avpipe shapes the result."""
    return {}


def run(job: Job) -> Facts:
    """Writes the segments; facts: their count and seconds, visible and sounding seconds."""
    config: Config = job.config
    frames = _frames(job.inputs)
    visible = _visible(job.inputs.get("detect"), config)
    sound = _sounding(job.inputs.get("audio"), frames, config)
    reason = None
    if config.source == "given":
        segments = [_given(job.recording, frames, config.fps)]
    else:
        segments = _search(visible, sound, frames, config)
        if not segments:
            heard = np.ones(frames, np.bool_)
            without_hands = "short" if visible is None else "no_hands"
            reason = "silent" if _search(visible, heard, frames, config) else without_hands
    bands = {"visible": _ranges(visible), "sounding": _ranges(sound)}
    ranges = [[s.start, s.stop] for s in segments]
    _write(job.out / "segments.json", {"frames": frames, "segments": ranges, "reason": reason})
    _write(job.out / "bands.sidecar.json", bands)
    return {
        "frames": frames,
        "segments": len(segments),
        "seconds": _seconds(sum(len(s) for s in segments), config.fps),
        "visible_seconds": None if visible is None else _seconds(visible.sum(), config.fps),
        "sounding_seconds": None if sound is None else _seconds(sound.sum(), config.fps),
        "reason": reason,
    }


def _search(visible: Bool | None, sound: Bool | None, frames: int, config: Config) -> list[Segment]:
    """Segments within every sounding stretch; without `visible` the stretches themselves."""
    wanted = np.ones(frames, np.bool_) if visible is None else visible
    if sound is None:
        sound = np.ones(frames, np.bool_)
    legacy = config.legacy and visible is not None
    return [
        Segment(int(start) + found.start, int(start) + found.stop)
        for start, stop in zip(*runs(sound), strict=True)
        for found in find_segments(wanted[start:stop], config.min_frames, config.max_gap, legacy)
    ]


def _given(recording: Recording, frames: int, fps: float) -> Segment:
    """The manifest's times on the grid; what lies beyond the recording is cut off."""
    start_seconds = recording.start_seconds or 0.0
    start = round(exact(start_seconds) * exact(fps))
    stop = frames
    if recording.stop_seconds is not None:
        stop = min(frames, round(exact(recording.stop_seconds) * exact(fps)))
    if not 0 <= start < stop:
        raise RecordingFailed(
            FailureClass.TRUNCATED,
            f"given segment {start_seconds} to {recording.stop_seconds} s holds no frame of the"
            f" recording, which is {float(frames / exact(fps)):.3f} s long: correct its times",
            permanent=True,
        )
    return Segment(start, stop)


def _frames(inputs: Any) -> int:
    """T, as every input must have it."""
    counts = {
        stage: json.loads((inputs[stage] / f"{stage}.json").read_text(encoding="utf-8"))["frames"]
        for stage in NEEDS
        if stage in inputs
    }
    if len(set(counts.values())) != 1:
        raise AvpipeError(f"inputs must agree on the number of frames, not {counts}")
    return int(next(iter(counts.values())))


def _visible(detect: Path | None, config: Config) -> Bool | None:
    """Where hands are visible; None if the source does not ask, or there is no video."""
    if config.source != "hands":
        return None
    if detect is None:
        raise AvpipeError(
            "segment.source = 'hands' needs detected keypoints; use 'whole' or 'given'"
        )
    summary = files.read_summary(detect / "detect.json")
    if not summary.present:
        return None
    if "skeleton" not in summary.fields:
        raise AvpipeError(
            f"segment.source = 'hands' needs the field skeleton; there is {list(summary.fields)}"
        )
    skeleton = files.load(detect, "skeleton", summary.fields["skeleton"])
    return hand_visibility(skeleton.confidence, skeleton.topology, config.legacy)


def _sounding(audio: Path | None, frames: int, config: Config) -> Bool | None:
    """Where it sounds; None if nobody asks, or there is no sound."""
    if audio is None or config.legacy or not config.split_silence or config.source == "given":
        return None
    if not json.loads((audio / "audio.json").read_text(encoding="utf-8"))["present"]:
        return None
    import soundfile

    samples, _ = soundfile.read(audio / "audio.wav", dtype="int16")
    sound = sounding(samples, config.fps, config.sample_rate, config.thresholds)
    if len(sound) != frames:
        raise AvpipeError(f"audio.wav holds {len(sound)} frames of sound, not {frames}")
    return sound


def _seconds(frames: int, fps: float) -> float:
    return round(int(frames) / fps, 3)


def _ranges(mask: Bool | None) -> list[list[int]]:
    if mask is None:
        return []
    return [[int(a), int(b)] for a, b in zip(*runs(mask), strict=True)]


def _write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, sort_keys=True) + "\n", encoding="utf-8")
