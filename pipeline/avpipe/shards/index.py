"""`index.parquet`: one row a segment. Its columns are declared in `schemas/index.schema.json`."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from avpipe.errors import DatasetError
from avpipe.resources import folder
from avpipe.shards.members import DatasetFacts, Member
from avpipe.store import canonical
from avpipe.timegrid import exact, sample_count

_TYPES = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64()}


@cache
def schema() -> pa.Schema:
    """The declared columns as Arrow types them."""
    text = (folder("schemas") / "index.schema.json").read_text(encoding="utf-8")
    fields = []
    for name, declared in json.loads(text)["properties"].items():
        types = declared["type"] if isinstance(declared["type"], list) else [declared["type"]]
        fields.append(pa.field(name, _TYPES[types[0]], nullable="null" in types))
    return pa.schema(fields)


def index_bytes(
    facts: DatasetFacts, members: Sequence[Member], assignment: Mapping[str, int]
) -> bytes:
    """The file `index.parquet`: equal for equal rows and one version of pyarrow."""
    rows = [
        row
        for member in sorted(members, key=lambda m: m.id)
        for row in rows_of(facts, member, assignment[member.id])
    ]
    return table_bytes(rows)


def table_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The file `index.parquet` of rows that are in order."""
    table = pa.Table.from_pylist(list(rows), schema=schema())
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def rows_of(facts: DatasetFacts, member: Member, shard: int) -> Iterator[dict[str, Any]]:
    """The rows of one recording."""
    fps = exact(facts.fps)
    samples = [sample_count(len(s), facts.fps, facts.sample_rate) for s in member.segments]
    rows = accumulate(map(len, member.segments), initial=0)
    sample_rows = accumulate(samples, initial=0)
    shared = {
        "recording": member.id,
        "category": member.recording.category,
        "split": member.recording.split,
        "shard": shard,
        "fields": ",".join(f for f in facts.fields if f in member.artifacts),
        "licence": member.recording.licence or facts.licence,
        "keys": canonical(dict(member.keys)),
    }
    for segment, row_start, sample_start in zip(member.segments, rows, sample_rows, strict=False):
        yield shared | {
            "start_frame": segment.start,
            "stop_frame": segment.stop,
            "start_seconds": float(segment.start / fps),
            "stop_seconds": float(segment.stop / fps),
            "row_start": row_start,
            "sample_start": sample_start,
        }


def read_index(path: Path) -> pa.Table:
    """The table of an index.

    Raises:
        DatasetError: it is damaged or has other columns.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path} cannot be read ({error}): build the dataset again") from error
    if not table.schema.equals(schema()):
        raise DatasetError(
            f"{path} has columns {', '.join(table.schema.names)};"
            f" expected {', '.join(schema().names)}: build the dataset again"
        )
    return table
