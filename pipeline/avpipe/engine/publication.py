"""The last step of a build: what is complete goes into the shards.

What a recording contributes is known by a signature. If the signatures of all recordings, the
manifest and the published files are what they were when the shards were last packed, there is
nothing to do, and no artifact and no summary is opened to find that out.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from avpipe.dag import LINE
from avpipe.engine import packing
from avpipe.engine.packing import Summary
from avpipe.engine.walk import Complete
from avpipe.errors import DatasetError
from avpipe.ledger import Ledger
from avpipe.manifest import Manifest
from avpipe.store import Store, canonical, sha256_text

_PACKED = "packed"
"""Under this name the ledger remembers the last packing."""


def as_published(manifest: Manifest, out: Path) -> Manifest:
    """The manifest with the fields and on the time grid of what is published, which options of the
    build may have given.

    Raises:
        DatasetError: nothing is published there, or it is damaged.
    """
    from avpipe.shards.catalogue import read_catalogue

    dataset = read_catalogue(out).dataset
    return replace(
        manifest,
        fields=tuple(dataset["fields"]),
        fps=dataset["fps"],
        sample_rate=dataset["sample_rate"],
    )


@dataclass(frozen=True, slots=True)
class Published:
    """What the shards hold now."""

    written: int
    """Shards."""
    reused: int
    """Shards that were left as they are."""
    segments: int
    frames: int
    empty: Mapping[str, int] = field(default_factory=dict)
    """Why recordings have no segment -> how many."""


@dataclass(frozen=True)
class Publication:
    """What is to be published, and where.

    Args:
        out: the dataset's folder.
        manifest: the dataset, on its time grid.
        fields: fields to pack.
        complete: recording -> its artifacts, of those that this build looked at.
        left_out: recordings that it did not look at: they stay as they were last completed.
    """

    out: Path
    manifest: Manifest
    fields: tuple[str, ...]
    complete: Mapping[str, Complete]
    left_out: frozenset[str]

    def publish(self, ledger: Ledger, *, compact: bool, stopped: Callable[[], bool]) -> Published:
        """Brings the shards up to date.

        Args:
            ledger: open for writing.
            compact: lay the shards out as a build from scratch does.
            stopped: whether to end early, asked before each shard.

        Raises:
            Interrupted: it was stopped, or the disk is full; what was published still is.
        """
        signatures = self._signatures(ledger)
        fingerprint = self._fingerprint(signatures)
        before = ledger.remembered(_PACKED)
        if not compact and before.get("fingerprint") == fingerprint:
            published = self._as_it_was(before)
            if published is not None:
                return published
        published = self._pack(ledger, compact, stopped)
        facts = {"fingerprint": fingerprint, "empty": dict(published.empty)}
        ledger.remember(_PACKED, facts)
        return published

    def _signatures(self, ledger: Ledger) -> dict[str, str]:
        """Recording -> signature of what it contributes; what is new is summed up."""
        known = ledger.signatures()
        grid = self.manifest.fps, self.manifest.sample_rate
        store, found = Store(self.out / "work"), {}
        for recording, complete in self.complete.items():
            signature = found[recording] = complete.signature(grid)
            if known.get(recording) != signature:
                tool = packing.detector(ledger, complete.keys)
                summary = packing.summarise(store, complete, grid, tool)
                ledger.completed(recording, summary.as_json(), signature)
        return found | {name: known[name] for name in self.left_out & known.keys()}

    def _fingerprint(self, signatures: Mapping[str, str]) -> str:
        from avpipe.shards.layout import declared

        parts: list[Any] = [declared()["version"], self.fields, sorted(signatures.items())]
        parts += [repr(self.manifest.recordings), self.manifest.fps, self.manifest.sample_rate]
        parts += [getattr(self.manifest, n) for n in ("name", "title", "licence", "citation")]
        return sha256_text(canonical([*parts, self.manifest.source]))

    def _as_it_was(self, before: Mapping[str, Any]) -> Published | None:
        """What is published, if all of its files are there as they were written."""
        from avpipe.shards.catalogue import INDEX, read_catalogue
        from avpipe.shards.open import is_shard

        try:
            catalogue = read_catalogue(self.out)
        except DatasetError:
            return None
        for name, entry in catalogue.files.items():
            path = self.out / name
            if not path.is_file() or path.stat().st_size != entry["bytes"]:
                return None
            if name != INDEX and not is_shard(path, entry["key"]):
                return None
        counts, shards = catalogue.counts, len(catalogue.files) - 1
        return Published(0, shards, counts["segments"], counts["frames"], before["empty"])

    def _pack(self, ledger: Ledger, compact: bool, stopped: Callable[[], bool]) -> Published:
        from avpipe.shards import pack

        store = Store(self.out / "work")
        summaries = self._summaries(ledger, store)
        packing.check_grid(self.manifest, summaries)
        members = [
            packing.member(store, recording, self.fields, summaries[recording.id])
            for recording in self.manifest.recordings
            if recording.id in summaries and summaries[recording.id].segments
        ]
        facts = packing.dataset_facts(self.manifest, self.fields, summaries.values())
        write = partial(packing.write_until, stopped)
        packed = pack(self.out, facts, members, compact=compact, run=write)
        segments = [segment for member in members for segment in member.segments]
        empty = Counter(s.reason or "unknown" for s in summaries.values() if not s.segments)
        frames = sum(map(len, segments))
        return Published(len(packed.written), len(packed.reused), len(segments), frames, empty)

    def _summaries(self, ledger: Ledger, store: Store) -> dict[str, Summary]:
        """Recording -> what it contributes; those left out only if their artifacts are there."""
        there = {stage: store.keys(stage) for stage in LINE}
        return {
            name: Summary.from_json(summary)
            for name, summary in ledger.complete().items()
            if name in self.complete
            or (
                name in self.left_out
                and all(key in there[stage] for stage, key in summary["keys"].items())
            )
        }
