"""The audio of a built dataset in memory, on any device, and who may be drawn for training.

A bank is one int16 tensor with all segments of a part of the dataset, one after the other, grouped
by class. It is read from the shards once; all of Solos is about 5 GB. Windows are gathered on the
device the bank is on, so nothing is decoded, copied or mixed by worker processes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avpipe.errors import UsageError
from avpipe.separation.transfer import sent
from avpipe.timegrid import sample_count

if TYPE_CHECKING:
    import pandas as pd

    from avpipe.dataset import Dataset

Part = Literal["train", "validation", "test"]
Int64 = npt.NDArray[np.int64]

HELD_OUT = 0.2
"""Share of every category's recordings that is validation where the manifest names none."""
SPELLINGS: Mapping[str, frozenset[str]] = {
    "train": frozenset({"train", "training"}),
    "validation": frozenset({"validation", "valid", "val", "dev"}),
    "test": frozenset({"test"}),
}


@dataclass(frozen=True, eq=False)
class AudioBank:
    """M segments of at least `window` samples each, sorted by class."""

    samples: Tensor
    """(total,) int16, all segments one after the other."""
    starts: Int64
    """(M,) first sample of each segment."""
    lengths: Int64
    """(M,) samples of each segment."""
    classes: Int64
    """(M,) index into `names`, ascending."""
    recordings: tuple[str, ...]
    """(M,) ids."""
    start_frames: tuple[int, ...]
    """(M,) first frame of each segment in its recording."""
    rows: tuple[int, ...]
    """(M,) rows of the dataset's index."""
    names: tuple[str, ...]
    """Names of the classes."""
    sample_rate: int
    """Hz."""
    window: int
    """Samples of the clips that are drawn."""
    dropped: Mapping[str, int]
    """Reason -> number of segments of this part that were left out."""
    grid: float = 1.0
    """Samples from one place of a segment where clips may begin to the next; where one is not
    whole, the nearest sample."""

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def positions(self) -> Int64:
        """(M + 1,) running number of the first window of each segment: windows at every sample of
        every segment, counted through the bank."""
        return np.concatenate([[0], np.cumsum(self.lengths - self.window + 1)])

    def begins(self, offsets: Int64) -> Int64:
        """The last sample at or before each one, counted in its segment, where a clip may begin."""
        begins: Int64 = np.rint(np.floor(offsets / self.grid) * self.grid).astype(np.int64)
        return begins

    def to(self, device: torch.device | str) -> "AudioBank":
        """The same with its samples on `device`."""
        return replace(self, samples=self.samples.to(device))

    def windows(self, first_samples: Int64) -> Tensor:
        """Clips (..., N) float32 in [-1, 1) that begin at these samples of the bank, on its
        device; silence for -1."""
        if self.samples.device.type == "cpu":
            return self._copied(first_samples)
        first = sent(torch.from_numpy(first_samples), self.samples.device)
        view = self.samples.unfold(0, self.window, 1)
        clips = view[first.clamp(min=0)].to(torch.float32) / 32768
        return clips.masked_fill_(first.unsqueeze(-1) < 0, 0.0)

    def _copied(self, first_samples: Int64) -> Tensor:
        """`windows` one by one, which touches main memory once."""
        clips = torch.zeros(*first_samples.shape, self.window)
        for clip, first in zip(clips.flatten(0, -2), first_samples.flat, strict=True):
            if first >= 0:
                clip.copy_(self.samples[first : first + self.window])
        return clips.div_(32768)


def load(
    dataset: "Dataset",
    part: Part,
    names: Sequence[str],
    sample_rate: int,
    window: int,
    fields: Sequence[str] = (),
    on_frames: bool = False,
) -> AudioBank:
    """The bank of one part of a built dataset.

    Args:
        dataset: it must hold audio at `sample_rate`.
        part: see `rows_of`.
        names: classes of the separator; its categories are matched without regard to case, spaces
            and punctuation. Empty: the categories of the dataset, sorted.
        sample_rate: Hz, of the separator.
        window: samples; shorter and silent segments are left out and counted.
        fields: what a segment must have besides its audio; others are left out and counted.
        on_frames: clips begin exactly where a frame of the dataset does.

    Raises:
        UsageError: another sample rate, no audio, an empty part, or a category that is no class.
    """
    if "audio" not in dataset.fields:
        fields = ("audio", *dataset.fields)
        raise UsageError(f"{dataset.path} has no audio: build it with --fields {','.join(fields)}")
    if dataset.sample_rate != sample_rate:
        raise UsageError(
            f"{dataset.path} has audio at {dataset.sample_rate} Hz, the separator works at"
            f" {sample_rate} Hz: build the dataset with sample_rate = {sample_rate}"
        )
    index = dataset.index
    names = tuple(names) or tuple(sorted(set(index["category"])))
    rows = _rows_by_class(dataset, part, names)
    samples, lengths, dropped = _read(dataset, rows, window, fields)
    kept = [row for row in rows if row in lengths]
    if not kept:
        raise UsageError(
            f"no segment for {part} in {dataset.path} has {window / sample_rate:.2f} s of sound"
            f" ({', '.join(f'{n} {reason}' for reason, n in dropped.items())}): build longer ones"
            " (--set segment.min_frames=...)"
        )
    known = {plain(name): i for i, name in enumerate(names)}
    counts = np.array([lengths[row] for row in kept], np.int64)
    return AudioBank(
        samples=samples,
        starts=np.cumsum(counts) - counts,
        lengths=counts,
        classes=np.array([known[plain(index["category"][row])] for row in kept], np.int64),
        recordings=tuple(index["recording"][row] for row in kept),
        rows=tuple(kept),
        start_frames=tuple(int(index["start_frame"][row]) for row in kept),
        names=names,
        sample_rate=sample_rate,
        window=window,
        dropped=dropped,
        grid=sample_rate / dataset.fps if on_frames else 1.0,
    )


def _rows_by_class(dataset: "Dataset", part: Part, names: Sequence[str]) -> list[int]:
    """Rows of a part in the order of their classes; every category must be one."""
    categories = dataset.index["category"]
    rows = rows_of(dataset.index, part).tolist()
    if not rows:
        raise UsageError(f"{dataset.path} has no recordings for {part}: check its split column")
    order = {plain(name): i for i, name in enumerate(names)}
    unknown = sorted({categories[row] for row in rows if plain(categories[row]) not in order})
    if unknown:
        raise UsageError(
            f"categories {', '.join(unknown)} of {dataset.path} are no classes of the separator,"
            f" which knows {', '.join(names)}"
        )
    return sorted(rows, key=lambda row: order[plain(categories[row])])


def _read(
    dataset: "Dataset", rows: Sequence[int], window: int, fields: Sequence[str]
) -> tuple[Tensor, dict[int, int], dict[str, int]]:
    """The samples of what can be used, row -> its number of samples, reason -> segments left out.

    One allocation of the final size: a dataset may fill half of the memory.
    """
    frames = [len(dataset.segment(row)) for row in rows]
    total = sum(sample_count(f, dataset.fps, dataset.sample_rate) for f in frames)
    samples = torch.empty(total, dtype=torch.int16)
    lengths: dict[int, int] = {}
    dropped: Counter[str] = Counter()
    filled = 0
    for row in rows:
        present = dataset.index["fields"][row].split(",")
        missing = [field for field in fields if field not in present]
        audio = None if missing else dataset.clip(row, fields=("audio",)).audio
        reason = f"without {missing[0]}" if missing else _unusable(audio, window)
        if reason or audio is None:
            dropped[reason] += 1
            continue
        # The shards hold 16 bits: nothing is rounded away.
        samples[filled : filled + len(audio)] = torch.from_numpy(audio) * 32768
        filled += len(audio)
        lengths[row] = len(audio)
    return samples[:filled], lengths, dict(dropped)


def rows_of(index: "pd.DataFrame", part: Part) -> Int64:
    """Rows of `index` that belong to a part of the dataset.

    The manifest's split decides; recordings without one are for training. Where it has no
    validation recordings, the last fifth of every category's training recordings by id are taken
    away from training for it, at least one if there are two. Where it has no test recordings, the
    validation recordings are the test.
    """
    split = index["split"].fillna("train").str.lower()
    named = {p: split.isin(SPELLINGS[p]).to_numpy() for p in SPELLINGS}
    if part == "test" and named["test"].any():
        return np.flatnonzero(named["test"])
    if part != "train" and named["validation"].any():
        return np.flatnonzero(named["validation"])
    if named["validation"].any():
        return np.flatnonzero(named["train"])
    held = index["recording"].isin(_held_out(index[named["train"]])).to_numpy()
    return np.flatnonzero(named["train"] & (~held if part == "train" else held))


def plain(name: str) -> str:
    """A category's name as it is compared: `double_bass` and `DoubleBass` are one."""
    return "".join(filter(str.isalnum, name.lower()))


def resident_device(bank: AudioBank, device: torch.device) -> torch.device:
    """Where the bank should live: on the training device if it takes at most half of what is free
    there, else in main memory."""
    if device.type != "cuda":
        return device
    free, _ = torch.cuda.mem_get_info(device)
    size = bank.samples.numel() * bank.samples.element_size()
    return device if size <= free / 2 else torch.device("cpu")


def _held_out(train: "pd.DataFrame") -> set[str]:
    held: set[str] = set()
    for _, recordings in train.groupby("category")["recording"]:
        ordered = sorted(set(recordings))
        count = max(1, int(len(ordered) * HELD_OUT)) if len(ordered) > 1 else 0
        held.update(ordered[len(ordered) - count :])
    return held


def _unusable(audio: Any, window: int) -> str:
    if audio is None:
        return "without audio"
    if len(audio) < window:
        return "too short"
    return "" if audio.any() else "silent"
