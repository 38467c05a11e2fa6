"""One build at a time on one output folder."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from avpipe.errors import Locked, UsageError


@contextmanager
def exclusive(out: Path) -> Iterator[None]:
    """Holds the output folder; the lock ends with the process, however it ends.

    Raises:
        Locked: another process holds it; the text says which, where and since when.
        UsageError: the folder cannot be made, or cannot be written to.
    """
    with _lock_file(out) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Locked(
                f"{out} is in use by {_name(file.read())}: wait for it or stop it"
            ) from None
        file.truncate(0)
        json.dump(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now().astimezone().isoformat(timespec="seconds"),
            },
            file,
        )
        file.flush()
        yield


def holder(out: Path) -> str | None:
    """Who holds an output folder now, if anybody does.

    Nothing is written there; for the moment of asking nobody else can take it.
    """
    try:
        with (out / ".lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _name((out / ".lock").read_text())
    return None


def _lock_file(out: Path) -> TextIO:
    try:
        out.mkdir(parents=True, exist_ok=True)
        return (out / ".lock").open("a+")
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written to ({error.strerror}): choose another folder with --out"
        ) from error


def _name(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError):
        return "another process"
