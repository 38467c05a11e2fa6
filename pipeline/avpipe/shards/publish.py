"""Files appear whole or not at all, and readers of the published state keep what they read.

A file is written under a temporary name in its own folder, fsynced and renamed. Before a published
file is replaced, it gets a second, hidden name that holds its digest (`retire`): until the new
`MANIFEST.json` is in place, the old one and every file it lists can be read through `locate`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from avpipe.errors import DatasetError, UsageError
from avpipe.store import fsync, sha256_file


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; what was written there when the block ends is published.

    Raises:
        DatasetError: it cannot be written (disk full, no permission).
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        yield temporary
        fsync(temporary)
        temporary.replace(path)
        fsync(path.parent)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
        raise DatasetError(f"cannot write {path}: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Makes a folder for files, if it is not there.

    Raises:
        UsageError: it cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be made: {error.strerror}") from error
    if not os.access(path, os.W_OK):
        raise UsageError(f"{path} cannot be written to")


def has_digest(path: Path, digest: str) -> bool:
    """Whether a file has that sha256."""
    return sha256_file(path) == digest


def retired(path: Path, digest: str) -> Path:
    """Where the version of `path` with that digest is kept while it is being replaced."""
    return path.with_name(f".{path.name}.{digest[:16]}")


def retire(path: Path, digest: str, is_version: Callable[[Path, str], bool]) -> None:
    """Keeps the published version of `path` readable while it is replaced.

    Args:
        path: a published file.
        digest: of the version that `MANIFEST.json` lists.
        is_version: whether a file is that version; after an interrupted build it may not be.
    """
    kept = retired(path, digest)
    if path.exists() and not kept.exists() and is_version(path, digest):
        os.link(path, kept)
        fsync(path.parent)


def locate(path: Path, digest: str, is_version: Callable[[Path, str], bool]) -> Path:
    """The file that holds the version of `path` with that digest.

    Raises:
        DatasetError: there is none.
    """
    for candidate in (path, retired(path, digest)):
        if candidate.is_file() and is_version(candidate, digest):
            return candidate
    if not path.is_file():
        raise DatasetError(f"{path} is missing: build the dataset again")
    raise DatasetError(
        f"{path} is not the file that MANIFEST.json lists: open the dataset again if it was just"
        " rebuilt, else run verify and build it again"
    )
