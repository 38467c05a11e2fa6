"""A video of every player in a recording, with the stem as its sound."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from avpipe.images import Pixels
from avpipe.players import Place
from avpipe.report.overlay_video import write_video
from avpipe.separation.footage import Footage
from avpipe.types import Float32

Style = Literal["crop", "dim"]
"""`crop`: the player alone; `dim`: the whole picture, everything but the player darkened."""

DIMMED = 0.3
"""Brightness of what is not the player."""


def write(
    footage: Footage, stems: Float32, rate: int, targets: Sequence[Path], style: Style
) -> None:
    """Writes mp4 files whose sound begins where the recording's does, to the sample.

    Args:
        footage: the recording's, with a place per stem.
        stems: (S, N) of the players from left to right.
        rate: Hz.
        targets: S files; each appears whole or not at all.
        style: see `Style`.
    """
    import soundfile

    lead = round(footage.sound_start_seconds * rate)
    with tempfile.TemporaryDirectory(prefix="avpipe-players-") as folder:
        for place, stem, target in zip(footage.places, stems, targets, strict=True):
            sound = Path(folder) / f"{target.stem}.wav"
            timed = np.pad(stem, (max(0, lead), 0))[max(0, -lead) :]
            soundfile.write(sound, timed, rate, subtype="FLOAT")
            pictures = _shown(footage.pictures(), place, style)
            write_video(target, pictures, footage.fps, sound)


def _shown(frames: Iterator[Pixels], place: Place, style: Style) -> Iterator[Pixels]:
    for frame in frames:
        if style == "crop":
            part = place.of(frame)
            height, width = (length // 2 * 2 for length in part.shape[:2])  # as videos need it
            yield np.ascontiguousarray(part[:height, :width])
        else:
            dimmed = (frame * DIMMED).astype(np.uint8)
            place.of(dimmed)[:] = place.of(frame)
            yield dimmed
