"""A torch Dataset of mixtures: random windows of clips of different categories, added up.

Item `i` of `Mixtures(dataset, seconds, mix=S, seed)` depends on `dataset`, `seed` and `i` alone:

    mix          (N,) float32 in [-1, 1]: the sum of the sources
    sources      (S, N) float32: each window scaled by 1 / S
    categories   S names, all different if the dataset has S categories
    recordings   S ids, all different
    start_frames (S,) int64: where each window starts in its recording
    xy, confidence, filled   (S, T, K, 2), (S, T, K), (S, T, K): the skeletons, if the dataset has
                 the field; all zero (not detected) for a source whose recording has none

T = round(seconds * fps), N = round(T * sample_rate / fps). Clips without audio, or shorter than
T frames, are not used. An epoch has as many items as there are windows side by side in the
clips, and item `i` has its first source from the clip of window `i`, at a random place.
Loudness, silence and other mixing protocols: `avpipe.separation.mixing`.
"""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from avpipe.errors import UsageError
from avpipe.types import Clip, Segment, Topology

if TYPE_CHECKING:
    import pandas as pd

Item = dict[str, Any]
Integers = npt.NDArray[np.int64]


class Clips(Protocol):
    """What is mixed: an `avpipe.dataset.Dataset`, or what has as much of it."""

    path: Path

    @property
    def fps(self) -> float: ...
    @property
    def topology(self) -> Topology | None: ...
    @property
    def index(self) -> "pd.DataFrame": ...
    def segment(self, i: int) -> Segment: ...
    def clip(
        self, i: int, start_frame: int, frames: int | None, fields: Collection[str] | None
    ) -> Clip: ...


class Mixtures(torch.utils.data.Dataset[Item]):
    """Mixtures of windows of a dataset's clips; pickles, and reads in any process."""

    def __init__(self, dataset: Clips, seconds: float = 6.0, mix: int = 2, seed: int = 0) -> None:
        """Args:
        seconds: length of the windows.
        mix: S, sources in a mixture; at least 1.
        seed: another seed gives other windows and partners.

        Raises:
            UsageError: fewer than `mix` recordings have a clip with audio that long.
        """
        self.dataset, self.mix, self.seed = dataset, mix, seed
        self.frames = round(seconds * dataset.fps)
        if self.frames < 1 or mix < 1 or seed < 0:
            raise UsageError(
                f"mixtures of {seconds=}, {mix=}, {seed=}: seconds must hold a frame,"
                " mix be at least 1 and seed at least 0"
            )
        index = dataset.index
        windows = ((index["stop_frame"] - index["start_frame"]) // self.frames).to_numpy()
        has_audio = index["fields"].str.split(",").map(lambda fields: "audio" in fields)
        windows = np.where(has_audio.to_numpy(dtype=bool), windows, 0)
        self._clip_of = np.repeat(np.arange(len(index)), windows)
        self._category, categories = _codes(index["category"], self._clip_of)
        self._recording, found = _codes(index["recording"], self._clip_of)
        self._windows_of = [np.flatnonzero(self._category == c) for c in range(categories)]
        if found < mix:
            raise UsageError(
                f"mixtures of {mix} need {mix} recordings with {seconds} s of audio in one"
                f" segment; {dataset.path} has {found}"
            )

    def __len__(self) -> int:
        """Windows side by side in all clips."""
        return len(self._clip_of)

    def __getitem__(self, i: int) -> Item:
        i = range(len(self))[i]
        random = np.random.default_rng((self.seed, i))
        clips = [self._window(w, random) for w in self._partners(i, random)]
        sources = np.stack([c.audio for c in clips if c.audio is not None]) / np.float32(self.mix)
        item: Item = {
            "mix": torch.from_numpy(sources.sum(axis=0)),
            "sources": torch.from_numpy(sources),
            "categories": [clip.category for clip in clips],
            "recordings": [clip.recording for clip in clips],
            "start_frames": torch.tensor([clip.segment.start for clip in clips]),
        }
        return item | self._keypoints(clips)

    def _partners(self, i: int, random: np.random.Generator) -> list[int]:
        """Windows of the sources: the i-th, then random ones of other categories or, where there
        are no more, of other recordings."""
        chosen = [i]
        while len(chosen) < self.mix:
            used = self._category[chosen]
            free = [c for c in range(len(self._windows_of)) if c not in used]
            if free:
                windows = self._windows_of[random.choice(free)]
            else:
                windows = np.flatnonzero(~np.isin(self._recording, self._recording[chosen]))
            chosen.append(int(random.choice(windows)))
        return chosen

    def _window(self, window: int, random: np.random.Generator) -> Clip:
        clip = int(self._clip_of[window])
        start = random.integers(len(self.dataset.segment(clip)) - self.frames + 1)
        fields = ("audio", "skeleton")
        return self.dataset.clip(clip, start_frame=int(start), frames=self.frames, fields=fields)

    def _keypoints(self, clips: list[Clip]) -> Item:
        topology = self.dataset.topology
        if topology is None:
            return {}
        shape = (self.mix, self.frames, len(topology))
        xy = np.zeros((*shape, 2), dtype=np.float32)
        confidence, filled = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.bool_)
        for s, clip in enumerate(clips):
            if clip.keypoints is not None and clip.keypoints.filled is not None:
                xy[s], confidence[s] = clip.keypoints.xy, clip.keypoints.confidence
                filled[s] = clip.keypoints.filled
        return {
            "xy": torch.from_numpy(xy),
            "confidence": torch.from_numpy(confidence),
            "filled": torch.from_numpy(filled),
        }


def _codes(names: "pd.Series[str]", clips: Integers) -> tuple[Integers, int]:
    """A number for the name of each of the clips, and how many different names they have."""
    unique, codes = np.unique(names.to_numpy(dtype=str)[clips], return_inverse=True)
    return codes, len(unique)
