"""From finished recordings to the members of shards.

What a recording contributes is summed up once, when it is through the line, and kept in the
ledger: packing what has not changed opens no artifact.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avpipe.dag import FIELDS, upstream
from avpipe.engine.walk import Complete
from avpipe.errors import Interrupted, UsageError
from avpipe.keypoints import topology
from avpipe.ledger import Ledger
from avpipe.manifest import Manifest
from avpipe.shards import DatasetFacts, Member, ShardJob, write_shard
from avpipe.shards.catalogue import INDEX, read_catalogue
from avpipe.shards.index import read_index
from avpipe.store import Store, canonical, sha256_text
from avpipe.types import Recording, Segment

MEDIA = ("frames", "faces", "mouths", "stems", "notes", "player_frames", "player_skeletons")
"""Fields whose artifact is `<field>.json` and what it says is there."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a finished recording contributes to the shards."""

    keys: Mapping[str, str]
    """Stage -> key of its artifact."""
    digests: Mapping[str, str]
    """Stage -> content digest of its artifact."""
    grid: tuple[float, int]
    """Frames per second and sample rate of what it was made with."""
    frames: int
    """T."""
    segments: tuple[tuple[int, int], ...]
    reason: str | None
    """Why there is no segment (`no_hands`, `silent`), if there is none."""
    topologies: Mapping[str, str]
    """Keypoint field it has -> topology."""
    audio: bool
    detector: Mapping[str, Any]
    """Identity of what found the keypoints."""
    media: Mapping[str, Mapping[str, Any]]
    """Field of images, stems, notes or players that it has -> what its artifact says of itself."""
    stale: tuple[str, ...] = ()
    """Stages that were frozen: their artifacts are not what the line would have made."""

    def as_json(self) -> dict[str, Any]:
        """For the ledger."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Summary":
        """From the ledger."""
        segments = tuple((start, stop) for start, stop in value["segments"])
        return cls(
            **{
                **value,
                "grid": tuple(value["grid"]),
                "segments": segments,
                "stale": tuple(value["stale"]),
            }
        )


def detector(ledger: Ledger, keys: Mapping[str, str]) -> Mapping[str, Any]:
    """Identity of the detector whose keypoints a recording has; empty without keypoints."""
    # what finds the skeletons of players is the same detector
    stage = next((name for name in ("detect", "player_detect") if name in keys), None)
    identity = ledger.identity(stage, keys[stage]) if stage else None
    tool: Mapping[str, Any] = identity["tool"] if identity else {}
    return tool


def summarise(
    store: Store, complete: Complete, grid: tuple[float, int], detector: Mapping[str, Any]
) -> Summary:
    """Reads what the artifacts of a finished recording say of themselves."""
    keys = complete.keys

    def read(stage: str, file: str) -> dict[str, Any]:
        if stage not in keys:
            return {}
        value: dict[str, Any] = json.loads((store.path(stage, keys[stage]) / file).read_text())
        return value

    found = read("segment", "segments.json")
    keypoints = read("interpolate", "interpolate.json")
    return Summary(
        dict(keys),
        dict(complete.digests),
        grid,
        found["frames"],
        tuple((start, stop) for start, stop in found["segments"]),
        found["reason"],
        keypoints["fields"] if keypoints.get("present") else {},
        bool(read("audio", "audio.json").get("present")),
        detector,
        {
            name: facts
            for name in MEDIA
            if (facts := read(FIELDS[name], f"{name}.json")).get("present")
        },
        complete.stale,
    )


def published(out: Path, store: Store, ledger: Ledger) -> Iterator[tuple[str, str, Summary]]:
    """Recordings in the published shards whose artifacts are still there: id, signature, summary.

    Raises:
        DatasetError: the index or `MANIFEST.json` cannot be read.
    """
    catalogue = read_catalogue(out)
    grid = float(catalogue.dataset["fps"]), int(catalogue.dataset["sample_rate"])
    rows = read_index(out / INDEX).select(["recording", "keys"]).to_pylist()
    for recording, text in {row["recording"]: row["keys"] for row in rows}.items():
        keys = json.loads(text)
        digests = {stage: ledger.digest(stage, key) for stage, key in keys.items()}
        if all(digests.values()):
            complete = Complete(keys, {s: d for s, d in digests.items() if d}, ())
            summary = summarise(store, complete, grid, detector(ledger, keys))
            yield recording, complete.signature(grid), summary


def write_until(
    stopped: Callable[[], bool], jobs: Sequence[ShardJob]
) -> Iterator[dict[str, int | str]]:
    """Writes shards one after the other.

    Raises:
        Interrupted: the build was asked to stop; what is published stays as it was.
    """
    for job in jobs:
        if stopped():
            raise Interrupted("interrupted while packing")
        yield write_shard(job)


def check_grid(manifest: Manifest, summaries: Mapping[str, Summary]) -> None:
    """One dataset, one time grid.

    Raises:
        UsageError: a recording that this build left out was made with another one.
    """
    grid = (manifest.fps, manifest.sample_rate)
    for name, summary in summaries.items():
        if summary.grid != grid:
            raise UsageError(
                f"{name} was built at {summary.grid[0]:g} fps and {summary.grid[1]} Hz, not at"
                f" {grid[0]:g} fps and {grid[1]} Hz: build all recordings, without --ids or --limit"
            )


def _source(manifest: Manifest) -> str:
    """The source as the manifest gives it: where a folder lies on this machine would make shards
    differ that are the same."""
    if manifest.source is None or manifest.source == "youtube" or "://" in manifest.source:
        return manifest.source or ""
    return Path(os.path.relpath(manifest.source, manifest.path.parent.resolve())).as_posix()


def dataset_facts(
    manifest: Manifest, fields: Sequence[str], summaries: Iterable[Summary]
) -> DatasetFacts:
    """What the shards say of the dataset as a whole."""
    topologies: dict[str, str] = {}
    for summary in summaries:
        of_media = summary.media.items()
        topologies |= summary.topologies
        topologies |= {name: m["topology"] for name, m in of_media if "topology" in m}
    return DatasetFacts(
        name=manifest.name,
        title=manifest.title,
        licence=manifest.licence,
        citation=manifest.citation,
        source=_source(manifest),
        fps=manifest.fps,
        sample_rate=manifest.sample_rate,
        fields=tuple(fields),
        topologies={name: topology(t) for name, t in topologies.items() if name in fields},
    )


def member(store: Store, recording: Recording, fields: Sequence[str], summary: Summary) -> Member:
    """A finished recording that has segments, as the shards take it."""
    stages = {
        name: FIELDS[name]
        for name in fields
        if (name == "audio" and summary.audio)
        or name in summary.topologies
        or name in summary.media
    }
    return Member(
        recording=recording,
        frames=summary.frames,
        segments=tuple(Segment(start, stop) for start, stop in summary.segments),
        artifacts={name: store.path(s, summary.keys[s]) for name, s in stages.items()},
        digests={
            name: sha256_text(canonical([summary.digests[s], summary.digests["segment"]]))
            for name, s in stages.items()
        },
        keys=summary.keys,
        detector=summary.detector,
        frozen={
            name: tuple(s for s in summary.stale if s in upstream(stage) or s == "segment")
            for name, stage in stages.items()
        },
        media=summary.media,
    )
