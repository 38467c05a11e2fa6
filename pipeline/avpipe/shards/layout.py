"""The layout of a shard as `schemas/shard.toml` declares it, and the attributes it gives a file."""

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from avpipe.errors import UsageError
from avpipe.resources import folder
from avpipe.shards.members import DatasetFacts, Member
from avpipe.store import canonical
from avpipe.timegrid import sample_count
from avpipe.types import Segment

Attributes = dict[str, Any]
"""Name -> text, number or flat list, as HDF5 attributes hold them."""
Lengths = dict[str, int]
"""Letter of an axis -> its length."""


@dataclass(frozen=True)
class Column:
    """One dataset of every recording's group."""

    name: str
    dtype: str
    axes: tuple[str, ...]
    unit: str

    def shape(self, lengths: Lengths) -> tuple[int, ...]:
        """Its shape, given the length of every axis."""
        return tuple(lengths[axis] for axis in self.axes)


@dataclass(frozen=True)
class Storage:
    """How columns are stored."""

    chunk_seconds: float
    filters: Mapping[str, Any]
    """Compression, as h5py's `create_dataset` takes it."""

    def chunks(self, shape: tuple[int, ...], rows_per_second: float) -> tuple[int, ...]:
        """Chunk shape: `chunk_seconds` along time, whole in the other axes."""
        return (max(1, min(shape[0], round(self.chunk_seconds * rows_per_second))), *shape[1:])


@cache
def declared() -> dict[str, Any]:
    """`schemas/shard.toml`."""
    return tomllib.loads((folder("schemas") / "shard.toml").read_text(encoding="utf-8"))


def storage() -> Storage:
    """The declared storage."""
    return Storage(**declared()["storage"])


def kind(field: str) -> str:
    """The kind of a field's data: `audio`, `keypoints`, ..., a table of `columns` there."""
    kinds: dict[str, str] = declared()["kinds"]
    if field not in kinds:
        raise UsageError(f"no shard layout for field {field!r}; there are {', '.join(kinds)}")
    return kinds[field]


@cache
def columns(field: str) -> tuple[Column, ...]:
    """The columns of a field, in the order in which they are written."""
    table = declared()["columns"][kind(field)]
    return tuple(
        Column(name, c["dtype"], tuple(c["axes"]), c["unit"]) for name, c in sorted(table.items())
    )


def file_attributes(field: str, facts: DatasetFacts) -> Attributes:
    """Attributes of a shard of `field`; only what concerns this field, so that a change of another
    field's parameters leaves the file as it is."""
    attributes: Attributes = {
        "format": declared()["format"],
        "version": declared()["version"],
        "dataset": facts.name,
        "field": field,
        "fps": float(facts.fps),
        "licence": facts.licence,
        "source": facts.source,
        "columns": canonical(
            {c.name: {"dtype": c.dtype, "axes": c.axes, "unit": c.unit} for c in columns(field)}
        ),
    }
    if kind(field) in ("audio", "stems"):
        return attributes | {"sample_rate": facts.sample_rate}
    if kind(field) not in ("keypoints", "player_keypoints"):
        return attributes
    topology = facts.topologies[field]
    return attributes | {
        "topology": topology.name,
        "joints": list(topology.joints),
        "parents": list(topology.parents),
        "left_hand": list(topology.left_hand),
        "right_hand": list(topology.right_hand),
        "mirror": list(topology.mirror),
    }


def recording_attributes(field: str, facts: DatasetFacts, member: Member) -> Attributes:
    """Attributes of a recording's group."""
    attributes: Attributes = {
        "category": member.recording.category,
        "licence": member.recording.licence or facts.licence,
        "source": member.recording.url or facts.source,
        "frames": member.frames,
        "input": member.digests[field],
    }
    if kind(field) in ("keypoints", "player_keypoints", "crops"):
        attributes["detector"] = canonical(dict(member.detector))
    if frozen := member.frozen.get(field):
        attributes["frozen"] = list(frozen)
    if kind(field) in ("images", "crops", "player_images"):
        attributes |= {name: member.media[field][name] for name in ("step", "height", "width")}
    if "names" in (media := member.media.get(field, {})):
        attributes["names"] = list(media["names"])
    if "squares" in media:
        attributes["squares"] = [value for square in media["squares"] for value in square]
    return attributes


def lengths_of(
    shard: Mapping[str, Any], recording: Mapping[str, Any], segments: Iterable[Segment]
) -> Lengths:
    """The length of every axis of a recording's columns but B and M, which its content tells.

    Args:
        shard: attributes of the file.
        recording: attributes of the recording's group.
        segments: of the recording.
    """
    segments = list(segments)
    fps, rate = shard["fps"], shard.get("sample_rate", 0)
    ranges = [s.every(recording.get("step", 1)) for s in segments]
    named = len(recording.get("names", ()))
    images = sum(stop - start for start, stop in ranges) * max(1, named)
    return {
        "T": sum(map(len, segments)),
        "N": sum(sample_count(len(s), fps, rate) for s in segments),
        "K": len(shard.get("joints", ())),
        "xy": 2,
        "S": named,
        "P": named,
        "I": images,
        "I + 1": images + 1,
    }


def stored_bytes(field: str, facts: DatasetFacts, member: Member) -> int:
    """Bytes of a member's rows in a shard of `field`; for images and notes, as if they
    were spread evenly."""
    joints = facts.topologies[field].joints if field in facts.topologies else ()
    shard = {"fps": facts.fps, "sample_rate": facts.sample_rate, "joints": joints}
    media = member.media.get(field, {})
    lengths = lengths_of(shard, media, member.segments)
    for axis, total in (("B", media.get("bytes", 0)), ("M", media.get("notes", 0))):
        lengths[axis] = total * lengths["T"] // max(1, member.frames)
    return sum(
        math.prod(column.shape(lengths)) * np.dtype(column.dtype).itemsize
        for column in columns(field)
    )
