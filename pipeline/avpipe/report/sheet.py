"""A contact sheet: some clips of every category of a dataset, drawn small."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from avpipe.dataset import Dataset
from avpipe.report.clip import best_frame, sources
from avpipe.report.pictures import (
    Box,
    Image,
    around,
    draw,
    encoded,
    ground,
    known_points,
    picture_at,
)
from avpipe.types import Clip, Float32

WIDTH, HEIGHT = 480, 360
"""px; the most that a picture takes."""
LINES = 1.6
"""Widths of the skeleton's lines: the page shows the pictures smaller than they are."""
PICTURES, OF_A_CATEGORY = 40, 4
"""The most of a sheet, and of one category in it."""
_WAVE = (111, 168, 255)


@dataclass(frozen=True, slots=True)
class Tile:
    """One recording of the sheet."""

    recording: str
    category: str
    seconds: float
    """The moment that is shown."""
    segments: tuple[tuple[float, float], ...]
    """Seconds in the recording."""
    picture: str
    """A JPEG file as a data URI."""


def contact_sheet(dataset: Dataset) -> Iterator[Tile]:
    """Tiles by category, the same for the same dataset."""
    index = dataset.index
    for recording in chosen(list(zip(index["recording"], index["category"], strict=True))):
        rows = np.flatnonzero(index["recording"] == recording)
        spans = index.iloc[rows][["start_seconds", "stop_seconds"]].to_numpy()
        longest = int(rows[np.argmax(spans[:, 1] - spans[:, 0])])
        clip = dataset.clip(longest)
        frame = len(clip.segment) // 2 if clip.keypoints is None else best_frame(clip.keypoints)
        yield Tile(
            recording,
            clip.category,
            (clip.segment.start + frame) / clip.fps,
            tuple((float(start), float(stop)) for start, stop in spans),
            data_uri(_picture(dataset, longest, clip, frame)),
        )


def chosen(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Recordings for a sheet, of every category as many: spread evenly over its ids.

    Args:
        rows: (recording, category) of every clip.
    """
    by_category: dict[str, set[str]] = {}
    for recording, category in rows:
        by_category.setdefault(category, set()).add(recording)
    categories = _spread(sorted(by_category), PICTURES)
    share = max(1, min(OF_A_CATEGORY, PICTURES // max(len(categories), 1)))
    return [r for category in categories for r in _spread(sorted(by_category[category]), share)]


def _spread(items: Sequence[str], count: int) -> list[str]:
    if len(items) <= count:
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def data_uri(image: Image) -> str:
    """A picture as text that a page can hold."""
    return f"data:image/jpeg;base64,{base64.b64encode(encoded(image, 'JPEG')).decode()}"


def _picture(dataset: Dataset, row: int, clip: Clip, frame: int) -> Image:
    if clip.keypoints is None:
        return waveform(clip.audio)
    moment = (clip.segment.start + frame) / clip.fps
    image = picture_at(sources(dataset, row).video, moment, clip.fps)
    if image is None:
        box = around(known_points(clip.keypoints))
        return draw(ground(box)[:0], clip.keypoints, frame, box, WIDTH, HEIGHT, LINES)
    whole = Box(0, 0, image.shape[1], image.shape[0])
    return draw(image, clip.keypoints, frame, whole, WIDTH, HEIGHT, LINES)


def waveform(audio: Float32 | None) -> Image:
    """The sound of a clip without a picture; (H, W, 3)."""
    image = ground(Box(0, 0, WIDTH, HEIGHT))
    if audio is None or not len(audio):
        return image
    edges = np.linspace(0, len(audio), WIDTH + 1).astype(int)[:-1]
    edges = np.minimum(edges, len(audio) - 1)
    loudest = max(float(np.abs(audio).max()), 1e-6)
    high = np.maximum.reduceat(audio, edges) / loudest
    low = np.minimum.reduceat(audio, edges) / loudest
    level = (0.5 - (np.arange(HEIGHT) + 0.5) / HEIGHT)[:, None] * 2.4
    image[(level <= high) & (level >= low)] = _WAVE
    return image
