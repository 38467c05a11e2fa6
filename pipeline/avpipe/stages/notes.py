"""notes: what every player of a piece plays, note by note, from the annotations in its folder.

In:  `download`, for the length and the names of the tracks; and the files of the folder that the
     recording came from (`avpipe.annotations`), as they are now.
Out: `notes.npy`, (M,) `annotations.NOTE` in the order of their onsets, times in seconds of the
     recording; `notes.json` {"present", "frames": T, "notes": M, "names": the sources,
     "reason": why there are none, or null}; `score.mid` where the folder has one.

The sources are those of `stems`: players of one instrument are one, and the manifest's column
`instruments` says what they play, whatever the files are called. Without any file of notes there
are none if the manifest allows it (`allow_missing = ["notes"]`); some that are missing, or wrong,
are a failure that says which.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avpipe import annotations
from avpipe.errors import FailureClass, RecordingFailed
from avpipe.fetch import tracks
from avpipe.fetch.folder import link
from avpipe.media import Scan
from avpipe.stages import Facts, Job, Pool, stems
from avpipe.timegrid import exact
from avpipe.types import Recording

NEEDS: tuple[str, ...] = ("download",)
POOL: Pool = "cpu"
VERSION = 1
PARAMETERS = "stems"
COLUMNS = ("instruments",)


@dataclass(frozen=True, slots=True)
class Config:
    """Parameters of `notes`: of those of `stems`, what says who is a source."""

    fps: float = 25.0
    """Frames per second of the grid; the dataset's."""
    merge: bool = True
    """Players of one instrument are one source."""
    allow_missing: bool = False
    """A recording without any file of notes is no failure."""


def tool(config: Config) -> Facts:
    """Nothing outside avpipe shapes the result."""
    return {}


def outside(config: Config) -> Callable[[Recording], Facts | None]:
    """The digest of a recording's annotation files; None if their folder is not there."""

    def digests(recording: Recording) -> Facts | None:
        place = annotations.folder(recording)
        if place is not None and not place.is_dir():
            return None
        found = annotations.find(place) if place is not None else None
        return {"annotations": found.digest()} if found else {}

    return digests


def run(job: Job) -> Facts:
    """Writes the notes.

    Raises:
        RecordingFailed: `removed`, a file is missing or misnamed; `unreadable`, as
            `annotations.read` says.
    """
    config: Config = job.config
    scan = Scan.read(job.inputs["download"])
    place = annotations.folder(job.recording)
    found = annotations.find(place) if place is not None else None
    facts: Facts = {"present": False, "frames": scan.frames(config.fps), "notes": 0, "names": []}
    if place is None or not found:
        where = "its source, which is no folder," if place is None else place
        facts["reason"] = f"{where} holds no Notes_<k>_<instrument>_*.txt"
        if not config.allow_missing:
            raise RecordingFailed(FailureClass.REMOVED, facts["reason"] + annotations.REMEDY)
    else:
        plays = _plays(place, found.notes, job)
        of_players = stems.sources_of(plays, config.merge)
        names = list(dict.fromkeys(of_players))
        numbers = [names.index(name) for name in of_players]
        seconds = float(facts["frames"] / exact(config.fps))
        notes = _notes([path for *_, path in found.notes], numbers, seconds)
        np.save(job.out / "notes.npy", notes, allow_pickle=False)
        if found.score is not None:
            link(found.score, job.out / "score.mid")
        facts |= {"present": True, "notes": len(notes), "names": names, "reason": None}
    text = json.dumps(facts, indent=1, sort_keys=True)
    (job.out / "notes.json").write_text(text + "\n", encoding="utf-8")
    return {**facts, "folder": str(place) if found else None}


def _plays(place: Path, files: Sequence[tuple[int, str, Path]], job: Job) -> list[str]:
    """What every player plays, each of whom must have one file, called after that or his track."""
    linked = [name for name, _ in tracks.linked(job.inputs["download"])]
    declared = job.recording.extra.get("instruments", "")
    plays = tracks.names(linked, declared) if linked else declared.split()
    plays = plays or [name for _, name, _ in files]
    called = linked or plays
    for number, name, path in files:
        if number > len(plays) or number < 1:
            raise _wrong(f"{path}: there is no player {number}, {' '.join(plays)} play")
        if name not in (plays[number - 1], called[number - 1]):
            raise _wrong(f"{path} is called {name}, player {number} plays {plays[number - 1]}")
    numbers = [number for number, *_ in files]
    for number in range(1, len(plays) + 1):
        if numbers.count(number) != 1:
            raise _wrong(
                f"{place} holds {numbers.count(number) or 'no'} Notes_{number}_<instrument>_*.txt,"
                f" {' '.join(plays)} play: there must be one file a player"
            )
    return plays


def _wrong(text: str) -> RecordingFailed:
    return RecordingFailed(FailureClass.REMOVED, text + annotations.REMEDY)


def _notes(paths: Sequence[Path], sources: Sequence[int], seconds: float) -> npt.NDArray[np.void]:
    """The notes of all players together.

    Args:
        paths: file of every player.
        sources: number of every player's source.
        seconds: length of the recording; what lasts longer is cut.
    """
    of_players = []
    for player, (path, source) in enumerate(zip(paths, sources, strict=True)):
        onset, pitch, duration = annotations.read(path, seconds).T
        notes = np.zeros(len(onset), annotations.NOTE)
        notes["onset_seconds"], notes["pitch_hz"] = onset, pitch
        notes["duration_seconds"] = np.minimum(duration, seconds - onset)
        notes["player"], notes["source"] = player, source
        of_players.append(notes[notes["duration_seconds"] > 0])
    return np.sort(np.concatenate(of_players), order=("onset_seconds", "player", "pitch_hz"))
