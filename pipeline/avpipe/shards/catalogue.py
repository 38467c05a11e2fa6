"""`MANIFEST.json` of a built dataset: what it is and every file with bytes, digest and counts.

Its shape is declared in `schemas/dataset.schema.json`. It is written last: what it lists is there.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from avpipe.errors import DatasetError
from avpipe.resources import folder
from avpipe.shards.members import DatasetFacts, Member
from avpipe.shards.write import Entry

NAME = "MANIFEST.json"
INDEX = "index.parquet"
FORMAT, VERSION = "avpipe-dataset", 1


class Damaged(DatasetError):
    """`MANIFEST.json` is there and cannot be read."""


@dataclass(frozen=True)
class Catalogue:
    """A read `MANIFEST.json`."""

    dataset: Mapping[str, Any]
    """name, title, licence, citation, source, fps, sample_rate, fields, topologies."""
    counts: Mapping[str, int]
    assignment: Mapping[str, int]
    """Recording -> number of its shard."""
    files: Mapping[str, Mapping[str, Any]]
    """Path below the dataset's folder -> bytes, sha256, and for shards key and counts."""


EMPTY = Catalogue({}, {}, {}, {})
"""A folder in which nothing has been published."""


def schema() -> Any:
    """`schemas/dataset.schema.json`."""
    return json.loads((folder("schemas") / "dataset.schema.json").read_text(encoding="utf-8"))


@cache
def file_names() -> re.Pattern[str]:
    """What the paths of a dataset's files look like; nothing outside its folder does."""
    return re.compile(schema()["properties"]["files"]["propertyNames"]["pattern"])


def shard_name(field: str, number: int) -> str:
    """Path of a shard below the dataset's folder."""
    return f"shards/{field}-{number:05d}.h5"


def manifest_bytes(
    facts: DatasetFacts,
    members: Sequence[Member],
    assignment: Mapping[str, int],
    files: Mapping[str, Entry],
) -> bytes:
    """The file `MANIFEST.json`."""
    dataset = {
        "name": facts.name,
        "title": facts.title,
        "licence": facts.licence,
        "citation": facts.citation,
        "source": facts.source,
        "fps": facts.fps,
        "sample_rate": facts.sample_rate,
        "fields": list(facts.fields),
        "topologies": {field: t.name for field, t in facts.topologies.items()},
    }
    counts = {
        "recordings": len(members),
        "segments": sum(len(m.segments) for m in members),
        "frames": sum(len(s) for m in members for s in m.segments),
    }
    return catalogue_bytes(Catalogue(dataset, counts, assignment, files))


def catalogue_bytes(catalogue: Catalogue) -> bytes:
    """The file `MANIFEST.json` of a catalogue."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "dataset": dict(catalogue.dataset),
        "counts": dict(catalogue.counts),
        "assignment": dict(catalogue.assignment),
        "files": dict(catalogue.files),
    }
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_catalogue(out: Path) -> Catalogue:
    """The catalogue of a dataset.

    Raises:
        DatasetError: there is none, or it is damaged or of another version.
    """
    path = out / NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = (document["format"], document["version"])
        if found == (FORMAT, VERSION):
            for name in document["files"]:
                if not file_names().fullmatch(name):
                    raise ValueError(f"{name!r} is no file of a dataset")
            return Catalogue(
                document["dataset"], document["counts"], document["assignment"], document["files"]
            )
    except FileNotFoundError:
        raise DatasetError(
            f"{out} is not a built dataset: it has no {NAME}, which a build writes at its end"
        ) from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise Damaged(f"{path} is damaged ({error}): run repair, then build again") from error
    raise DatasetError(
        f"{path} is {found[0]} {found[1]}, this avpipe reads {FORMAT} {VERSION}: use the avpipe"
        " that wrote it, or build into another folder"
    )
