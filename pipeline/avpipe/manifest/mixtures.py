"""Published test sets of mixtures: a row a mixture, naming the recordings that sound together.

The form is that in which the test pairs of MUSIC (249) and MUSIC-21 (586) are passed on:
`/cello/ID.wav, /tuba/ID.wav`, and `/cello/ID.wav,/cello/ID.mp4,<frames>` for lists of single
recordings. A cell is an id, or a path whose last part without its ending is the id; whole numbers
are none; empty rows and comments are skipped. `resplit` gives a dataset the split that such files
imply, so that nobody trains on what is tested.
"""

import csv
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from avpipe.errors import UsageError
from avpipe.manifest import toml
from avpipe.manifest.importing import write_csv
from avpipe.manifest.lists import MEDIA
from avpipe.manifest.location import video_id
from avpipe.manifest.model import Manifest, Problem
from avpipe.manifest.reading import read_manifest
from avpipe.types import Recording

_OF_FOLDERS = ("reference", "serve")
"""Keys of a manifest that hold a path beside it."""


class Mixture(NamedTuple):
    """A row of such a file."""

    row: int
    ids: tuple[str, ...]
    """Recordings in the order of the row, each once."""


@dataclass(frozen=True, slots=True)
class Resplit:
    """What `resplit` made."""

    manifest: Manifest
    problems: tuple[Problem, ...]
    """Rows that name a recording that the dataset does not have."""


def read_mixtures(path: Path) -> list[Mixture]:
    """The rows of a file.

    Raises:
        UsageError: it cannot be read, or names nothing.
    """
    found = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, skipinitialspace=True)
            for cells in rows:
                words = [cell.strip() for cell in cells]
                ids = dict.fromkeys(_id(word) for word in words if word and not word.isdecimal())
                if ids and not words[0].startswith("#"):
                    found.append(Mixture(rows.line_num, tuple(ids)))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: not CSV in UTF-8: {error}") from error
    if not found:
        raise UsageError(
            f"{path} names no recordings: rows must be like /cello/ID.wav,/tuba/ID.wav"
        )
    return found


def resplit(
    manifest: Manifest, test: Path, validation: Path | None, out: Path, *, overwrite: bool = False
) -> Resplit:
    """Writes `<out>/<name>.toml` and `<out>/<name>.csv`: the dataset with the split of such files.

    What a file names is `test` or `val`, with all that is cut from the same videos; of the rest,
    what was `test` is `train`, and so is what was `val` if there is a file for it.

    Args:
        manifest: the dataset.
        test: names what is tested.
        validation: names what is validated; test wins where both do.
        out: folder for the two files.
        overwrite: replace files that are there.

    Raises:
        UsageError: a file cannot be used, or is there already.
    """
    target = out / f"{manifest.name}.toml"
    there = [path for path in (target, target.with_suffix(".csv")) if path.exists()]
    if there and not overwrite:
        raise UsageError(f"{there[0]} is there already: choose another --out, or --overwrite")
    videos = {recording.id: video_id(recording) for recording in manifest.recordings}
    parts: dict[str, str] = {}
    problems: list[Problem] = []
    for part, path in (("val", validation), ("test", test)):
        for row, ids in read_mixtures(path) if path else ():
            for name in ids:
                if name in videos:
                    parts[videos[name]] = part
                else:
                    text = f"is no recording of {manifest.name}: the row cannot be used"
                    problems.append(Problem(str(path), row, "id", name, text))
    if "test" not in parts.values():
        raise UsageError(f"{test} names no recording of {manifest.name}: {problems[0]}")
    replaced = {"test"} if validation is None else {"test", "val"}
    rows = [
        (number, _cells(recording, parts.get(videos[recording.id]), replaced))
        for number, recording in enumerate(manifest.recordings, start=2)
    ]
    out.mkdir(parents=True, exist_ok=True)
    write_csv(target.with_suffix(".csv"), rows)
    values = tomllib.loads(manifest.path.read_text(encoding="utf-8"))
    for key in _OF_FOLDERS:
        if key in values:
            _copy(manifest.path.parent / values[key], out / values[key])
    values["recordings"] = target.with_suffix(".csv").name
    target.write_text(toml.write(values), encoding="utf-8")
    return Resplit(read_manifest(target), tuple(problems))


def _copy(source: Path, target: Path) -> None:
    """What belongs to a manifest has to lie beside it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def _id(word: str) -> str:
    path = PurePosixPath(word)
    return path.stem if path.suffix.lower() in MEDIA else path.name


def _cells(recording: Recording, part: str | None, replaced: set[str]) -> dict[str, str]:
    """The row of a recording in the new list."""
    own = recording.split
    cells: Mapping[str, object] = {
        "id": recording.id,
        "category": recording.category,
        "url": recording.url,
        "split": part or ("train" if own is None or own in replaced else own),
        "start_seconds": recording.start_seconds,
        "stop_seconds": recording.stop_seconds,
        "licence": recording.licence,
        **recording.extra,
    }
    return {name: "" if value is None else str(value) for name, value in cells.items()}
