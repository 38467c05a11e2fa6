"""What goes into the shards: facts of the dataset, and one member for each packed recording."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avpipe.timegrid import sample_count
from avpipe.types import Recording, Segment, Topology


@dataclass(frozen=True)
class DatasetFacts:
    """What holds for the whole dataset."""

    name: str
    title: str
    licence: str
    citation: str
    source: str
    """Where the recordings come from, as the manifest says it."""
    fps: float
    """Frames per second."""
    sample_rate: int
    """Hz."""
    fields: tuple[str, ...]
    topologies: Mapping[str, Topology] = field(default_factory=dict)
    """Topology of every field that holds keypoints."""


@dataclass(frozen=True)
class Member:
    """One recording as it is packed: its segments and where its data is."""

    recording: Recording
    frames: int
    """T of the whole recording."""
    segments: tuple[Segment, ...]
    """At least one; sorted and disjoint."""
    artifacts: Mapping[str, Path]
    """Field -> folder that holds its data; a field the recording does not have is not there."""
    digests: Mapping[str, str]
    """Field -> digest of all the content its rows are made from, the segments included."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Stage -> key of its artifact, for the index."""
    detector: Mapping[str, Any] = field(default_factory=dict)
    """Identity of what found the keypoints."""
    frozen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Field -> stages on its way whose outputs were kept on purpose although they were stale."""
    media: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Field of images, crops, stems, notes or players -> what its artifact says of itself: `step`,
    `height`, `width`, `bytes` and `notes` (of the whole recording), `names`, `squares`,
    `topology`."""

    @property
    def id(self) -> str:
        return self.recording.id


def by_field(members: Iterable[Member], field: str) -> tuple[Member, ...]:
    """The members that have `field`, in id order: the order of a shard."""
    return tuple(sorted((m for m in members if field in m.artifacts), key=lambda m: m.id))


def counts(member: Member, facts: DatasetFacts) -> tuple[int, int]:
    """Frames and samples of all segments of a member together."""
    frames = sum(map(len, member.segments))
    samples = sum(sample_count(len(s), facts.fps, facts.sample_rate) for s in member.segments)
    return frames, samples
