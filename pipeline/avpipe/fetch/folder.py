"""A folder as a mirror: `DIR/{id}.*` or `DIR/{category}/{id}.*`. Files are linked, not copied.

Ids are compared, never used as patterns: `*` or `[` in one means itself.
"""

import os
import shutil
from collections.abc import Iterator
from itertools import chain, product
from pathlib import Path

from avpipe.errors import FailureClass, RecordingFailed
from avpipe.manifest.location import video_id
from avpipe.types import Recording

_USUAL = ("mp4", "webm", "mkv", "m4a", "mov", "avi", "wav", "mp3", "flac", "ogg", "opus")
_NOT_MEDIA = {".csv", ".description", ".jpg", ".json", ".part", ".png", ".srt", ".txt", ".vtt"}


def find(place: Path, recording: Recording) -> Path:
    """The recording's media file.

    Args:
        place: the file itself, or a folder that holds it.
        recording: its id, or that of the video it is cut from, names the file in a folder.

    Raises:
        RecordingFailed: `removed`; there is none.
    """
    if place.is_file():
        return place
    folders = [place]
    if recording.category and Path(recording.category).name == recording.category:
        folders.append(place / recording.category)
    names = dict.fromkeys((recording.id, video_id(recording)))
    for path in chain.from_iterable(_candidates(*at) for at in product(folders, names)):
        if path.is_file():
            return path
    if not place.is_dir():
        raise RecordingFailed(FailureClass.REMOVED, f"{place} is not there")
    raise RecordingFailed(
        FailureClass.REMOVED, f"{place} holds no {recording.id}.* and no folder {recording.id}"
    )


def _candidates(folder: Path, name: str) -> Iterator[Path]:
    """Files that may be it: those with usual endings first, for the folder may hold millions."""
    yield from (folder / f"{name}.{ending}" for ending in _USUAL)
    if folder.is_dir():
        found = (path for path in folder.iterdir() if path.stem == name)
        yield from sorted(path for path in found if path.suffix.lower() not in _NOT_MEDIA)


def link(source: Path, target: Path) -> None:
    """Makes `target` the same file as `source`; a copy where the file system cannot link.

    Raises:
        RecordingFailed: `disk`; it is full.
    """
    source = source.resolve()
    try:
        os.link(source, target)
    except OSError:
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise RecordingFailed(
                FailureClass.DISK, f"{source.name} cannot be copied: {error.strerror}"
            ) from error
