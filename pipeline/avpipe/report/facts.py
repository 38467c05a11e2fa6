"""What the report of a built dataset says, as values: read from its folder, ready to be shown."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avpipe import __version__
from avpipe.cite import Citations, cite
from avpipe.dag import LINE
from avpipe.engine.publication import as_published
from avpipe.errors import ManifestError, UsageError
from avpipe.ledger import FILE, Failure, Ledger
from avpipe.manifest import Manifest, read_manifest
from avpipe.shards.catalogue import INDEX, NAME, read_catalogue
from avpipe.shards.index import read_index
from avpipe.stats import Statistics, read_built, statistics
from avpipe.store import canonical, sha256_file
from avpipe.types import Recording

MAX_BINS = 24
"""Of the histogram of segment lengths."""
_STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
"""Widths that a bin may have, in seconds."""
SIDES = ("left", "right", "any")


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts in bins of one width from 0 on."""

    step_seconds: float
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hands:
    """Share of the frames of a category that show a hand."""

    category: str
    frames: int
    shares: Mapping[str, float]
    """`left`, `right`, `any` -> share."""


@dataclass(frozen=True, slots=True)
class Made:
    """How some recordings were made at a stage."""

    stage: str
    recordings: int
    version: int | None
    """None for a download, which is kept whatever made it."""
    lines: tuple[tuple[str, str], ...]
    """What of parameters, programs and models -> value."""


@dataclass(frozen=True)
class Facts:
    """A built dataset."""

    dataset: Mapping[str, Any]
    """As `MANIFEST.json` says."""
    counts: Mapping[str, int]
    files: Mapping[str, Mapping[str, Any]]
    """Path below the folder -> bytes, sha256 and counts."""
    digest: str
    """sha256 of `MANIFEST.json`."""
    notes: str | None
    statistics: Statistics
    citations: Citations
    failures: Mapping[str, Sequence[Failure]]
    """Class -> failures, the most frequent class first."""
    empty: Mapping[str, int]
    """Why recordings have no segment -> how many."""
    lengths: Histogram
    """Of the segments."""
    hands: tuple[Hands, ...]
    made: tuple[Made, ...]
    """In the order of the line."""
    avpipe: str = __version__

    @property
    def bytes(self) -> int:
        """Of all published files."""
        return sum(int(entry["bytes"]) for entry in self.files.values())

    @property
    def failed(self) -> int:
        """Recordings that failed."""
        return len({f.recording for found in self.failures.values() for f in found})


def read_facts(out: Path, manifest: Manifest) -> Facts:
    """Everything that a report of the dataset in `out` says.

    Raises:
        DatasetError: nothing is published there, or it cannot be read.
    """
    catalogue, manifest = read_catalogue(out), as_published(manifest, out)
    built, reasons = read_built(out, manifest)
    with Ledger(out / FILE) as ledger:
        complete, failures = ledger.complete(), ledger.failures()
        hands = tuple(_hands(ledger, complete, manifest))
        made = tuple(_made(ledger, complete))
    by_class = Counter(f.failure for f in failures)
    reason = (summary["reason"] for summary in complete.values() if not summary["segments"])
    seconds = [(b - a) / manifest.fps for found in built.values() for a, b in found.segments]
    return Facts(
        dataset=catalogue.dataset,
        counts=catalogue.counts,
        files=catalogue.files,
        digest=sha256_file(out / NAME),
        notes=manifest.notes,
        statistics=statistics(manifest, built, reasons),
        citations=cite(manifest, out),
        failures={
            name: [f for f in failures if f.failure == name] for name, _ in by_class.most_common()
        },
        empty=dict(Counter(str(why) for why in reason).most_common()),
        lengths=histogram(seconds),
        hands=hands,
        made=made,
    )


def manifest_of(out: Path) -> Manifest:
    """The manifest that a dataset's folder was built from: the shipped one of its name, or what
    the folder itself says where there is none (nothing is then known to be missing).

    Raises:
        DatasetError: nothing is published there.
    """
    dataset = read_catalogue(out).dataset
    try:
        return read_manifest(dataset["name"])
    except (UsageError, ManifestError):
        pass
    with Ledger(out / FILE) as ledger:
        names = {*ledger.complete(), *(f.recording for f in ledger.failures())}
    rows = read_index(out / INDEX).select(["recording", "category"]).to_pylist()
    category = {row["recording"]: row["category"] for row in rows}
    recordings = tuple(Recording(n, category.get(n, "not known")) for n in sorted(names))
    return Manifest(
        path=out / NAME,
        recordings=recordings,
        categories=tuple(dict.fromkeys(r.category for r in recordings)),
        fields=tuple(dataset["fields"]),
        **{name: dataset[name] for name in ("name", "title", "licence", "citation", "source")},
        **{name: dataset[name] for name in ("fps", "sample_rate")},
    )


def histogram(seconds: Sequence[float]) -> Histogram:
    """Counts of lengths in bins of a round width, at most `MAX_BINS` unless hours are not enough.
    A length on the edge of two bins is in the upper one."""
    longest = max(seconds, default=0.0)
    step = next((s for s in _STEPS if longest < s * MAX_BINS), _STEPS[-1])
    bins = np.floor(np.asarray(seconds, np.float64) / step).astype(np.int64)
    return Histogram(step, tuple(np.bincount(bins, minlength=1).tolist()))


def _hands(
    ledger: Ledger, complete: Mapping[str, Mapping[str, Any]], manifest: Manifest
) -> Iterator[Hands]:
    """What `detect` reported of every recording, added up by category."""
    frames: Counter[str] = Counter()
    shown: Counter[tuple[str, str]] = Counter()
    for recording in manifest.recordings:
        summary = complete.get(recording.id, {})
        key = summary.get("keys", {}).get("detect")
        found = ledger.facts("detect", key).get("hands") if key else None
        if found:
            frames[recording.category] += summary["frames"]
            for side in SIDES:
                shown[recording.category, side] += round(found.get(side, 0.0) * summary["frames"])
    for category, count in frames.items():
        yield Hands(category, count, {side: shown[category, side] / count for side in SIDES})


def _made(ledger: Ledger, complete: Mapping[str, Mapping[str, Any]]) -> Iterator[Made]:
    for stage in LINE:
        ways: Counter[str] = Counter()
        for summary in complete.values():
            key = summary["keys"].get(stage)
            identity = ledger.identity(stage, key) if key else None
            if identity is not None:
                if stage == "download":
                    tool = ledger.facts(stage, key).get("yt_dlp")
                    identity = {**identity, "tool": {"yt_dlp": tool} if tool else {}}
                ways[canonical(identity)] += 1
        for text, count in ways.most_common():
            found = json.loads(text)
            lines = [*_leaves(found.get("parameters", {})), *_leaves(found.get("tool", {}))]
            yield Made(stage, count, found.get("version"), tuple(lines))


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", inner if isinstance(inner, str) else json.dumps(inner)
