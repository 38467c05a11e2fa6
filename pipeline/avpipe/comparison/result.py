"""A comparison in figures: what was measured of every recording, and of all of them together."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from avpipe.comparison.metrics import (
    HANDS,
    Floats,
    Spread,
    coverage,
    disagreement,
    distances,
    jitter,
    shoulder_width,
    worst_frames,
)
from avpipe.comparison.pairs import Pair
from avpipe.types import Segment

PERCENTILES = (50, 90, 95, 99)
WORST = 12
"""Frames of a comparison that are worth looking at."""
WORST_OF_ONE = 3
"""Of them, at most so many of one recording, where there are several."""
_EXTENT_IN_SHOULDERS = 3.0
"""Without shoulders: how many of them go into the extent of what is detected."""

Spreads = dict[tuple[str, str], Spread]
"""(group, unit) -> spread; units are `px` and, where shoulders are seen, `shoulders`."""
Table = tuple[str, list[str], list[list[Any]]]
"""Title, names of the columns, rows."""


@dataclass(frozen=True, slots=True)
class Worst:
    """A frame on which two detections disagree."""

    recording: str
    frame: int
    seconds: float
    disagreement: float
    """In shoulder widths, see `metrics.disagreement`."""


@dataclass(frozen=True, eq=False)
class Compared:
    """What was measured of one recording. Pairs of values are of a and of b."""

    recording: str
    fps: float
    frames: int
    shoulders_px: float | None
    """Width of the shoulders, if they are seen."""
    coverage: Mapping[str, tuple[int, int]]
    """`left`, `right`, `any`, `both` -> frames that show it."""
    distance: Spreads
    """Between the joints that both detect."""
    jitter: tuple[Spreads, Spreads]
    """Second differences."""
    segments: tuple[tuple[Segment, ...], tuple[Segment, ...]]
    worst: tuple[Worst, ...]

    @classmethod
    def of(cls, pair: Pair) -> "Compared":
        """Measures a pair."""
        a, b = pair.a, pair.b
        width = shoulder_width(a, b)
        seen_a, seen_b = coverage(a), coverage(b)
        apart = disagreement(a, b, width or _extent(pair) / _EXTENT_IN_SHOULDERS)
        return cls(
            recording=pair.recording,
            fps=pair.fps,
            frames=len(a),
            shoulders_px=width,
            coverage={hand: (seen_a[hand], seen_b[hand]) for hand in HANDS},
            distance=_spreads(distances(a, b), width),
            jitter=(_spreads(jitter(a), width), _spreads(jitter(b), width)),
            segments=(tuple(pair.segments_a), tuple(pair.segments_b)),
            worst=tuple(
                Worst(pair.recording, t, t / pair.fps, float(apart[t]))
                for t in worst_frames(apart, WORST, gap=max(1, round(pair.fps)))
            ),
        )

    @cached_property
    def moved_frames(self) -> tuple[int, int]:
        """Frames that are in a segment of a and in none of b, and the other way round."""
        inside = np.zeros((2, self.frames), np.bool_)
        for row, segments in zip(inside, self.segments, strict=True):
            for segment in segments:
                row[segment.start : segment.stop] = True
        return int((inside[0] & ~inside[1]).sum()), int((inside[1] & ~inside[0]).sum())

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "recording": self.recording,
            "frames": self.frames,
            "shoulders_px": self.shoulders_px,
            "coverage": {
                hand: {"a": a / max(self.frames, 1), "b": b / max(self.frames, 1)}
                for hand, (a, b) in self.coverage.items()
            },
            "distance": _nested(self.distance, _percentiles),
            "segments": {
                side: [[s.start, s.stop] for s in segments]
                for side, segments in zip("ab", self.segments, strict=True)
            },
            "moved_frames": sum(self.moved_frames),
        }


@dataclass(frozen=True, eq=False)
class Result:
    """A comparison."""

    a: str
    """What the first detection is called."""
    b: str
    recordings: tuple[Compared, ...]
    """At least one."""

    @property
    def frames(self) -> int:
        """Of all recordings."""
        return sum(r.frames for r in self.recordings)

    @cached_property
    def coverage(self) -> dict[str, tuple[float, float]]:
        """`left`, `right`, `any`, `both` -> share of frames that show it, in a and in b."""
        total = max(self.frames, 1)
        return {
            hand: (
                sum(r.coverage[hand][0] for r in self.recordings) / total,
                sum(r.coverage[hand][1] for r in self.recordings) / total,
            )
            for hand in HANDS
        }

    @cached_property
    def distance(self) -> Spreads:
        """Of all recordings."""
        return _added(r.distance for r in self.recordings)

    @cached_property
    def jitter(self) -> tuple[Spreads, Spreads]:
        """Of all recordings, in a and in b."""
        return (
            _added(r.jitter[0] for r in self.recordings),
            _added(r.jitter[1] for r in self.recordings),
        )

    @property
    def changed(self) -> tuple[Compared, ...]:
        """Recordings whose segments differ, those that move most first."""
        moved = [r for r in self.recordings if r.segments[0] != r.segments[1]]
        return tuple(sorted(moved, key=lambda r: (-sum(r.moved_frames), r.recording)))

    @property
    def worst(self) -> tuple[Worst, ...]:
        """The frames that disagree most."""
        share = WORST if len(self.recordings) == 1 else WORST_OF_ONE
        found = [worst for r in self.recordings for worst in r.worst[:share]]
        return tuple(sorted(found, key=lambda w: (-w.disagreement, w.recording, w.frame))[:WORST])

    def hours(self, side: int) -> float:
        """Of the segments in a (0) or b (1)."""
        return sum(len(s) / r.fps for r in self.recordings for s in r.segments[side]) / 3600

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        counts = [sum(len(r.segments[side]) for r in self.recordings) for side in (0, 1)]
        return {
            "a": self.a,
            "b": self.b,
            "recordings": len(self.recordings),
            "frames": self.frames,
            "coverage": {hand: {"a": a, "b": b} for hand, (a, b) in self.coverage.items()},
            "distance": _nested(self.distance, _percentiles),
            "jitter": {
                side: _nested(spreads, lambda spread: spread.percentile(50))
                for side, spreads in zip("ab", self.jitter, strict=True)
            },
            "segments": {
                "a": {"segments": counts[0], "hours": self.hours(0)},
                "b": {"segments": counts[1], "hours": self.hours(1)},
                "changed_recordings": [r.recording for r in self.changed],
                "moved_frames": sum(sum(r.moved_frames) for r in self.recordings),
            },
            "worst": [{name: getattr(w, name) for name in Worst.__slots__} for w in self.worst],
            "by_recording": [r.as_json() for r in self.recordings],
        }

    def tables(self) -> list[Table]:
        """The figures for people."""
        return [
            self._coverage_table(),
            self._distance_table(),
            self._jitter_table(),
            self._segment_table(),
        ]

    def _coverage_table(self) -> Table:
        rows = [
            [hand, f"{a:.1%}", f"{b:.1%}", f"{100 * (b - a):+.1f}"]
            for hand, (a, b) in self.coverage.items()
        ]
        return "Share of frames that show hands", ["hand", "a", "b", "points"], rows

    def _distance_table(self) -> Table:
        columns = ["", "joints", *(f"{q} %" for q in PERCENTILES)]
        rows = [
            [group, f"{len(spread):,}", *(_in_units(self.distance, group, q) for q in PERCENTILES)]
            for (group, unit), spread in self.distance.items()
            if unit == "px"
        ]
        title = "Distance between joints that both detect, by percentile: px (shoulder widths)"
        return title, columns, rows

    def _jitter_table(self) -> Table:
        rows = [
            [group, *(_in_units(spreads, group, 50) for spreads in self.jitter)]
            for group, unit in self.jitter[0]
            if unit == "px"
        ]
        title = "Jitter, the median second difference: px (shoulder widths)"
        return title, ["", "a", "b"], rows

    def _segment_table(self) -> Table:
        rows = [
            [
                name,
                sum(len(r.segments[side]) for r in self.recordings),
                f"{self.hours(side):.3f}",
                f"{sum(r.moved_frames[side] for r in self.recordings):,}",
            ]
            for side, name in enumerate("ab")
        ]
        title = f"Segments: {len(self.changed):,} of {len(self.recordings):,} recordings change"
        return title, ["", "segments", "hours", "frames in this one only"], rows


def describe(segments: Sequence[Segment], fps: float) -> str:
    """Segments in seconds, for people."""
    return ", ".join(f"{s.start / fps:.2f}–{s.stop / fps:.2f}" for s in segments) or "none"


def _extent(pair: Pair) -> float:
    """The longer side of what is detected in any frame, in px; 1 if nothing is."""
    known = [k.xy[k.confidence > 0] for k in (pair.a, pair.b)]
    points = np.concatenate(known)
    return max(float(np.ptp(points, axis=0).max()), 1.0) if len(points) else 1.0


def _spreads(values: Mapping[str, Floats], shoulders_px: float | None) -> Spreads:
    scales = {"px": 1.0} | ({"shoulders": shoulders_px} if shoulders_px else {})
    return {
        (group, unit): Spread.of(found / scale)
        for group, found in values.items()
        for unit, scale in scales.items()
    }


def _added(parts: Iterable[Spreads]) -> Spreads:
    total: Spreads = {}
    for part in parts:
        for place, spread in part.items():
            total[place] = total[place] + spread if place in total else spread
    return total


def _nested(spreads: Spreads, value: Callable[[Spread], Any]) -> dict[str, dict[str, Any]]:
    """Group -> unit -> what `value` makes of the spread."""
    nested: dict[str, dict[str, Any]] = {}
    for (group, unit), spread in spreads.items():
        nested.setdefault(group, {})[unit] = value(spread)
    return nested


def _percentiles(spread: Spread) -> dict[str, float | int | None]:
    return {"joints": len(spread), **{str(q): spread.percentile(q) for q in PERCENTILES}}


def _in_units(spreads: Spreads, group: str, q: float) -> str:
    """A percentile in px, and behind it in shoulder widths."""
    px = spreads[group, "px"].percentile(q)
    relative = spreads.get((group, "shoulders"))
    if px is None:
        return "-"
    return f"{px:.3g}" + (f" ({relative.percentile(q):.2g})" if relative else "")
