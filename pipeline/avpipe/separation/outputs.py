"""Folders that results are written into."""

from collections.abc import Iterable
from pathlib import Path

from avpipe.errors import UsageError


def check_free(folder: Path, names: Iterable[str]) -> None:
    """Refuses to write into a folder where something would be lost; what has other names may be
    there.

    Args:
        folder: it need not exist.
        names: of the files that are to be written.

    Raises:
        UsageError: one of them exists, or `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder: choose another one")
    for name in names:
        if (folder / name).exists():
            raise UsageError(f"{folder / name} exists: choose another folder")
