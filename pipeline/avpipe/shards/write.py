"""Writes one shard: groups in id order, fixed format and no times, so that equal inputs give equal
bytes. The file is closed, opened again and checked before it gets its name.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from avpipe.errors import DatasetError
from avpipe.shards.check import crc32, shard_problems
from avpipe.shards.columns import read_columns
from avpipe.shards.layout import (
    Attributes,
    columns,
    declared,
    file_attributes,
    recording_attributes,
)
from avpipe.shards.members import DatasetFacts, Member, canonical, counts
from avpipe.shards.publish import published, sha256
from avpipe.timegrid import exact

Entry = dict[str, int | str]
"""What `MANIFEST.json` says of a shard: bytes, sha256, key and counts."""


@dataclass(frozen=True)
class ShardJob:
    """One shard to be written; it pickles, so any process may do it."""

    path: Path
    field: str
    facts: DatasetFacts
    members: tuple[Member, ...]
    """In id order, all with the field."""


def shard_key(job: ShardJob) -> str:
    """Digest of everything the bytes of a shard depend on."""
    members = [
        [
            m.id,
            recording_attributes(job.field, job.facts, m),
            [(s.start, s.stop) for s in m.segments],
        ]
        for m in job.members
    ]
    text = canonical([file_attributes(job.field, job.facts), members])
    return hashlib.sha256(text.encode()).hexdigest()


def write_shard(job: ShardJob) -> Entry:
    """Writes, checks and publishes a shard.

    Raises:
        DatasetError: an artifact is not what its member says, or the disk did not keep the data.
    """
    with published(job.path) as temporary:
        write(temporary, job)
        if problems := shard_problems(temporary):
            raise DatasetError(f"{job.path} was not written whole: {problems[0]}")
        return describe(temporary, job)


def describe(path: Path, job: ShardJob) -> Entry:
    """The entry of a shard that was written to `path`."""
    frames, samples = np.sum([counts(m, job.facts) for m in job.members], axis=0).tolist()
    sizes: Entry = {"frames": frames} | ({"samples": samples} if job.field == "audio" else {})
    return sizes | {
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "key": shard_key(job),
        "recordings": len(job.members),
        "segments": sum(len(m.segments) for m in job.members),
    }


def write(path: Path, job: ShardJob) -> None:
    """Writes the file, and no more."""
    libver = (declared()["libver"], declared()["libver"])
    with h5py.File(path, "w", libver=libver, track_order=False) as file:
        set_attributes(file, file_attributes(job.field, job.facts) | {"key": shard_key(job)})
        for member in job.members:
            _write_member(file, job, member)


def _write_member(file: h5py.File, job: ShardJob, member: Member) -> None:
    group = file.create_group(member.id)
    set_attributes(group, recording_attributes(job.field, job.facts, member))
    segments = np.array([(s.start, s.stop) for s in member.segments], dtype="<i8")
    group.create_dataset("segments", data=segments, track_times=False)
    arrays = read_columns(job.field, job.facts, member)
    for column in columns(job.field):
        rows = np.ascontiguousarray(arrays[column.name], dtype=column.dtype)
        rate = job.facts.sample_rate if column.axes[0] == "N" else exact(job.facts.fps)
        dataset = group.create_dataset(
            column.name,
            data=rows,
            chunks=column.chunks(rows.shape, float(rate)),
            track_times=False,
        )
        dataset.attrs["crc32"] = crc32(rows)


def set_attributes(target: h5py.Group, attributes: Attributes) -> None:
    """Attributes in the order of their names."""
    for name, value in sorted(attributes.items()):
        if isinstance(value, list):
            text = bool(value) and isinstance(value[0], str)
            value = np.array(value, dtype=h5py.string_dtype() if text else "<i8")
        target.attrs[name] = value
