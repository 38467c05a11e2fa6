"""From finished recordings to the members of shards.

What a recording contributes is summed up once, when it is through the line, and kept in the
ledger: packing what has not changed opens no artifact.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from avpipe.dag import FIELDS
from avpipe.keypoints import topology
from avpipe.manifest import Manifest
from avpipe.shards import DatasetFacts, Member
from avpipe.store import Store, canonical, sha256_text
from avpipe.types import Recording, Segment

MEDIA = ("frames", "faces", "mouths", "stems")
"""Fields whose artifact is `<field>.json` and what it says is there."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a finished recording contributes to the shards."""

    keys: Mapping[str, str]
    """Stage -> key of its artifact."""
    digests: Mapping[str, str]
    """Stage -> content digest of its artifact."""
    frames: int
    """T."""
    segments: tuple[tuple[int, int], ...]
    reason: str | None
    """Why there is no segment (`no_hands`, `silent`), if there is none."""
    topologies: Mapping[str, str]
    """Keypoint field it has -> topology."""
    audio: bool
    detector: Mapping[str, Any]
    media: Mapping[str, Mapping[str, Any]]
    """Field of images or stems that it has -> what its artifact says of itself."""

    def as_json(self) -> dict[str, Any]:
        """For the ledger."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Summary":
        """From the ledger."""
        segments = tuple((start, stop) for start, stop in value["segments"])
        return cls(**{"media": {}, **value, "segments": segments})


def summarise(
    store: Store, keys: Mapping[str, str], digests: Mapping[str, str], detector: Mapping[str, Any]
) -> Summary:
    """Reads what the artifacts of a finished recording say of themselves."""

    def read(stage: str, file: str) -> dict[str, Any]:
        if stage not in keys:
            return {}
        value: dict[str, Any] = json.loads((store.path(stage, keys[stage]) / file).read_text())
        return value

    found = read("segment", "segments.json")
    keypoints = read("interpolate", "interpolate.json")
    return Summary(
        dict(keys),
        dict(digests),
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
    )


def dataset_facts(
    manifest: Manifest, fields: Sequence[str], summaries: Iterable[Summary]
) -> DatasetFacts:
    """What the shards say of the dataset as a whole."""
    topologies = {name: t for s in summaries for name, t in s.topologies.items()}
    return DatasetFacts(
        name=manifest.name,
        title=manifest.title,
        licence=manifest.licence,
        citation=manifest.citation,
        source=manifest.source or "",
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
        media=summary.media,
    )
