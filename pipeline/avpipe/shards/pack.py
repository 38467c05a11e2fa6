"""Publishes the shards of a dataset: plans what must be written, writes it, and what follows.

The order makes a kill at any moment harmless. Shards that changed are replaced one by one, the
published version of each kept under a hidden name; then the index, then `MANIFEST.json`; only then
go the files that nothing lists. Until `MANIFEST.json` is replaced, the dataset is the old one and
`avpipe.dataset` reads it; the next `pack` takes over the shards that were complete.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avpipe.shards.assignment import assign
from avpipe.shards.catalogue import (
    EMPTY,
    INDEX,
    NAME,
    Catalogue,
    manifest_bytes,
    read_catalogue,
    shard_name,
)
from avpipe.shards.check import shard_problems
from avpipe.shards.index import index_bytes
from avpipe.shards.layout import stored_bytes
from avpipe.shards.members import DatasetFacts, Member, by_field
from avpipe.shards.open import is_shard
from avpipe.shards.publish import has_digest, published, retire
from avpipe.shards.write import Entry, ShardJob, describe, shard_key, write_shard

TARGET_BYTES = 512 * 2**20
"""Size of a full shard, all fields of its recordings together."""

_OURS = re.compile(r"\.?[a-z][a-z0-9_]*-\d{5,}\.h5(\.[0-9a-z]+)?|\.index\.parquet\.\w+")


@dataclass(frozen=True)
class Plan:
    """What `pack` has to do."""

    assignment: Mapping[str, int]
    jobs: tuple[ShardJob, ...]
    """Shards to be written."""
    reused: Mapping[str, Entry]
    """Path below the dataset's folder -> entry of a shard that stays as it is."""


@dataclass(frozen=True)
class PackResult:
    """What `pack` did with shards: paths below the dataset's folder."""

    written: tuple[str, ...]
    reused: tuple[str, ...]
    removed: tuple[str, ...]


def write_all(jobs: Sequence[ShardJob]) -> Iterable[Entry]:
    """Writes shards one after the other in this process."""
    return map(write_shard, jobs)


def pack(
    out: Path,
    facts: DatasetFacts,
    members: Sequence[Member],
    *,
    target_bytes: int = TARGET_BYTES,
    compact: bool = False,
    run: Callable[[Sequence[ShardJob]], Iterable[Entry]] = write_all,
) -> PackResult:
    """Brings the dataset in `out` up to its members; the caller holds the only lock on `out`.

    Args:
        out: the dataset's folder.
        members: every recording with segments, in manifest order.
        target_bytes: size of a full shard, all fields together.
        compact: lay the recordings out as a build from scratch does.
        run: writes shards and gives their entries in the same order.
    """
    before = _published(out)
    todo = plan(out, facts, members, target_bytes=target_bytes, compact=compact)
    names = [_below(out, job.path) for job in todo.jobs]
    for name in names:
        if name in before.files:
            retire(out / name, before.files[name]["key"], is_shard)
    files = dict(todo.reused) | dict(zip(names, run(todo.jobs), strict=True))

    index = index_bytes(facts, members, todo.assignment)
    digest = hashlib.sha256(index).hexdigest()
    if INDEX in before.files and before.files[INDEX]["sha256"] != digest:
        retire(out / INDEX, before.files[INDEX]["sha256"], has_digest)
    replace_content(out / INDEX, index)
    files[INDEX] = {"bytes": len(index), "sha256": digest}
    replace_content(out / NAME, manifest_bytes(facts, members, todo.assignment, files))
    removed = tuple(sweep(out, files))
    return PackResult(tuple(names), tuple(sorted(todo.reused)), removed)


def plan(
    out: Path,
    facts: DatasetFacts,
    members: Sequence[Member],
    *,
    target_bytes: int = TARGET_BYTES,
    compact: bool = False,
) -> Plan:
    """What `pack` would write; changes nothing."""
    before = _published(out)
    assignment = assign(
        {m.id: sum(stored_bytes(f, facts, m) for f in m.artifacts) for m in members},
        None if compact else before.assignment,
        target_bytes,
    )
    jobs, reused = [], {}
    for job in _wanted(out, facts, members, assignment):
        name = _below(out, job.path)
        if entry := _usable(job, before.files.get(name, {})):
            reused[name] = entry
        else:
            jobs.append(job)
    return Plan(assignment, tuple(jobs), reused)


def _published(out: Path) -> Catalogue:
    return read_catalogue(out) if (out / NAME).exists() else EMPTY


def _wanted(
    out: Path, facts: DatasetFacts, members: Sequence[Member], assignment: Mapping[str, int]
) -> Iterator[ShardJob]:
    by_number: dict[int, list[Member]] = {}
    for member in members:
        by_number.setdefault(assignment[member.id], []).append(member)
    for field in facts.fields:
        for number, shard in sorted(by_number.items()):
            if with_field := by_field(shard, field):
                yield ShardJob(out / shard_name(field, number), field, facts, with_field)


def _usable(job: ShardJob, entry: Mapping[str, int | str]) -> Entry | None:
    """The entry of a shard that is already what the job would write."""
    key = shard_key(job)
    if not job.path.is_file() or not is_shard(job.path, key):
        return None
    if entry.get("key") == key:
        return dict(entry) if job.path.stat().st_size == entry["bytes"] else None
    # Written by a build that did not live to list it.
    return None if shard_problems(job.path) else describe(job.path, job)


def replace_content(path: Path, content: bytes) -> None:
    """Publishes a file; one that is there already with that content stays as it is."""
    if path.is_file() and path.read_bytes() == content:
        return
    with published(path) as temporary:
        temporary.write_bytes(content)


def sweep(out: Path, listed: Mapping[str, Entry]) -> Iterator[str]:
    """Removes files that earlier builds left and `MANIFEST.json` does not list."""
    for folder in (out, out / "shards"):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            name = _below(out, path)
            if _OURS.fullmatch(path.name) and name not in listed and path.is_file():
                path.unlink()
                if not path.name.startswith("."):
                    yield name


def _below(out: Path, path: Path) -> str:
    return path.relative_to(out).as_posix()
