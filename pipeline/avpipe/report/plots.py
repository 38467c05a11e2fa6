"""Plots along a recording's time: its waveform, and bands of what was found when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avpipe.types import Float32

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT = "#22252b", "#9aa0aa"
WAVE = "#4c5a73"
POINTS = 1600
"""Columns of a drawn waveform."""


@dataclass(frozen=True)
class Band:
    """A row of half-open ranges of seconds."""

    colour: str
    ranges: Sequence[tuple[float, float]]


def draw_waveform(
    axes: "Axes", audio: Float32, sample_rate: int, start_seconds: float, colour: str = WAVE
) -> None:
    """Draws the extremes of a piece of sound where it lies in time.

    Args:
        audio: (N,) in [-1, 1].
        sample_rate: Hz.
        start_seconds: when it begins.
        colour: of the wave.
    """
    edges = np.linspace(0, len(audio), min(POINTS, len(audio)) + 1).astype(int)[:-1]
    low, high = np.minimum.reduceat(audio, edges), np.maximum.reduceat(audio, edges)
    seconds = start_seconds + edges / sample_rate
    axes.fill_between(seconds, low, high, color=colour, linewidth=0.5)


def draw_bands(axes: "Axes", bands: Mapping[str, Band]) -> None:
    """Draws one row a band, the first on top, its name beside it."""
    upwards = list(bands)[::-1]
    for row, name in enumerate(upwards):
        band = bands[name]
        axes.broken_barh(
            [(start, stop - start) for start, stop in band.ranges],
            (row - 0.36, 0.72),
            facecolors=band.colour,
            linewidth=0,
        )
    axes.set_yticks(range(len(bands)), upwards)
    axes.set_ylim(-0.6, len(bands) - 0.4)


def plain(axes: "Axes") -> None:
    """Takes away the frame of a plot and what is not read."""
    axes.tick_params(colors=INK, labelsize=8.5, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
