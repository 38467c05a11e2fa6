"""`removed.jsonl` of a dataset: a line an id that was removed from it, and may not come back."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from avpipe.lists import uses
from avpipe.manifest import Manifest
from avpipe.manifest.location import video_id

FILE = "removed.jsonl"


@dataclass(frozen=True, slots=True)
class Removal:
    """What was removed with one recording, or would be: a line of `removed.jsonl`."""

    id: str
    time: str
    """ISO 8601, UTC."""
    ticket: str
    """Who asked, why: free text."""
    artifacts: int
    bytes: int
    """Of the artifacts and of parts of its download, before."""
    files: tuple[str, ...]
    """Published files rewritten without it."""
    exports: tuple[str, ...]
    """Folders that it had been exported to."""
    checkpoints: tuple[str, ...]
    """Trainings that it had been part of."""
    media: tuple[str, ...]
    """SHA-256 of its media files: the same bytes are refused under any id."""
    prints: tuple[str, ...] = ()
    """Fingerprints of its sound: what sounds the same is not packed under any id."""


@dataclass(frozen=True)
class Removed:
    """What `removed.jsonl` says."""

    rows: Sequence[Removal]

    @cached_property
    def ids(self) -> frozenset[str]:
        """Ids that builds leave out."""
        return frozenset(row.id for row in self.rows)

    @property
    def media(self) -> tuple[str, ...]:
        """SHA-256 of media files that builds refuse."""
        return tuple(sorted({digest for row in self.rows for digest in row.media}))

    @property
    def prints(self) -> dict[str, tuple[str, ...]]:
        """Removed id -> fingerprints of its sound."""
        return {row.id: row.prints for row in self.rows if row.prints}

    def without(self, manifest: Manifest) -> Manifest:
        """The manifest without what was removed: a recording or all of a video."""
        kept = tuple(r for r in manifest.recordings if self.ids.isdisjoint((r.id, video_id(r))))
        return replace(manifest, recordings=kept)


def read(out: Path) -> Removed:
    """What was removed from a dataset."""
    return Removed([_row(json.loads(line)) for line in uses.lines(out / FILE)])


def _row(value: dict[str, Any]) -> Removal:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
    return Removal(**values)
