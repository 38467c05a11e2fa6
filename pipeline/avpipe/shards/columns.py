"""Reads the columns of one recording from its artifacts: its segments, one after the other."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.errors import DatasetError
from avpipe.shards.layout import kind
from avpipe.shards.members import DatasetFacts, Member
from avpipe.timegrid import sample_count, sample_range

Arrays = dict[str, npt.NDArray[Any]]
"""Column -> its rows."""


def read_columns(field: str, facts: DatasetFacts, member: Member) -> Arrays:
    """The rows of a member in a shard of `field`.

    Raises:
        DatasetError: the artifact does not hold what the member says.
    """
    folder = member.artifacts[field]
    if kind(field) == "audio":
        return {"audio": _audio(folder / "audio.wav", facts, member)}
    return _keypoints(folder, field, facts, member)


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
            start, stop = sample_range(segment, facts.fps, facts.sample_rate, total)
            wav.seek(start)
            parts.append(wav.read(stop - start, dtype="int16"))
    return np.concatenate(parts)


def _keypoints(folder: Path, field: str, facts: DatasetFacts, member: Member) -> Arrays:
    topology = facts.topologies[field]
    named = json.loads((folder / "interpolate.json").read_text(encoding="utf-8"))["fields"]
    if named.get(field) != topology.name:
        raise DatasetError(
            f"{member.id}: {field} is {named.get(field)}, the dataset's is {topology.name}:"
            " one dataset has one topology a field, detect all recordings with one detector"
        )
    arrays = {}
    for name, shape in {"xy": (len(topology), 2), "confidence": (len(topology),)}.items():
        arrays[name] = _rows(folder / f"{field}_{name}.npy", shape, np.float32, member)
    arrays["filled"] = _rows(folder / f"{field}_filled.npy", (len(topology),), np.bool_, member)
    return arrays


def _rows(path: Path, shape: tuple[int, ...], dtype: Any, member: Member) -> npt.NDArray[Any]:
    whole = np.load(path, mmap_mode="r", allow_pickle=False)
    if whole.shape != (member.frames, *shape) or whole.dtype != dtype:
        raise DatasetError(
            f"{member.id}: {path.name} is {whole.dtype} {whole.shape}, expected"
            f" {np.dtype(dtype)} {(member.frames, *shape)}: delete {path.parent} and build again"
        )
    return np.concatenate([whole[s.start : s.stop] for s in member.segments])
