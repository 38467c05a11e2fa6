"""Reads rows of shards through handles that are kept open, in the process that opened them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from avpipe.images import Images
from avpipe.shards.catalogue import Catalogue
from avpipe.shards.check import segments_of
from avpipe.shards.layout import columns, kind
from avpipe.shards.open import (
    attributes_of,
    column,
    group,
    is_shard,
    open_shard,
    reading,
    topology_of,
)
from avpipe.shards.publish import locate
from avpipe.types import Keypoints, Notes, Players, Segment, Stems

OPEN_SHARDS = 64
"""Shards that stay open in one process."""
KNOWN_RECORDINGS = 512
"""Recordings whose columns stay looked up, in one shard."""


class ShardReader:
    """One open shard."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_shard(path)
        with reading(path):
            self.field = str(attributes_of(self._file)["field"])
            self.topology = (
                topology_of(self._file)
                if kind(self.field) in ("keypoints", "player_keypoints")
                else None
            )
        self._known: dict[str, list[h5py.Dataset]] = {}
        self._described: dict[str, tuple[dict[str, Any], list[Segment]]] = {}

    def audio(self, recording: str, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Samples [start, stop) of a recording's rows: (N,) in [-1, 1)."""
        (samples,) = self._rows(recording, start, stop)
        return np.multiply(samples, np.float32(1 / 32768), dtype=np.float32)

    def keypoints(self, recording: str, start: int, stop: int) -> Keypoints:
        """Frames [start, stop) of a recording's rows."""
        assert self.topology is not None
        confidence, filled, xy = self._rows(recording, start, stop)
        return Keypoints(xy, confidence, self.topology, filled)

    def players(self, recording: str, start: int, stop: int) -> Players:
        """The skeletons of the players, frames [start, stop) of a recording's rows."""
        assert self.topology is not None
        confidence, filled, xy = self._rows(recording, start, stop)
        attributes, _ = self._about(recording)
        views = [
            Keypoints(xy[:, p], confidence[:, p], self.topology, filled[:, p])
            for p in range(xy.shape[1])
        ]
        return _players(attributes, views)

    def stems(self, recording: str, start: int, stop: int) -> Stems:
        """Samples [start, stop) of a recording's rows."""
        (samples,) = self._rows(recording, start, stop)
        attributes, _ = self._about(recording)
        return Stems(tuple(attributes["names"]), np.ascontiguousarray(samples.T))

    def notes(self, recording: str, start_seconds: float, stop_seconds: float) -> Notes:
        """The notes that sound between two instants of a recording, timed from the first one."""
        attributes, _ = self._about(recording)
        with reading(self.path):
            stored = self._known.get(recording) or self._look_up(recording)
            duration, onset, pitch, player, source = (rows[()] for rows in stored)
        heard = (onset < stop_seconds) & (onset + duration > start_seconds)
        return Notes(
            tuple(attributes["names"]),
            onset[heard] - start_seconds,
            duration[heard],
            pitch[heard],
            source[heard],
            player[heard],
        )

    def images(self, recording: str, whole: Segment, window: Segment) -> Images | Players:
        """The images of a window's frames, of each player if there are several.

        Args:
            whole: a segment of the recording.
            window: frames of it, counted in the recording.
        """
        attributes, segments = self._about(recording)
        step, height, width = (attributes[name] for name in ("step", "height", "width"))
        each = max(1, len(attributes.get("names", ())))
        before = [s.every(step) for s in segments if s.start < whole.start]
        first, last = window.every(step)
        row = (sum(b - a for a, b in before) + first - whole.every(step)[0]) * each
        held = None
        with reading(self.path):
            stored = self._known.get(recording) or self._look_up(recording)
            *of_crops, jpeg, offsets = stored
            places = offsets[row : row + (last - first) * each + 1]
            if of_crops:
                held = of_crops[0][row : row + last - first]
            content = jpeg[places[0] : places[-1]]
        shown = np.arange(first, last) * step - window.start
        places = places - places[0]
        if "squares" not in attributes:
            return Images(content, places, shown, height, width, held)
        views = [
            Images(*_every(content, places, each, p), shown, height, width) for p in range(each)
        ]
        return _players(attributes, views)

    def _rows(self, recording: str, start: int, stop: int) -> list[npt.NDArray[Any]]:
        with reading(self.path):
            stored = self._known.get(recording) or self._look_up(recording)
            if stop > len(stored[0]):
                raise ValueError(f"{recording} has {len(stored[0])} rows, not {stop}")
            return [rows[start:stop] for rows in stored]

    def _about(self, recording: str) -> tuple[dict[str, Any], list[Segment]]:
        """Attributes and segments of a recording."""
        if recording not in self._described:
            if len(self._described) >= KNOWN_RECORDINGS:
                self._described.clear()
            with reading(self.path):
                found = group(self._file, recording)
                self._described[recording] = attributes_of(found), segments_of(found)
        return self._described[recording]

    def _look_up(self, recording: str) -> list[h5py.Dataset]:
        if len(self._known) >= KNOWN_RECORDINGS:
            self._known.clear()
        found = group(self._file, recording)
        stored = [column(found, spec) for spec in columns(self.field)]
        self._known[recording] = stored
        return stored


def _players(attributes: dict[str, Any], views: Sequence[Any]) -> Players:
    values = iter(attributes["squares"])
    squares = tuple(zip(values, values, values, strict=True))
    return Players(tuple(attributes["names"]), tuple(views), squares)


def _every(
    content: npt.NDArray[np.uint8], places: npt.NDArray[np.int64], each: int, first: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Every `each`-th file of some, from `first` on, and where they start and end."""
    chosen = range(first, len(places) - 1, each)
    parts = [content[places[i] : places[i + 1]] for i in chosen]
    joined = np.concatenate([content[:0], *parts])
    return joined, np.cumsum([0, *map(len, parts)], dtype=np.int64)


class OpenShards:
    """The shards of a dataset that this process has open, the least recently used closed first.

    HDF5 handles must not cross a fork: a child starts with none and leaves its parent's alone.
    """

    def __init__(self, out: Path, catalogue: Catalogue) -> None:
        self._out, self._catalogue = out, catalogue
        self._pid = os.getpid()
        self._open: dict[str, ShardReader] = {}
        self._inherited: list[dict[str, ShardReader]] = []

    def __getitem__(self, name: str) -> ShardReader:
        """The shard at a path below the dataset's folder."""
        if self._pid != os.getpid():
            self._inherited.append(self._open)  # kept, since dropping would close them
            self._pid, self._open = os.getpid(), {}
        reader = self._open.pop(name, None) or self._opened(name)
        self._open[name] = reader
        if len(self._open) > OPEN_SHARDS:
            self._open.pop(next(iter(self._open)), None)
        return reader

    def _opened(self, name: str) -> ShardReader:
        key = str(self._catalogue.files[name]["key"])
        return ShardReader(locate(self._out / name, key, is_shard))
