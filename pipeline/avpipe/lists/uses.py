"""What was made of a dataset: `uses.jsonl` in its folder, a line an export or training.

Who asks for a recording to be removed wants to know where it went: `remove` names these places.
"""

import json
import os
import warnings
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

FILE = "uses.jsonl"

Kind = Literal["export", "checkpoint"]


@dataclass(frozen=True, slots=True)
class Use:
    """One export or training."""

    kind: Kind
    path: str
    """Absolute path of its folder when it was made."""
    time: str
    """ISO 8601, UTC."""
    recordings: tuple[str, ...]
    """Ids of all recordings that went into it."""


def note(out: Path, kind: Kind, path: Path, recordings: Iterable[str]) -> None:
    """Appends a use to the dataset's list; safe beside other processes that do.

    A dataset whose folder may not be written keeps no list: it is used all the same, with a
    warning.
    """
    if not os.access(out, os.W_OK):
        warnings.warn(
            f"{out} cannot be written to, so `avpipe remove` there will not know of {path}",
            stacklevel=2,
        )
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    use = Use(kind, str(path.absolute()), now, tuple(sorted(set(recordings))))
    append(out / FILE, json.dumps(asdict(use), sort_keys=True))


def read(out: Path) -> list[Use]:
    """All uses of a dataset, oldest first."""
    return [
        Use(**{**value, "recordings": tuple(value["recordings"])})
        for value in map(json.loads, lines(out / FILE))
    ]


def of(out: Path, recordings: Collection[str]) -> list[Use]:
    """The uses that one of the recordings went into."""
    return [use for use in read(out) if not set(use.recordings).isdisjoint(recordings)]


def append(path: Path, line: str) -> None:
    """Adds a line to a file in one write, and waits until it is on the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line.encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)


def lines(path: Path) -> list[str]:
    """The lines of a file; none if there is no file."""
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
