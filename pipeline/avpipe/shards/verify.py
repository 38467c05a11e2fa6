"""Proves that a dataset is whole: recomputes every digest and invariant and names what is wrong."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avpipe.errors import DatasetError
from avpipe.shards.catalogue import (
    INDEX,
    NAME,
    Catalogue,
    Damaged,
    read_catalogue,
    schema,
    shard_name,
)
from avpipe.shards.check import (
    Segments,
    ShardFacts,
    shard_facts,
    shard_problems,
    shard_segments,
)
from avpipe.shards.index import read_index
from avpipe.shards.open import is_shard
from avpipe.store import sha256_file
from avpipe.timegrid import exact, sample_count
from avpipe.types import Segment

Found = Iterator[tuple[str, str]]
"""(path below the dataset's folder, problem) pairs."""
Row = dict[str, Any]
"""A row of the index."""


@dataclass(frozen=True)
class Verification:
    """The result of `verify`."""

    checked: int
    """Files that were read."""
    problems: tuple[dict[str, str], ...]
    """{"path", "problem"} each; the path is relative to the dataset's folder."""

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(out: Path) -> Verification:
    """Checks `MANIFEST.json`, `index.parquet` and every shard of a dataset."""
    try:
        catalogue = read_catalogue(out)
    except DatasetError as error:
        return _verification(1, [(NAME, str(error))])
    if problems := [*_manifest_problems(out)]:
        return _verification(1, problems)
    problems = [*_file_problems(out, catalogue)]
    broken = {path for path, _ in problems}
    problems += _index_problems(out, catalogue, broken)
    problems += _extra_files(out, catalogue)
    return _verification(1 + len(catalogue.files), problems)


def repair(out: Path) -> tuple[str, ...]:
    """Removes damaged files, so that the next `pack` writes them again; it takes care itself of
    what an interrupted one left.

    Returns:
        What was removed, as paths below the dataset's folder.
    """
    if not (out / NAME).is_file():
        return ()
    try:
        files = read_catalogue(out).files
    except Damaged:
        (out / NAME).unlink()
        return (NAME,)
    damaged = tuple(name for name, entry in sorted(files.items()) if _is_damaged(out, name, entry))
    for name in damaged:
        (out / name).unlink()
    return damaged


def _is_damaged(out: Path, name: str, entry: Mapping[str, Any]) -> bool:
    path = out / name
    if not path.is_file():
        return False
    if path.stat().st_size == entry["bytes"] and sha256_file(path) == entry["sha256"]:
        return False
    # A whole shard with another key was written by a build that did not live to list it.
    return name == INDEX or is_shard(path, entry["key"]) or bool(shard_problems(path))


def _verification(checked: int, problems: list[tuple[str, str]]) -> Verification:
    return Verification(checked, tuple({"path": p, "problem": text} for p, text in problems))


def _manifest_problems(out: Path) -> Found:
    import jsonschema

    document = json.loads((out / NAME).read_text(encoding="utf-8"))
    for error in jsonschema.Draft202012Validator(schema()).iter_errors(document):
        where = ".".join(map(str, error.absolute_path)) or "the document"
        yield NAME, f"{where}: {error.message}"


def _file_problems(out: Path, catalogue: Catalogue) -> Found:
    for name, entry in sorted(catalogue.files.items()):
        path = out / name
        if not path.is_file():
            yield name, "is missing"
            continue
        if (size := path.stat().st_size) != entry["bytes"]:
            yield name, f"has {size} bytes, {NAME} says {entry['bytes']}"
        elif (digest := sha256_file(path)) != entry["sha256"]:
            yield name, f"has sha256 {digest[:12]}…, {NAME} says {entry['sha256'][:12]}…"
        if name != INDEX:
            yield from ((name, problem) for problem in shard_problems(path))


def _index_problems(out: Path, catalogue: Catalogue, broken: set[str]) -> Found:
    if INDEX not in catalogue.files:
        yield NAME, f"lists no {INDEX}"
    if INDEX in broken or INDEX not in catalogue.files:
        return
    try:
        rows = read_index(out / INDEX).to_pylist()
    except DatasetError as error:
        yield INDEX, str(error)
        return
    counts = {
        "recordings": len({row["recording"] for row in rows}),
        "segments": len(rows),
        "frames": sum(row["stop_frame"] - row["start_frame"] for row in rows),
    }
    if counts != catalogue.counts:
        yield INDEX, f"has {counts}, {NAME} says {catalogue.counts}"
    if {row["recording"]: row["shard"] for row in rows} != catalogue.assignment:
        yield INDEX, f"puts recordings into other shards than {NAME} does"
    yield from ((INDEX, problem) for problem in _row_problems(rows, catalogue))
    yield from _shards_against(rows, out, catalogue, broken)


def _row_problems(rows: list[Row], catalogue: Catalogue) -> Iterator[str]:
    """Times and row numbers follow from the frames; recordings and segments are in order."""
    fps, rate = catalogue.dataset["fps"], catalogue.dataset["sample_rate"]
    previous, row_start, sample_start = None, 0, 0
    for row in rows:
        where = (row["recording"], row["start_frame"])
        if previous is not None and where <= previous:
            yield f"{where[0]} [{where[1]}, ...) is out of order"
        if previous is None or previous[0] != where[0]:
            row_start, sample_start = 0, 0
        expected = {
            "start_seconds": float(row["start_frame"] / exact(fps)),
            "stop_seconds": float(row["stop_frame"] / exact(fps)),
            "row_start": row_start,
            "sample_start": sample_start,
        }
        for name, value in expected.items():
            if row[name] != value:
                yield f"{where[0]} [{where[1]}, ...): {name} is {row[name]}, not {value}"
        frames = row["stop_frame"] - row["start_frame"]
        previous = where
        row_start += frames
        sample_start += sample_count(frames, fps, rate)


def _shards_against(rows: list[Row], out: Path, catalogue: Catalogue, broken: set[str]) -> Found:
    """Every shard holds exactly the recordings and segments that the index gives it."""
    wanted: dict[str, Segments] = {}
    for row in rows:
        for field in filter(None, row["fields"].split(",")):
            shard = wanted.setdefault(shard_name(field, row["shard"]), {})
            segment = Segment(row["start_frame"], row["stop_frame"])
            shard.setdefault(row["recording"], []).append(segment)
    for name in sorted(set(wanted) - set(catalogue.files)):
        yield name, f"holds recordings of {INDEX} but is not listed in {NAME}"
    lengths: dict[str, tuple[int, str]] = {}
    for name in sorted(set(catalogue.files) - {INDEX} - broken):
        held, facts = shard_segments(out / name), shard_facts(out / name)
        yield from ((name, problem) for problem in _grid_problems(facts, catalogue))
        for recording, frames in facts.frames.items():
            known, where = lengths.setdefault(recording, (frames, name))
            if frames != known:
                yield name, f"{recording}: has {frames} frames in all, {where} says {known}"
        expected = wanted.get(name, {})
        for recording in sorted(held.keys() | expected.keys()):
            if held.get(recording) != expected.get(recording):
                yield name, f"{recording}: its segments are not those of {INDEX}"


def _grid_problems(facts: ShardFacts, catalogue: Catalogue) -> Iterator[str]:
    """One dataset has one time grid."""
    for name, value in facts.grid.items():
        if value != catalogue.dataset[name]:
            yield f"{name} is {value:g}, {NAME} says {catalogue.dataset[name]:g}"


def _extra_files(out: Path, catalogue: Catalogue) -> Found:
    for path in sorted((out / "shards").glob("*")):
        name = path.relative_to(out).as_posix()
        if path.name.startswith("."):
            yield name, "was left by an interrupted build: build again, it goes"
        elif name not in catalogue.files:
            yield name, f"is not listed in {NAME}"
