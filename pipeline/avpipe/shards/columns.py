"""Reads the columns of one recording from its artifacts: its segments, one after the other."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.annotations import NOTE, sounding
from avpipe.errors import DatasetError
from avpipe.keypoints import files
from avpipe.shards.layout import kind
from avpipe.shards.members import DatasetFacts, Member
from avpipe.timegrid import sample_count

Arrays = dict[str, npt.NDArray[Any]]
"""Column -> its rows."""


def read_columns(field: str, facts: DatasetFacts, member: Member) -> Arrays:
    """The rows of a member in a shard of `field`.

    Raises:
        DatasetError: the artifact does not hold what the member says.
    """
    folder = member.artifacts[field]
    match kind(field):
        case "audio":
            return {"audio": _audio(folder / "audio.wav", facts, member)}
        case "stems":
            return {"stems": _stems(folder / "stems.npy", facts, member)}
        case "notes":
            return _notes(folder / "notes.npy", facts, member)
        case "keypoints":
            return _keypoints(folder, field, facts, member)
        case "player_keypoints":
            return _players(folder, field, facts, member)
        case _:
            return _images(folder, field, member)


def _audio(path: Path, facts: DatasetFacts, member: Member) -> npt.NDArray[np.int16]:
    import soundfile

    total = sample_count(member.frames, facts.fps, facts.sample_rate)
    with soundfile.SoundFile(path) as wav:
        found = (wav.frames, wav.samplerate, wav.channels, wav.subtype)
        if found != (total, facts.sample_rate, 1, "PCM_16"):
            raise DatasetError(
                f"{member.id}: audio.wav has {found[0]} samples at {found[1]} Hz, {found[2]}"
                f" channels, {found[3]}; {member.frames} frames need {total} at"
                f" {facts.sample_rate} Hz, 1 channel, PCM_16: delete {path.parent} and build again"
            )
        parts = []
        for segment in member.segments:
            start, stop = segment.samples(facts.fps, facts.sample_rate, total)
            wav.seek(start)
            parts.append(wav.read(stop - start, dtype="int16"))
    return np.concatenate(parts)


def _stems(path: Path, facts: DatasetFacts, member: Member) -> npt.NDArray[np.float32]:
    total = sample_count(member.frames, facts.fps, facts.sample_rate)
    whole = np.load(path, mmap_mode="r", allow_pickle=False)
    if whole.shape != (total, len(member.media["stems"]["names"])):
        raise DatasetError(
            f"{member.id}: stems.npy is {whole.shape}, {member.frames} frames need {total} samples:"
            f" delete {path.parent} and build again"
        )
    ranges = [s.samples(facts.fps, facts.sample_rate, total) for s in member.segments]
    return np.concatenate([whole[start:stop] for start, stop in ranges])


def _notes(path: Path, facts: DatasetFacts, member: Member) -> Arrays:
    whole = np.load(path, allow_pickle=False)
    if whole.dtype != NOTE or len(whole) != member.media["notes"]["notes"]:
        raise DatasetError(
            f"{member.id}: notes.npy holds {whole.dtype} {whole.shape}, not"
            f" {member.media['notes']['notes']} notes: delete {path.parent} and build again"
        )
    kept = sounding(whole["onset_seconds"], whole["duration_seconds"], member.segments, facts.fps)
    return {name: whole[name][kept] for name in NOTE.names or ()}


def _images(folder: Path, field: str, member: Member) -> Arrays:
    each = max(1, len(member.media[field].get("names", ())))  # pictures a frame
    offsets = np.load(folder / f"{field}_offsets.npy", allow_pickle=False)
    jpeg = np.memmap(folder / f"{field}.mjpeg", np.uint8, mode="r")
    step = member.media[field]["step"]
    if len(offsets) != 1 + -(-member.frames // step) * each or offsets[-1] != len(jpeg):
        raise DatasetError(
            f"{member.id}: {field} has {len(offsets) - 1} images in {len(jpeg)} bytes, not one for"
            f" every {step} of {member.frames} frames: delete {folder} and build again"
        )
    kept = (s.every(step) for s in member.segments)
    ranges = [(start * each, stop * each) for start, stop in kept]
    sizes = [np.diff(offsets[start : stop + 1]) for start, stop in ranges]
    arrays = {
        "jpeg": np.concatenate([jpeg[offsets[start] : offsets[stop]] for start, stop in ranges]),
        "offsets": np.concatenate([[0], np.cumsum(np.concatenate(sizes))]),
    }
    if kind(field) == "crops":
        held = np.load(folder / f"{field}_held.npy", allow_pickle=False)
        arrays["held"] = np.concatenate([held[start:stop] for start, stop in ranges])
    return arrays


def _players(folder: Path, field: str, facts: DatasetFacts, member: Member) -> Arrays:
    media = member.media[field]
    wanted = facts.topologies[field].name
    if media["topology"] != wanted:
        raise DatasetError(_other_topology(member, field, media["topology"], wanted))
    numbers = range(1, 1 + len(media["names"]))
    whole = [files.load(folder, f"player_{number}", wanted) for number in numbers]
    if any(len(player) != member.frames or player.filled is None for player in whole):
        raise DatasetError(_incomplete(member, field, folder))
    return {
        name: np.concatenate(
            [
                np.stack([getattr(p, name)[s.start : s.stop] for p in whole], axis=1)
                for s in member.segments
            ]
        )
        for name in ("xy", "confidence", "filled")
    }


def _keypoints(folder: Path, field: str, facts: DatasetFacts, member: Member) -> Arrays:
    wanted = facts.topologies[field].name
    found = files.read_summary(folder / "interpolate.json").fields.get(field)
    if found != wanted:
        raise DatasetError(_other_topology(member, field, found, wanted))
    whole = files.load(folder, field, wanted)
    if len(whole) != member.frames or whole.filled is None:
        raise DatasetError(_incomplete(member, field, folder))
    arrays = {"xy": whole.xy, "confidence": whole.confidence, "filled": whole.filled}
    return {
        name: np.concatenate([array[s.start : s.stop] for s in member.segments])
        for name, array in arrays.items()
    }


def _other_topology(member: Member, field: str, found: str | None, wanted: str) -> str:
    return (
        f"{member.id}: {field} is {found}, the dataset's is {wanted}: one dataset has one"
        " topology a field, detect all recordings with one detector"
    )


def _incomplete(member: Member, field: str, folder: Path) -> str:
    return (
        f"{member.id}: {field} does not have {member.frames} frames, or was not interpolated:"
        f" delete {folder} and build again"
    )
