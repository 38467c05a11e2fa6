"""Reads a built dataset: `open_dataset(path)`, then clips by number.

Clips are the rows of `index.parquet`, in its order. Shards are opened when they are first read and
stay open, per process; a Dataset pickles to its path and works in forked and spawned workers.
"""

from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avpipe.errors import DatasetError, UsageError
from avpipe.shards.catalogue import INDEX, NAME, read_catalogue, shard_name
from avpipe.shards.index import read_index
from avpipe.shards.layout import kind
from avpipe.shards.publish import has_digest, locate
from avpipe.shards.reader import OpenShards
from avpipe.timegrid import exact, sample_count
from avpipe.types import Clip, Float32, Segment, Topology

if TYPE_CHECKING:
    import pandas as pd

    from avpipe.mixtures import Mixtures


def open_dataset(path: str | Path) -> "Dataset":
    """The dataset that `avpipe build` published in a folder.

    Raises:
        DatasetError: it is missing, damaged or of another version.
    """
    return Dataset(Path(path))


class Dataset:
    """A built dataset, a clip a segment; reads lazily, pickles, and is safe in any process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = read_catalogue(path)
        """What `MANIFEST.json` says."""
        if INDEX not in self.manifest.files:
            raise DatasetError(f"{path / NAME} lists no {INDEX}: build the dataset again")
        self._digest = self.manifest.files[INDEX]["sha256"]
        self._table = read_index(locate(path / INDEX, self._digest, has_digest))
        self._shards = OpenShards(path, self.manifest)

    def __len__(self) -> int:
        """Clips in the dataset."""
        return len(self._table)

    def __repr__(self) -> str:
        return f"Dataset({str(self.path)!r}, {len(self)} clips of {', '.join(self.fields)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_reopen, (self.path, self._digest))

    @property
    def name(self) -> str:
        return str(self.manifest.dataset["name"])

    @property
    def fps(self) -> float:
        """Frames per second."""
        return float(self.manifest.dataset["fps"])

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self.manifest.dataset["sample_rate"])

    @property
    def fields(self) -> tuple[str, ...]:
        """Kinds of data the dataset holds; a recording may lack some."""
        return tuple(self.manifest.dataset["fields"])

    @property
    def topology(self) -> Topology | None:
        """Topology of the field `skeleton`; None if no recording has it."""
        return self.topology_of("skeleton")

    def topology_of(self, field: str) -> Topology | None:
        """Topology of a field with keypoints; None if no recording has it."""
        for name in sorted(self.manifest.files):
            if name.startswith(f"shards/{field}-"):
                return self._shards[name].topology
        return None

    @cached_property
    def index(self) -> "pd.DataFrame":
        """A row a clip; `schemas/index.schema.json` describes the columns."""
        frame: pd.DataFrame = self._table.to_pandas()
        return frame

    @cached_property
    def _columns(self) -> dict[str, list[Any]]:
        names = "recording category start_frame stop_frame shard row_start sample_start fields"
        return {name: self._table[name].to_pylist() for name in names.split()}

    def segment(self, i: int) -> Segment:
        """Frames of clip `i`, counted in its recording."""
        if i >= len(self):
            raise IndexError(f"there is no clip {i}: {self.path} has {len(self)}")
        return Segment(self._columns["start_frame"][i], self._columns["stop_frame"][i])

    def clip(
        self,
        i: int,
        start_frame: int = 0,
        frames: int | None = None,
        fields: Collection[str] | None = None,
    ) -> Clip:
        """A clip, or a window of it; only what is asked for is read.

        Args:
            i: row of `index`.
            start_frame: first frame of the window, counted in the clip.
            frames: length of the window; None: to the clip's end.
            fields: which of the dataset's fields to read; None: all.

        Raises:
            IndexError: there is no such clip.
            UsageError: the window leaves the clip.
            DatasetError: a shard is missing or damaged.
        """
        whole, row = self.segment(i), {name: column[i] for name, column in self._columns.items()}
        stop_frame = len(whole) if frames is None else start_frame + frames
        if not 0 <= start_frame < stop_frame <= len(whole):
            raise UsageError(
                f"frames [{start_frame}, {stop_frame}) of clip {i}: it has {len(whole)} frames"
            )
        window = Segment(start_frame, stop_frame)
        shown = Segment(whole.start + start_frame, whole.start + stop_frame)
        audio: Float32 | None = None
        found: dict[str, Any] = {}
        for field in filter(None, row["fields"].split(",")):
            if fields is not None and field not in fields:
                continue
            shard = self._shards[shard_name(field, row["shard"])]
            match kind(field):
                case "audio":
                    audio = shard.audio(row["recording"], *self._samples(row, whole, window))
                case "stems":
                    found[field] = shard.stems(row["recording"], *self._samples(row, whole, window))
                case "notes":
                    times = (float(frame / exact(self.fps)) for frame in (shown.start, shown.stop))
                    found[field] = shard.notes(row["recording"], *times)
                case "keypoints":
                    first = row["row_start"]
                    found[field] = shard.keypoints(
                        row["recording"], first + start_frame, first + stop_frame
                    )
                case "player_keypoints":
                    first = row["row_start"]
                    found[field] = shard.players(
                        row["recording"], first + start_frame, first + stop_frame
                    )
                case _:
                    found[field] = shard.images(row["recording"], whole, shown)
        return Clip(
            recording=row["recording"],
            category=row["category"],
            segment=shown,
            fps=self.fps,
            sample_rate=self.sample_rate,
            audio=audio,
            keypoints=found.pop("skeleton", None),
            fields=found,
        )

    def _samples(self, row: dict[str, Any], whole: Segment, window: Segment) -> tuple[int, int]:
        """Rows of a window's samples: half-open."""
        total = sample_count(len(whole), self.fps, self.sample_rate)
        start, stop = window.samples(self.fps, self.sample_rate, total)
        return row["sample_start"] + start, row["sample_start"] + stop

    def torch(self, seconds: float = 6.0, mix: int = 2, seed: int = 0) -> "Mixtures":
        """A torch Dataset of mixtures of `mix` clips and their sources: see `avpipe.mixtures`."""
        from avpipe.mixtures import Mixtures

        return Mixtures(self, seconds=seconds, mix=mix, seed=seed)


def _reopen(path: Path, digest: str) -> Dataset:
    dataset = open_dataset(path)
    if dataset.manifest.files[INDEX]["sha256"] != digest:
        raise DatasetError(f"{path} was rebuilt since it was opened: open it again")
    return dataset
