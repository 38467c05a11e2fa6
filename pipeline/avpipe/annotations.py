"""The annotation files of a piece, in a folder like URMP's.

`Notes_<k>_<instrument>_*.txt` lists the notes of player k, counted from 1 as the tracks are: a row
a note, with onset in seconds, pitch in Hz and duration in seconds, on the time line of the track.
`Sco_*.mid` is the score; its tempo is its own, not that of the performance. The folder is read as
it is now: whoever corrects a file there changes its `digest`.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avpipe.errors import FailureClass, RecordingFailed
from avpipe.store import sha256_file, sha256_text
from avpipe.timegrid import exact
from avpipe.types import Recording, Segment

NOTE = np.dtype(
    [
        ("onset_seconds", "<f8"),
        ("duration_seconds", "<f8"),
        ("pitch_hz", "<f8"),
        ("player", "<i4"),
        ("source", "<i4"),
    ]
)
"""A note of a recording: `player` counts the tracks from 0, `source` is what its player plays."""

SLACK_SECONDS = 0.1
"""So far a note may last beyond the end of the recording, where it is cut: annotations are rounded.
"""
REMEDY = "; correct that, or leave notes out with --fields"

_NOTES = re.compile(r"Notes_(\d{1,3})_([A-Za-z0-9]+)_.*[.]txt")
_SCORE = re.compile(r"Sco_.*[.]midi?")
_MOST_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class Files:
    """The annotation files in a folder."""

    notes: tuple[tuple[int, str, Path], ...]
    """Number and instrument, as the name has them, and file; in the order of the numbers."""
    score: Path | None

    def __bool__(self) -> bool:
        return bool(self.notes)

    def digest(self) -> str:
        """SHA-256 of names and contents."""
        paths = [path for *_, path in self.notes] + ([self.score] if self.score else [])
        return sha256_text("\n".join(f"{sha256_file(path)} {path.name}" for path in paths))


def folder(recording: Recording) -> Path | None:
    """The folder of a piece, by where its media are: `DIR/{id}/`, or that of its mixture or video;
    None if the recording has none. It need not be there."""
    if recording.url is None or "://" in recording.url:
        return None
    place = Path(recording.url)
    if place.suffix and place.name.startswith(("AuMix_", "Vid_", "mixture.")):
        return place.parent
    return place / recording.id


def find(place: Path) -> Files:
    """The annotation files in a folder, which may not be there."""
    paths = sorted(place.iterdir()) if place.is_dir() else []
    named = [(match, path) for path in paths if (match := _NOTES.fullmatch(path.name))]
    notes = sorted((int(match[1]), match[2], path) for match, path in named)
    scores = (path for path in paths if _SCORE.fullmatch(path.name))
    return Files(tuple(notes), next(scores, None))


def read(path: Path, seconds: float) -> npt.NDArray[np.float64]:
    """The notes in a file, as it has them: (M, 3) onset [s], pitch [Hz], duration [s].

    Args:
        path: the file.
        seconds: length of the recording.

    Raises:
        RecordingFailed: `unreadable`; a row is not a note within the recording, or there is none.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise _unreadable(f"{path} has {path.stat().st_size:,} bytes: it is no list of notes")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise _unreadable(f"{path}: byte {error.start} is not text") from error
    notes, wrong = [], []
    for row, line in enumerate(lines, 1):
        if not (cells := line.split()):
            continue
        note = _numbers(cells)
        if reason := _reason(note, seconds):
            wrong.append(f"{path} row {row} ({' '.join(cells)[:60]}): {reason}")
        notes.append(note)
    if wrong:
        more = f" (and {len(wrong) - 1} more rows)" if len(wrong) > 1 else ""
        raise _unreadable(wrong[0] + more)
    if not notes:
        raise _unreadable(f"{path} holds no note")
    return np.array(notes, np.float64)


def sounding(
    onset_seconds: npt.NDArray[np.float64],
    duration_seconds: npt.NDArray[np.float64],
    segments: Iterable[Segment],
    fps: float,
) -> npt.NDArray[np.bool_]:
    """(M,) whether each note sounds in one of the segments."""
    heard = np.zeros(len(onset_seconds), bool)
    for segment in segments:
        start, stop = (float(frame / exact(fps)) for frame in (segment.start, segment.stop))
        heard |= (onset_seconds < stop) & (onset_seconds + duration_seconds > start)
    return heard


def _numbers(cells: list[str]) -> tuple[float, ...]:
    try:
        return tuple(map(float, cells))
    except ValueError:
        return ()


def _reason(note: tuple[float, ...], seconds: float) -> str | None:
    """Why a row is no note; None if it is one."""
    if len(note) != 3 or not all(map(math.isfinite, note)):
        return "must be three numbers: onset [s], pitch [Hz] and duration [s]"
    onset, pitch, duration = note
    if onset < 0:
        return "the onset lies before the recording"
    if pitch <= 0 or duration <= 0:
        return f"the {'pitch' if pitch <= 0 else 'duration'} must be more than 0"
    if (end := onset + duration) > seconds + SLACK_SECONDS:
        return f"the note ends at {end:.2f} s, the recording at {seconds:.2f} s"
    return None


def _unreadable(text: str) -> RecordingFailed:
    return RecordingFailed(FailureClass.UNREADABLE, text + REMEDY)
