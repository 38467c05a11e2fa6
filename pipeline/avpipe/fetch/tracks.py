"""A recording as a folder `DIR/{id}/`: its mixture, and every player's own track.

Two layouts are known. URMP's: `AuMix_*` and `AuSep_<k>_<instrument>_*`, where k counts the tracks
from 1. The plain one, as MUSDB18 is often laid out: `mixture.*`, and beside it a file a source,
named after it. Other files are left alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avpipe.errors import FailureClass, RecordingFailed

_TRACK = re.compile(r"AuSep_(\d{1,3})_([A-Za-z0-9]+)_")
_AUDIO = {".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav"}
_LINKED = re.compile(r"track-(\d{3})-([A-Za-z0-9-]+)\.[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A mixture and its tracks."""

    mixture: Path
    tracks: tuple[tuple[str, Path], ...]
    """Name (an instrument, or another source) and file of each track, in their order."""


def find(folder: Path) -> Piece:
    """The piece in a folder.

    Raises:
        RecordingFailed: `removed`; the mixture or a track is not there, or two have one number.
    """
    files = _audio_files(folder)
    if mixture := _one(files, "AuMix_"):
        return Piece(mixture, _numbered(folder, files))
    if mixture := _one(files, "mixture."):
        return Piece(mixture, tuple((_plain(p.stem), p) for p in files if p != mixture))
    raise RecordingFailed(
        FailureClass.REMOVED,
        f"{folder} holds no mixture: name it AuMix_*.wav or mixture.wav{_others(files)}",
    )


def beside(media: Path) -> Piece:
    """The piece whose mixture is known; without tracks unless it lies in a folder like URMP's.

    Raises:
        RecordingFailed: `removed`; a track is not there.
    """
    if not media.name.startswith(("AuMix_", "Vid_")):
        return Piece(media, ())
    return Piece(media, _numbered(media.parent, _audio_files(media.parent)))


def names(of_files: Sequence[str], instruments: str) -> list[str]:
    """What every track is: as the manifest's column `instruments` has it, or else its file.

    Raises:
        RecordingFailed: `removed`; the two contradict each other.
    """
    declared, given = instruments.split(), " ".join(of_files)
    if declared and len(declared) != len(of_files):
        raise RecordingFailed(
            FailureClass.REMOVED,
            f"it has {len(of_files)} tracks ({given}), the manifest's column instruments names"
            f" {len(declared)} ({instruments}): add or remove AuSep_* files, or correct the list",
        )
    if declared != list(of_files) and sorted(declared) == sorted(of_files):
        raise RecordingFailed(
            FailureClass.REMOVED,
            f"its files name the tracks {given}, the manifest's column instruments {instruments}:"
            f" call the first file AuSep_1_{declared[0]}_* and so on, or correct the list",
        )
    return declared or list(of_files)


def linked_name(number: int, name: str, source: Path) -> str:
    """File name of track `number` (from 1) in the artifact of `download`."""
    return f"track-{number:03d}-{name}{source.suffix.lower()}"


def linked(folder: Path) -> list[tuple[str, Path]]:
    """Name and file of the tracks in the artifact of `download`, in their order."""
    matches = ((_LINKED.fullmatch(path.name), path) for path in sorted(folder.iterdir()))
    return [(match[2], path) for match, path in matches if match]


def _audio_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in _AUDIO and p.is_file())


def _one(files: Sequence[Path], prefix: str) -> Path | None:
    return next((path for path in files if path.name.startswith(prefix)), None)


def _numbered(folder: Path, files: Sequence[Path]) -> tuple[tuple[str, Path], ...]:
    numbered: dict[int, tuple[str, Path]] = {}
    for path in files:
        if match := _TRACK.match(path.name):
            number = int(match[1])
            if number in numbered:
                raise RecordingFailed(
                    FailureClass.REMOVED,
                    f"{folder} holds two tracks {number}: {numbered[number][1].name} and"
                    f" {path.name}; give one of them its own number",
                )
            numbered[number] = match[2], path
    for number in range(1, max(numbered, default=0) + 1):
        if number not in numbered:
            raise RecordingFailed(
                FailureClass.REMOVED,
                f"{folder} holds no AuSep_{number}_<instrument>_*: its track is missing"
                f"{_others(files)}",
            )
    return tuple(track for _, track in sorted(numbered.items()))


def _others(files: Sequence[Path]) -> str:
    """Names one file that may be what is missing, if its name is like none."""
    known = ("AuMix_", "mixture.")
    names = [p.name for p in files if not (_TRACK.match(p.name) or p.name.startswith(known))]
    return f" (is it {names[0]}? then rename it)" if names else ""


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-") or "track"
