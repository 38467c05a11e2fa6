"""Whether pictures, sound and all that was found in them lie on one time line.

For each recording `avpipe verify` asks of its artifacts:

- T follows from the media file's own scan, and every stage has that T;
- `video.mp4` has T frames at the dataset's rate, counted packet by packet;
- `audio.wav` has exactly round(T * sample_rate / fps) samples, as the stems have;
- the sound is silent before it starts and after it ends in the container: had it been shifted
  against the pictures, it would not be;
- segments lie within the recording.

What was let go of after packing (`--keep`) is not asked; what holds in the shards, down to each
sample count, is checked by `avpipe.shards.verify`.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from avpipe.media import Scan, scan
from avpipe.store import Store
from avpipe.timegrid import exact, sample_count

Steps = Mapping[str, str]
"""Stage -> key, of one recording."""

RINGING_SECONDS = 0.02
"""So far the resampler and the codec smear an onset."""
SILENT = 2 / 32768
"""Full scale 1."""

_FACTS = {"segment": "segments.json"}
"""Stage -> file that says its `frames`, where it is not `<stage>.json`."""


def problems(
    store: Store, recordings: Mapping[str, Steps], damaged: Collection[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """(path of the artifact below the store's folder, problem) pairs.

    Args:
        store: of the artifacts.
        recordings: id -> its artifacts.
        damaged: artifacts (stage, key) that are not what they were, and are not looked at.
    """
    for name, steps in recordings.items():
        there = {
            stage: key
            for stage, key in steps.items()
            if (stage, key) not in damaged
            and store.path(stage, key).is_dir()
            and not store.is_released(stage, key)
        }
        for stage, problem in _of_recording(store, there):
            path = store.path(stage, there[stage]).relative_to(store.root.parent).as_posix()
            yield path, f"{name}: {problem}"


def _of_recording(store: Store, steps: Steps) -> Iterator[tuple[str, str]]:
    said = {stage: facts for stage, key in steps.items() if (facts := _facts(store, stage, key))}
    source, fps = None, _fps(store, steps)
    if "download" in steps:
        source = Scan.read(store.path("download", steps["download"]))
    if source is not None and fps is not None:
        frames, whose = source.frames(fps), "its media file"
    elif said:
        whose = next(iter(said))
        frames = said[whose]["frames"]
    else:
        return
    for stage, facts in said.items():
        if facts["frames"] != frames:
            yield stage, f"has {facts['frames']} frames, {whose} has {frames}"
    if "video" in said and said["video"]["present"]:
        yield from (("video", text) for text in _video(store, steps["video"], said["video"]))
    if "audio" in said and said["audio"]["present"] and fps is not None:
        yield from (
            ("audio", text) for text in _audio(store, steps["audio"], said["audio"], source, fps)
        )
    if "stems" in said and "audio" in said:
        own, other = said["stems"]["samples"], said["audio"]["samples"]
        if own != other:
            yield "stems", f"has {own} samples, the sound has {other}"
    for start, stop in said.get("segment", {}).get("segments", ()):
        if not 0 <= start < stop <= frames:
            yield "segment", f"segment [{start}, {stop}) lies outside its {frames} frames"


def _facts(store: Store, stage: str, key: str) -> dict[str, Any]:
    """What an artifact says of itself; empty where it says nothing of frames."""
    path = store.path(stage, key) / _FACTS.get(stage, f"{stage}.json")
    if not path.is_file():
        return {}
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value if "frames" in value else {}


def _fps(store: Store, steps: Steps) -> float | None:
    """Frames per second of the grid, as one of the stages that have it was told."""
    for stage in ("video", "audio", "segment"):
        if stage in steps:
            document = store.provenance(stage, steps[stage])["document"]
            return float(document["parameters"]["fps"])
    return None


def _video(store: Store, key: str, said: Mapping[str, Any]) -> Iterator[str]:
    found = scan(store.path("video", key) / "video.mp4").video
    if found is None:
        yield "video.mp4 holds no video"
        return
    if found.packets != said["frames"]:
        yield f"video.mp4 has {found.packets} frames, not {said['frames']}"
    if not found.constant or exact(found.average_rate) != exact(said["fps"]):
        yield f"video.mp4 runs at {found.average_rate} frames/s, not steadily at {said['fps']:g}"


def _audio(
    store: Store, key: str, said: Mapping[str, Any], source: Scan | None, fps: float
) -> Iterator[str]:
    import soundfile

    expected = sample_count(said["frames"], fps, said["sample_rate"])
    samples, rate = soundfile.read(store.path("audio", key) / "audio.wav", dtype="float32")
    if (samples.shape, rate) != ((expected,), said["sample_rate"]) or said["samples"] != expected:
        yield (
            f"audio.wav has {samples.shape} samples at {rate} Hz, {said['frames']} frames need"
            f" {expected} at {said['sample_rate']} Hz"
        )
        return
    if source is None or source.audio is None:
        return
    start = round((source.audio.start_seconds - RINGING_SECONDS) * rate)
    stop = round((source.audio.end_seconds + RINGING_SECONDS) * rate)
    for part, where, when in (
        (samples[: max(0, start)], "before it starts", source.audio.start_seconds),
        (samples[max(0, stop) :], "after it ends", source.audio.end_seconds),
    ):
        if np.abs(part).max(initial=0) > SILENT:
            yield f"audio.wav sounds {where} in the media file, at {when:.3f} s"
