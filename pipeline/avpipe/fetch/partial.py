"""What has arrived of a download, kept until all of it is there: the next attempt goes on from it.

A folder of the store that outlasts attempts and builds: yt-dlp's `*.part` files, whole files that
are still to be merged, and `partial.json`, which says whose they are and which version of its
address each part is of. An attempt goes on from a part only

    from the same address, in the same format (files are named by it),
    if the server names the same size, ETag and Last-Modified as before,
    if the last bytes that had arrived, which are asked for again, are the same again

and else starts anew; so it does with what arrives in fragments or through another program, of which
nobody can say how far it is.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avpipe.fetch.address import without_password
from avpipe.manifest.location import video_id
from avpipe.types import Recording

_FILE, _LOCK = "partial.json", "lock"
_OVERLAP_BYTES = 8192
"""What is asked for once more at the end of a part: the same again, or it is another file."""


@dataclass(frozen=True, slots=True)
class Version:
    """What a server says that tells one content of an address from another; None: it does not."""

    size: int | None
    etag: str | None
    modified: str | None


class Changed(Exception):
    """What arrives now is not the continuation of what had arrived."""


class Partial:
    """What has arrived of one download, for one attempt to go on from.

    Args:
        folder: where it is; made by `hold`.
        recording: what it is of.
        url: where it comes from; what came from elsewhere is dropped.
    """

    def __init__(self, folder: Path, recording: Recording, url: str) -> None:
        self.folder = folder
        self._owner = {
            "recording": recording.id,
            "video": video_id(recording),
            "url": without_password(url),
        }
        self._versions: dict[str, Version] = {}
        self._tails: dict[str, tuple[int, bytes]] = {}
        """Part -> where its last bytes began that were cut off, and what they were."""
        known = _read(folder)
        try:
            versions = {name: Version(**value) for name, value in known["versions"].items()}
        except (KeyError, TypeError, AttributeError):  # of another version of avpipe
            versions = {}
        if known.get("url") == self._owner["url"]:
            self._versions = versions
        else:
            self.clear()
        self._keep_what_can_go_on()
        self._write()

    def clear(self) -> None:
        """Drops all that has arrived."""
        for path in self._files():
            path.unlink()
        self._versions, self._tails = {}, {}

    def rest_from(self, start: int) -> str | None:
        """Name of the part that a request from byte `start` on would go on with, if one would."""
        parts = (path for path in self._files() if path.name.endswith(".part"))
        return next((path.name for path in parts if path.stat().st_size == start), None)

    def is_of(self, name: str, version: Version) -> bool:
        """Whether a part is of that version, as far as is known."""
        return self._versions.get(name, version) == version

    def starts_anew(self, name: str) -> None:
        """What had arrived of a part is not gone on with."""
        self._versions.pop(name, None)
        self._tails.pop(name, None)

    def arriving(self, path: str, version: Version) -> None:
        """Notes of which version the part at `path` is."""
        name = Path(path).name
        if self._versions.get(name) != version:
            self._versions[name] = version
            self._write()

    def arrived(self, path: str) -> None:
        """The file at `path` is whole.

        Raises:
            Changed: its part was of another file.
        """
        whole = Path(path)
        start, tail = self._tails.pop(f"{whole.name}.part", (0, b""))
        with whole.open("rb") as file:
            file.seek(start)
            if file.read(len(tail)) != tail:
                raise Changed

    def _keep_what_can_go_on(self) -> None:
        """Drops files of an unknown state, and cuts off the ends of parts, to compare them."""
        for path in self._files():
            if path.name in self._versions:
                size = path.stat().st_size
                start = max(0, size - _OVERLAP_BYTES)
                with path.open("r+b") as file:
                    file.seek(start)
                    self._tails[path.name] = start, file.read()
                    file.truncate(start)
            elif any(mark in path.name for mark in (".part", ".ytdl", ".temp.")):
                path.unlink()

    def give_back(self) -> None:
        """Puts back the ends of parts that have not grown in this attempt."""
        for name, (start, tail) in self._tails.items():
            part = self.folder / name
            if part.exists() and part.stat().st_size == start:
                with part.open("ab") as file:
                    file.write(tail)

    def _files(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.name not in (_FILE, _LOCK)]

    def _write(self) -> None:
        versions = {name: asdict(version) for name, version in self._versions.items()}
        new = self.folder / f"{_FILE}.part"
        new.write_text(json.dumps({**self._owner, "versions": versions}, sort_keys=True) + "\n")
        new.replace(self.folder / _FILE)


@contextmanager
def hold(folder: Path, recording: Recording, url: str) -> Iterator[Partial]:
    """What has arrived of a recording, for this process alone.

    Raises:
        BlockingIOError: another process is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        partial = Partial(folder, recording, url)
        try:
            yield partial
        finally:
            partial.give_back()


def owners(folder: Path) -> frozenset[str]:
    """Ids of the recording and of the video that a folder holds something of."""
    known = _read(folder)
    return frozenset(str(known[name]) for name in ("recording", "video") if name in known)


def _read(folder: Path) -> Mapping[str, Any]:
    """What `partial.json` says; nothing if it is not there or damaged."""
    try:
        value = json.loads((folder / _FILE).read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
