"""Takes recordings out of a published dataset, whether or not anything else of them is left.

Shards that hold one of them are copied without it, the index and `MANIFEST.json` follow. The result
is, byte for byte, what packing the others would give, so the next build leaves it as it is. Nothing
of the old files stays behind.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py

from avpipe.errors import DatasetError
from avpipe.shards.catalogue import (
    INDEX,
    NAME,
    catalogue_bytes,
    read_catalogue,
    shard_name,
)
from avpipe.shards.check import segments_of, shard_problems
from avpipe.shards.index import read_index, table_bytes
from avpipe.shards.layout import columns, declared, lengths_of, storage
from avpipe.shards.open import attributes_of, column, group, is_shard, open_shard, reading
from avpipe.shards.pack import replace_content, sweep
from avpipe.shards.publish import published
from avpipe.shards.write import Entry, create_column, create_group, key_of, set_attributes
from avpipe.store import sha256_file


def affected(out: Path, recordings: Collection[str]) -> list[str]:
    """Shards that hold one of the recordings, or that an interrupted `drop` rewrote already: paths
    below the dataset's folder."""
    catalogue = read_catalogue(out)
    numbers = {catalogue.assignment[r] for r in recordings if r in catalogue.assignment}
    fields = catalogue.dataset["fields"]
    names = [shard_name(field, number) for field in fields for number in sorted(numbers)]
    return [
        name
        for name in names
        if name in catalogue.files
        and not (
            _names(out / name).isdisjoint(recordings)
            and is_shard(out / name, catalogue.files[name]["key"])
        )
    ]


def drop(out: Path, recordings: Collection[str]) -> tuple[str, ...]:
    """Takes recordings out; the caller holds the only lock on `out`.

    A kill at any moment leaves either dataset, or files that `verify` names; to drop them again
    finishes it.

    Returns:
        The files that were rewritten or removed: paths below the dataset's folder.

    Raises:
        DatasetError: the dataset is damaged.
    """
    catalogue = read_catalogue(out)
    names = affected(out, recordings)
    files: dict[str, Any] = dict(catalogue.files)
    for name in names:
        if _names(out / name) <= set(recordings):
            del files[name]
        else:
            files[name] = _copy_without(out / name, recordings)
    rows = read_index(out / INDEX).to_pylist()
    kept = [row for row in rows if row["recording"] not in recordings]
    index = table_bytes(kept)
    files[INDEX] = {"bytes": len(index), "sha256": hashlib.sha256(index).hexdigest()}
    after = replace(
        catalogue,
        counts={
            "recordings": len({row["recording"] for row in kept}),
            "segments": len(kept),
            "frames": sum(row["stop_frame"] - row["start_frame"] for row in kept),
        },
        assignment={r: n for r, n in catalogue.assignment.items() if r not in recordings},
        files=files,
    )
    if len(kept) < len(rows):
        replace_content(out / INDEX, index)
    changed = after != catalogue
    if changed:
        replace_content(out / NAME, catalogue_bytes(after))
    gone = list(sweep(out, files))
    return tuple(dict.fromkeys([*names, *gone, *([INDEX, NAME] if changed else [])]))


def held(out: Path, recording: str) -> Iterator[tuple[str, str | None]]:
    """Published files that hold something of a recording, those left by a killed build too: (path
    below the dataset's folder, None); and those that cannot be read, which nobody can know of:
    (path, why)."""
    in_file: list[tuple[Path, Callable[[], Collection[str]]]] = [
        (out / NAME, lambda: read_catalogue(out).assignment),
        (out / INDEX, lambda: read_index(out / INDEX)["recording"].to_pylist()),
    ]
    shards = sorted((out / "shards").glob("*.h5*"))
    in_file += [(path, partial(_names, path)) for path in shards]
    for path, recordings in in_file:
        try:
            if path.exists() and recording in recordings():
                yield path.relative_to(out).as_posix(), None
        except DatasetError as error:
            yield path.relative_to(out).as_posix(), str(error)


def _names(path: Path) -> set[str]:
    with open_shard(path) as file, reading(path):
        return set(file)


def _copy_without(path: Path, recordings: Collection[str]) -> Entry:
    """Rewrites a shard; its new entry."""
    store = storage()
    libver = (declared()["libver"], declared()["libver"])
    with published(path) as temporary:
        with open_shard(path) as old, h5py.File(temporary, "w", libver=libver) as new:
            shard = attributes_of(old)
            del shard["key"]
            kept = [name for name in old if name not in recordings]
            groups = {name: group(old, name) for name in kept}
            facts = [(n, attributes_of(g), segments_of(g)) for n, g in groups.items()]
            key = key_of(shard, facts)
            set_attributes(new, shard | {"key": key})
            sizes: dict[str, int] = {"frames": 0, "samples": 0, "segments": 0}
            for name, attributes, segments in facts:
                target = create_group(new, name, attributes, segments)
                for spec in columns(shard["field"]):
                    stored = column(groups[name], spec)
                    create_column(target, spec.name, stored[()], stored.chunks, store)
                lengths = lengths_of(shard, attributes, segments)
                sizes["frames"] += lengths["T"]
                sizes["samples"] += lengths["N"]
                sizes["segments"] += len(segments)
        if problems := shard_problems(temporary):
            raise DatasetError(f"{path} was not written whole: {problems[0]}")
        if shard["field"] != "audio":
            del sizes["samples"]
        return {
            **sizes,
            "bytes": temporary.stat().st_size,
            "sha256": sha256_file(temporary),
            "key": key,
            "recordings": len(kept),
        }
