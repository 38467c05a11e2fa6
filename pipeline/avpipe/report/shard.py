"""A shard in words: what it says of itself, its columns with shapes and units, its recordings."""

from pathlib import Path
from typing import Any

from avpipe.shards.check import shard_segments
from avpipe.shards.layout import columns
from avpipe.shards.open import attributes_of, column, group, open_shard, reading

SHOWN = ("dataset", "field", "fps", "sample_rate", "topology", "licence", "source", "key")
"""Attributes of a shard that are printed, in this order."""


def describe(path: Path) -> dict[str, Any]:
    """The facts of a shard, as JSON takes them.

    Raises:
        DatasetError: it cannot be read.
    """
    segments = shard_segments(path)
    with open_shard(path) as file, reading(path):
        attributes = attributes_of(file)
        field, fps = attributes["field"], attributes["fps"]
        recordings = []
        for name, ranges in segments.items():
            stored = group(file, name)
            facts = attributes_of(stored)
            recordings.append(
                {
                    "id": name,
                    "category": facts["category"],
                    "licence": facts["licence"],
                    "segments": [[s.start, s.stop] for s in ranges],
                    "seconds": sum(map(len, ranges)) / fps,
                    "shapes": {c.name: list(column(stored, c).shape) for c in columns(field)},
                }
            )
    joints = {"joints": len(attributes["joints"])} if "joints" in attributes else {}
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        **{name: attributes[name] for name in SHOWN if name in attributes},
        **joints,
        "columns": {
            c.name: {"dtype": c.dtype, "axes": list(c.axes), "unit": c.unit} for c in columns(field)
        },
        "recordings": recordings,
    }


def as_text(facts: dict[str, Any], limit: int = 20) -> str:
    """A description for a terminal; at most `limit` recordings are listed."""
    lines = [f"{facts['path']}  {facts['bytes'] / 1e6:,.1f} MB"]
    lines += [f"  {name:12} {facts[name]}" for name in (*SHOWN, "joints") if name in facts]
    lines.append("columns of every recording")
    width = max(12, *map(len, facts["columns"]))
    for name, c in facts["columns"].items():
        lines.append(f"  {name:{width}} ({', '.join(c['axes'])})  {c['dtype']}  {c['unit']}")
    lines.append(f"{len(facts['recordings'])} recordings")
    for recording in facts["recordings"][:limit]:
        shapes = ", ".join(f"{n} {tuple(s)}" for n, s in recording["shapes"].items())
        count = len(recording["segments"])
        lines.append(
            f"  {recording['id']:12} {recording['category']}, {count}"
            f" segment{'s' * (count != 1)}, {recording['seconds']:.2f} s: {shapes}"
        )
    if (more := len(facts["recordings"]) - limit) > 0:
        lines.append(f"  ... and {more} more")
    return "\n".join(lines)
