"""What must hold inside a shard, whoever wrote it."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from avpipe.annotations import sounding
from avpipe.errors import AvpipeError
from avpipe.shards.layout import Column, columns, kind, lengths_of
from avpipe.shards.open import (
    attributes_of,
    column,
    dataset,
    group,
    open_shard,
    reading,
    topology_of,
)
from avpipe.timegrid import exact
from avpipe.types import Segment

Segments = dict[str, list[Segment]]


def shard_problems(path: Path) -> list[str]:
    """What is wrong in a shard, one line each; empty if nothing is."""
    try:
        with open_shard(path) as file, reading(path):
            return list(_file_problems(file))
    except AvpipeError as error:
        return [str(error)]


def shard_segments(path: Path) -> Segments:
    """Recording -> its segments, as the shard has them."""
    with open_shard(path) as file, reading(path):
        return {name: segments_of(group(file, name)) for name in file}


@dataclass(frozen=True)
class ShardFacts:
    """What must agree between the shards of a dataset."""

    grid: dict[str, float]
    """`fps`, and `sample_rate` where there is sound."""
    frames: dict[str, int]
    """Recording -> T of the whole recording."""


def shard_facts(path: Path) -> ShardFacts:
    """What a shard says of its time grid and of the lengths of its recordings."""
    with open_shard(path) as file, reading(path):
        attributes = attributes_of(file)
        grid: dict[str, float] = {
            name: attributes[name] for name in ("fps", "sample_rate") if name in attributes
        }
        frames = {name: int(attributes_of(group(file, name))["frames"]) for name in file}
        return ShardFacts(grid, frames)


def crc32(rows: npt.NDArray[Any]) -> int:
    """Checksum of the bytes of a column."""
    return zlib.crc32(rows.data)


def _file_problems(file: h5py.File) -> Iterator[str]:
    attributes = attributes_of(file)
    if "joints" in attributes:
        topology_of(file)
    for name in file:
        for problem in _recording_problems(group(file, name), attributes):
            yield f"{name}: {problem}"


def _recording_problems(recording: h5py.Group, shard: dict[str, Any]) -> Iterator[str]:
    try:
        segments = segments_of(recording)
    except AvpipeError as error:
        yield str(error)
        return
    attributes = attributes_of(recording)
    total = attributes["frames"]
    if not segments:
        yield "has no segment"
    if any(a.stop > b.start for a, b in pairwise(segments)):
        yield "segments overlap or are not in order"
    if segments and segments[-1].stop > total:
        yield f"a segment ends at frame {segments[-1].stop} of {total}"
    lengths = lengths_of(shard, attributes, segments)
    if "offsets" in recording:
        lengths["B"] = int(dataset(recording, "offsets")[-1])
    if "onset_seconds" in recording:
        lengths["M"] = len(dataset(recording, "onset_seconds"))
    found: dict[str, npt.NDArray[Any]] = {}
    for spec in columns(shard["field"]):
        stored = column(recording, spec)
        expected = spec.shape(lengths)
        if stored.shape != expected:
            yield f"{spec.name} is {stored.shape}, its segments need {expected}"
            continue
        rows = stored[()]
        if crc32(rows) != int(stored.attrs["crc32"]):
            yield f"{spec.name} is damaged: its checksum is not the one it was written with"
        yield from _value_problems(spec, rows)
        found[spec.name] = rows
    if kind(shard["field"]) == "notes" and len(found) == len(columns(shard["field"])):
        yield from _note_problems(found, attributes, segments, shard["fps"])


def _value_problems(spec: Column, rows: npt.NDArray[Any]) -> Iterator[str]:
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        yield f"{spec.name} holds values that are not finite"
    elif spec.name == "confidence" and ((rows < 0) | (rows > 1)).any():
        yield f"confidence lies in [{rows.min()}, {rows.max()}], not in [0, 1]"
    elif spec.name == "offsets" and (rows[0] != 0 or (np.diff(rows) <= 0).any()):
        yield "offsets do not start at 0 or do not grow"


def _note_problems(
    notes: Mapping[str, npt.NDArray[Any]],
    attributes: Mapping[str, Any],
    segments: Sequence[Segment],
    fps: float,
) -> Iterator[str]:
    onset, duration = notes["onset_seconds"], notes["duration_seconds"]
    end, length = onset + duration, float(attributes["frames"] / exact(fps))
    late = end > length * (1 + 1e-12)
    for wrong, what in (
        ((onset < 0) | late, f"lie outside the {length:g} s of the recording"),
        (duration <= 0, "last no time"),
        (notes["pitch_hz"] <= 0, "have no pitch"),
        (np.diff(onset, prepend=onset[:1]) < 0, "are not in the order of their onsets"),
        (~sounding(onset, duration, segments, fps), "sound in no segment"),
        (notes["player"] < 0, "are of no player"),
        (
            (notes["source"] < 0) | (notes["source"] >= len(attributes["names"])),
            "are of no source that is named",
        ),
    ):
        if wrong.any():
            first = onset[int(np.flatnonzero(wrong)[0])]
            yield f"{wrong.sum()} notes {what}; the first of them begins at {first} s"


def segments_of(recording: h5py.Group) -> list[Segment]:
    """The segments of a recording, as its shard has them."""
    stored = dataset(recording, "segments")
    if stored.dtype.str != "<i8" or stored.ndim != 2 or stored.shape[1] != 2:
        raise ValueError(f"{stored.name} is {stored.dtype} {stored.shape}, not int64 (n, 2)")
    return [Segment(start, stop) for start, stop in stored[()].tolist()]
