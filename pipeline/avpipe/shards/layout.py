"""The layout of a shard as `schemas/shard.toml` declares it, and the attributes it gives a file."""

import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any

from avpipe.errors import UsageError
from avpipe.resources import folder
from avpipe.shards.members import DatasetFacts, Member, canonical

Attributes = dict[str, Any]
"""Name -> text, number or flat list, as HDF5 attributes hold them."""


@dataclass(frozen=True)
class Column:
    """One dataset of every recording's group."""

    name: str
    dtype: str
    axes: tuple[str, ...]
    unit: str
    chunk_seconds: float

    def shape(self, frames: int, samples: int, joints: int) -> tuple[int, ...]:
        """Its shape for so many frames, samples and joints."""
        letters = {"T": frames, "N": samples, "K": joints, "xy": 2}
        return tuple(letters[axis] for axis in self.axes)

    def chunks(self, shape: tuple[int, ...], rows_per_second: float) -> tuple[int, ...]:
        """Chunk shape: `chunk_seconds` along time, whole in the other axes."""
        return (max(1, min(shape[0], round(self.chunk_seconds * rows_per_second))), *shape[1:])


@cache
def declared() -> dict[str, Any]:
    """`schemas/shard.toml`."""
    return tomllib.loads((folder("schemas") / "shard.toml").read_text(encoding="utf-8"))


def kind(field: str) -> str:
    """`audio` or `keypoints`: what kind of data a field holds."""
    kinds: dict[str, str] = declared()["kinds"]
    if field not in kinds:
        raise UsageError(f"no shard layout for field {field!r}; there are {', '.join(kinds)}")
    return kinds[field]


@cache
def columns(field: str) -> tuple[Column, ...]:
    """The columns of a field, in the order in which they are written."""
    table = declared()["columns"][kind(field)]
    return tuple(
        Column(name, c["dtype"], tuple(c["axes"]), c["unit"], c["chunk_seconds"])
        for name, c in sorted(table.items())
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
    if kind(field) == "audio":
        return attributes | {"sample_rate": facts.sample_rate}
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
    if kind(field) == "keypoints":
        attributes["detector"] = canonical(dict(member.detector))
    if frozen := member.frozen.get(field):
        attributes["frozen"] = list(frozen)
    return attributes
