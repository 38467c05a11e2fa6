"""Writes one shard: groups in id order, fixed format and no times, so that equal inputs give equal
bytes. The file is closed, opened again and checked before it gets its name.
"""

import errno
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from avpipe.errors import DatasetError
from avpipe.shards.check import crc32, shard_problems
from avpipe.shards.columns import read_columns
from avpipe.shards.layout import (
    Attributes,
    Storage,
    columns,
    declared,
    file_attributes,
    recording_attributes,
    storage,
    stored_bytes,
)
from avpipe.shards.members import DatasetFacts, Member, counts
from avpipe.shards.publish import published
from avpipe.store import canonical, sha256_file, sha256_text
from avpipe.timegrid import exact
from avpipe.types import Segment

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
    return key_of(
        file_attributes(job.field, job.facts),
        ((m.id, recording_attributes(job.field, job.facts, m), m.segments) for m in job.members),
    )


def key_of(
    attributes: Attributes, recordings: Iterable[tuple[str, Attributes, Sequence[Segment]]]
) -> str:
    """The key of a shard with these attributes and, in order, these recordings."""
    members = [
        [name, of, [(s.start, s.stop) for s in segments]] for name, of, segments in recordings
    ]
    return sha256_text(canonical([attributes, members]))


def write_shard(job: ShardJob) -> Entry:
    """Writes, checks and publishes a shard.

    Raises:
        DatasetError: an artifact is not what its member says, the disk is full, or it did not
            keep the data.
    """
    _require_space(job)
    with published(job.path) as temporary:
        write(temporary, job, storage())
        if problems := shard_problems(temporary):
            raise DatasetError(f"{job.path} was not written whole: {problems[0]}")
        return describe(temporary, job)


def _require_space(job: ShardJob) -> None:
    """HDF5 takes a full disk badly: it is told before."""
    job.path.parent.mkdir(parents=True, exist_ok=True)
    rows = sum(stored_bytes(job.field, job.facts, member) for member in job.members)
    needed = round(rows * 1.05) + 2**20
    free = shutil.disk_usage(job.path.parent).free
    if free < needed:
        raise DatasetError(
            f"cannot write {job.path}: it needs {needed / 1e6:,.0f} MB and {free / 1e6:,.0f} MB"
            " are free: make room and build again"
        )


def describe(path: Path, job: ShardJob) -> Entry:
    """The entry of a shard that was written to `path`."""
    frames, samples = np.sum([counts(m, job.facts) for m in job.members], axis=0).tolist()
    sizes: Entry = {"frames": frames} | ({"samples": samples} if job.field == "audio" else {})
    return sizes | {
        "bytes": path.stat().st_size,
        "sha256": sha256_file(path),
        "key": shard_key(job),
        "recordings": len(job.members),
        "segments": sum(len(m.segments) for m in job.members),
    }


def write(path: Path, job: ShardJob, store: Storage) -> None:
    """Writes the file, and no more."""
    libver = (declared()["libver"], declared()["libver"])
    try:
        with h5py.File(path, "w", libver=libver, track_order=False) as file:
            set_attributes(file, file_attributes(job.field, job.facts) | {"key": shard_key(job)})
            for member in job.members:
                _write_member(file, job, member, store)
    except RuntimeError as error:  # what h5py makes of a write that fails when the file is closed
        raise OSError(errno.EIO, str(error)) from error


def _write_member(file: h5py.File, job: ShardJob, member: Member, store: Storage) -> None:
    attributes = recording_attributes(job.field, job.facts, member)
    group = create_group(file, member.id, attributes, member.segments)
    arrays = read_columns(job.field, job.facts, member)
    frames = sum(map(len, member.segments))
    rates = {"N": float(job.facts.sample_rate), "T": float(exact(job.facts.fps))}
    rates["M"] = 256 / store.chunk_seconds  # chunks of 256 notes: they are few
    for column in columns(job.field):
        rows = np.ascontiguousarray(arrays[column.name], dtype=column.dtype)
        rate = rates.get(column.axes[0], len(rows) * job.facts.fps / frames)
        create_column(group, column.name, rows, store.chunks(rows.shape, rate), store)


def create_group(
    file: h5py.File, name: str, attributes: Attributes, segments: Sequence[Segment]
) -> h5py.Group:
    """The group of a recording, without its columns."""
    group = file.create_group(name)
    set_attributes(group, attributes)
    ranges = np.array([(s.start, s.stop) for s in segments], dtype="<i8")
    group.create_dataset("segments", data=ranges, track_times=False)
    return group


def create_column(
    group: h5py.Group,
    name: str,
    rows: npt.NDArray[Any],
    chunks: tuple[int, ...],
    store: Storage,
) -> None:
    """A column of a recording with its checksum."""
    chunked = {"chunks": chunks, **store.filters} if rows.size else {}
    dataset = group.create_dataset(name, data=rows, **chunked, track_times=False)
    dataset.attrs["crc32"] = crc32(rows)


def set_attributes(target: h5py.Group, attributes: Attributes) -> None:
    """Attributes in the order of their names; text has a fixed length, since HDF5 keeps that in
    the object's header, under its checksum."""
    for name, value in sorted(attributes.items()):
        target.attrs[name] = _stored(value)


def _stored(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        text = value.encode()
        return np.array(text, dtype=h5py.string_dtype("utf-8", max(1, len(text))))
    if value and isinstance(value[0], str):
        texts = [text.encode() for text in value]
        return np.array(texts, dtype=h5py.string_dtype("utf-8", max(1, *map(len, texts))))
    return np.array(value, dtype="<i8")
