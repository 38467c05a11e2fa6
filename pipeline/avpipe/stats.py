"""Statistics of a built dataset beside the published ones (Solos' Table I, Acappella's figures).

`statistics` is a pure function of a manifest and of what was built of it; `read_built` reads the
latter from a dataset's folder.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, median_low
from typing import Any

from avpipe.ledger import FILE, Ledger
from avpipe.lists import removed
from avpipe.manifest import Manifest, video_id
from avpipe.types import Recording


@dataclass(frozen=True, slots=True)
class Built:
    """What was built of one recording."""

    frames: int
    """Length of the whole recording."""
    segments: tuple[tuple[int, int], ...] = ()
    """Half-open frames."""
    size: tuple[int, int] | None = None
    """Width and height of its video in pixels; None if it has none."""
    no_players: str | None = None
    """Why an ensemble has no views of its players; None if it has, or none were asked for."""
    notes: int | None = None
    """Notes of the whole recording; None if it has no such annotations."""
    no_notes: str | None = None
    """Why it has none; None if it has, or none were asked for."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a group of recordings."""

    listed: int
    """Recordings in the list."""
    recordings: int
    """Recordings that were built."""
    videos: int
    """Videos that they are cut from."""
    segments: int
    hours: float
    """Of the segments."""
    mean_seconds: float | None
    """Mean duration of the whole recordings; None if none was built."""
    median_resolution: str | None
    """Median width x median height; None if nothing is known of the videos."""
    notes: int | None = None
    """Notes of the whole recordings; None if none of them has such annotations."""


@dataclass(frozen=True, slots=True)
class Line:
    """A group beside what was published of it."""

    group: str
    ours: Figures
    published: Mapping[str, Any]
    """The same figures as far as they are published; empty if not."""


@dataclass(frozen=True)
class Statistics:
    """Statistics of a dataset."""

    dataset: str
    source: str | None
    """Where the published figures are from."""
    total: Line
    by: Mapping[str, tuple[Line, ...]]
    """Column of the list -> a line per value of it."""
    missing: Mapping[str, int] = field(default_factory=dict)
    """Why listed recordings were not built -> how many."""
    no_players: Mapping[str, str] = field(default_factory=dict)
    """Ensemble that was built without views of its players -> why."""
    no_notes: Mapping[str, str] = field(default_factory=dict)
    """Recording that was built without its notes -> why."""
    shortened: Mapping[str, str] = field(default_factory=dict)
    """Recording that ends before the segment that is given of it -> by how much, in words."""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def tables(self) -> list[tuple[str, list[str], list[list[Any]]]]:
        """(title, column names, rows) for people; a published figure stands behind ours."""
        source = f"; published: {self.source}" if self.source else ""
        return [
            (f"{self.dataset} by {column}{source}", *_table(column, (*lines, self.total)))
            for column, lines in self.by.items()
        ]


def statistics(
    manifest: Manifest, built: Mapping[str, Built], failures: Mapping[str, str] | None = None
) -> Statistics:
    """Counts what was built of a dataset, in all and by category, split and published columns.

    Args:
        manifest: the dataset.
        built: recording id -> what was built; ids that the manifest does not have are ignored.
        failures: recording id -> class of its failure.
    """
    published = manifest.published
    columns = dict.fromkeys(("category", *published.get("by", {})))
    if any(recording.split is not None for recording in manifest.recordings):
        columns["split"] = None
    by = {
        column: tuple(_lines(manifest, built, column, published.get("by", {}).get(column, {})))
        for column in columns
    }
    there = [(r.id, built[r.id]) for r in manifest.recordings if r.id in built]
    absent = [r.id for r in manifest.recordings if r.id not in built]
    reasons = Counter((failures or {}).get(name, "not built yet") for name in absent)
    total = _figures(manifest.recordings, built, manifest.fps)
    return Statistics(
        dataset=manifest.name,
        source=published.get("source"),
        total=Line("total", total, published.get("total", {})),
        by=by,
        missing=dict(sorted(reasons.items())),
        no_players={name: one.no_players for name, one in there if one.no_players},
        no_notes={name: one.no_notes for name, one in there if one.no_notes},
        shortened=dict(_shortened(manifest, built)),
    )


def _shortened(manifest: Manifest, built: Mapping[str, Built]) -> Iterable[tuple[str, str]]:
    """Given segments that were cut where the recording ends; published times are rounded to
    seconds, less is not told."""
    if manifest.table("segment").get("source") != "given":
        return
    for recording in manifest.recordings:
        if recording.stop_seconds is None or recording.id not in built:
            continue
        seconds = built[recording.id].frames / manifest.fps
        if recording.stop_seconds > seconds + 1:
            yield (
                recording.id,
                f"stop_seconds = {recording.stop_seconds:g}, the recording ends at {seconds:.2f} s",
            )


def _lines(
    manifest: Manifest, built: Mapping[str, Built], column: str, published: Mapping[str, Any]
) -> Iterable[Line]:
    groups: dict[str, list[Recording]] = {group: [] for group in published}
    if column == "category":
        groups |= {category: [] for category in manifest.categories}
    for recording in manifest.recordings:
        groups.setdefault(_value(recording, column), []).append(recording)
    for group, members in groups.items():
        figures = _figures(members, built, manifest.fps)
        yield Line(group, figures, published.get(group, {}))


def _value(recording: Recording, column: str) -> str:
    own = {"category": recording.category, "split": recording.split or ""}
    return own.get(column, recording.extra.get(column, ""))


def _figures(members: Sequence[Recording], built: Mapping[str, Built], fps: float) -> Figures:
    there = [(r, built[r.id]) for r in members if r.id in built]
    segments = [segment for _, found in there for segment in found.segments]
    sizes = [found.size for _, found in there if found.size is not None]
    notes = [found.notes for _, found in there if found.notes is not None]
    return Figures(
        listed=len(members),
        recordings=len(there),
        videos=len({video_id(recording) for recording, _ in there}),
        segments=len(segments),
        hours=sum(stop - start for start, stop in segments) / fps / 3600,
        mean_seconds=mean(found.frames for _, found in there) / fps if there else None,
        median_resolution="x".join(str(median_low(side)) for side in zip(*sizes, strict=True))
        or None,
        notes=sum(notes) if notes else None,
    )


def read_built(out: Path, manifest: Manifest) -> tuple[dict[str, Built], dict[str, str]]:
    """What a build has made in a folder, and why it has not made others, by recording id: the class
    of the failure, or that they were removed on request.

    Raises:
        DatasetError: the folder's ledger cannot be read.
    """
    kept = {r.id for r in removed.read(out).without(manifest).recordings}
    gone = {r.id: "removed on request" for r in manifest.recordings if r.id not in kept}
    with Ledger(out / FILE) as ledger:
        built = {
            name: Built(
                frames=summary["frames"],
                segments=tuple((start, stop) for start, stop in summary["segments"]),
                size=_size(ledger, summary["keys"].get("video")),
                no_players=_reason(ledger, "players", summary["keys"]),
                notes=summary.get("media", {}).get("notes", {}).get("notes"),
                no_notes=_reason(ledger, "notes", summary["keys"]),
            )
            for name, summary in ledger.complete().items()
        }
        return built, {f.recording: f.failure for f in ledger.failures()} | gone


def _size(ledger: Ledger, key: str | None) -> tuple[int, int] | None:
    """From what the run said, which outlasts a video that is not kept."""
    video = ledger.facts("video", key) if key else {}
    return (video["width"], video["height"]) if video.get("present") else None


def _reason(ledger: Ledger, stage: str, keys: Mapping[str, str]) -> str | None:
    """Why the stage, if it is one of the recording's, gave nothing."""
    why: str | None = ledger.facts(stage, keys[stage])["reason"] if stage in keys else None
    return why


def _table(column: str, lines: Sequence[Line]) -> tuple[list[str], list[list[Any]]]:
    names = [column, "listed", "recordings", "segments", "hours", "mean length", "median picture"]
    shown: dict[str, Callable[[Any], str]] = {
        "recordings": lambda n: f"{n:,}",
        "segments": lambda n: f"{n:,}",
        "hours": lambda hours: f"{hours:.2f}",
        "mean_seconds": lambda s: f"{int(s) // 60}:{int(s) % 60:02d}",
        "median_resolution": str,
    }
    if any(line.ours.notes is not None for line in lines):
        names, shown = [*names, "notes"], {**shown, "notes": lambda n: f"{n:,}"}
    rows = []
    for line in lines:
        row: list[Any] = [line.group, line.ours.listed]
        for name, show in shown.items():
            value, published = getattr(line.ours, name), line.published.get(name)
            cell = "-" if value is None else show(value)
            row.append(cell if published is None else f"{cell} ({show(published)})")
        rows.append(row)
    return names, rows
