"""How segments agree with released ones: intersection over union of their frames, per recording."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

from avpipe.manifest.reference import Released

Range = tuple[int, int]
"""Half-open frames."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One recording that both have."""

    recording: str
    iou: float
    """In [0, 1]; 1 if neither has a segment."""
    ours: int
    """Segments."""
    released: int
    """Segments."""


@dataclass(frozen=True)
class Agreement:
    """Agreement over all recordings that both have."""

    recordings: tuple[Compared, ...]
    mean_iou: float | None
    """None if no recording could be compared."""
    segments: int
    released_segments: int
    hours: float
    released_hours: float

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def agreement(
    released: Mapping[str, Released], ours: Mapping[str, Sequence[Range]], fps: float
) -> Agreement:
    """Compares segments with released ones.

    Args:
        released: recording id -> what was released of it.
        ours: recording id -> its segments, disjoint; recordings that were not released are ignored.
        fps: frames per second of both.
    """
    pairs = {
        name: (ours[name], [(s.start, s.stop) for s in released[name].segments])
        for name in released
        if name in ours
    }
    compared = tuple(
        Compared(name, iou(mine, theirs), len(mine), len(theirs))
        for name, (mine, theirs) in pairs.items()
    )
    return Agreement(
        recordings=compared,
        mean_iou=mean(c.iou for c in compared) if compared else None,
        segments=sum(c.ours for c in compared),
        released_segments=sum(c.released for c in compared),
        hours=sum(_frames(mine) for mine, _ in pairs.values()) / fps / 3600,
        released_hours=sum(_frames(theirs) for _, theirs in pairs.values()) / fps / 3600,
    )


def iou(first: Sequence[Range], second: Sequence[Range]) -> float:
    """Frames in both over frames in either, of two sets of disjoint ranges; 1 if both are empty."""
    both = sum(
        max(0, min(stop, other_stop) - max(start, other_start))
        for start, stop in first
        for other_start, other_stop in second
    )
    either = _frames(first) + _frames(second) - both
    return both / either if either else 1.0


def _frames(ranges: Iterable[Range]) -> int:
    return sum(stop - start for start, stop in ranges)
