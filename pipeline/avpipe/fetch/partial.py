"""What has arrived of a download, kept until all of it is there: the next attempt goes on from it.

A folder of the store that outlasts attempts and builds: yt-dlp's `*.part` files, whole tracks that
wait for others, and `partial.json`, which says whose they are and which version of its address each
part is of. An attempt goes on from a part only

    from the same address, in the same format (files are named by it),
    if the server names the same size, ETag and Last-Modified as before,
    if the last bytes that had arrived, which are asked for again, are the same again

and else starts anew. Of what arrives in fragments (HLS, DASH) the whole fragments stay, as they
came, and yt-dlp puts them together anew: where it believes to have been it does not know for sure.
They are gone on with if there are as many as before and the last one, fetched again, is the same.
A whole track is a part again in the next attempt: otherwise the picture of one recording could meet
the sound of another. What arrives through another program starts anew.
"""

import fcntl
import filecmp
import json
import re
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


_FRAGMENT = re.compile(r"(.+\.part)-Frag(\d+)")
"""A whole fragment, as yt-dlp names it: the part that it belongs to, and its number."""
_HELD = ".held"
"""Ending of the last fragment that had arrived, until it has been fetched again."""


def is_fragment(path: Path) -> bool:
    """Whether a file is a whole fragment, of which a copy is or will be in its part."""
    return _FRAGMENT.fullmatch(path.name.removesuffix(_HELD)) is not None


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
        self._fragments: dict[str, int] = {}
        """Part -> of how many fragments it is."""
        self._held = list(folder.glob(f"*{_HELD}"))
        """Fragments that are still to be compared with what they are now."""
        known = _read(folder)
        try:
            versions = {name: Version(**value) for name, value in known["versions"].items()}
            fragments = {name: int(count) for name, count in known["fragments"].items()}
        except (KeyError, TypeError, ValueError, AttributeError):  # of another version of avpipe
            versions, fragments = {}, {}
        if known.get("url") == self._owner["url"]:
            self._versions, self._fragments = versions, fragments
        else:
            self.clear()
        self._let_go()
        self._keep_what_can_go_on()
        self._write()

    def clear(self) -> None:
        """Drops all that has arrived."""
        for path in self._files():
            path.unlink()
        self._versions, self._tails, self._fragments, self._held = {}, {}, {}, []

    def rest_from(self, start: int) -> str | None:
        """Name of the part that a request from byte `start` on would go on with, if one would."""
        parts = (path for path in self._files() if path.name in self._versions)
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

    def arriving_in(self, path: str, fragments: int) -> None:
        """Notes of how many fragments the part at `path` is; called as they arrive.

        Raises:
            Changed: those that were there are of another file.
        """
        name = Path(path).name
        if name not in self._fragments:
            self._fragments[name] = fragments
            self._write()
        if self._fragments[name] != fragments or not self._same_again():
            raise Changed

    def arrived(self, path: str) -> None:
        """The file at `path` is whole.

        Raises:
            Changed: its part was of another file.
        """
        whole = Path(path)
        if not self._same_again():
            raise Changed
        start, tail = self._tails.pop(f"{whole.name}.part", (0, b""))
        with whole.open("rb") as file:
            file.seek(start)
            if file.read(len(tail)) != tail:
                raise Changed

    def _keep_what_can_go_on(self) -> None:
        """Drops files of an unknown state, and cuts off the ends of parts, to compare them."""
        for path in self._files():
            if (part := f"{path.name}.part") in self._fragments:
                path.unlink()
            elif part in self._versions:
                path.rename(path.with_name(part))
        for path in self._files():
            if path.name in self._versions:
                size = path.stat().st_size
                start = max(0, size - _OVERLAP_BYTES)
                with path.open("r+b") as file:
                    file.seek(start)
                    self._tails[path.name] = start, file.read()
                    file.truncate(start)
            elif any(mark in path.name for mark in (".part", ".ytdl", ".temp.")):
                fragment = _FRAGMENT.fullmatch(path.name)
                if not (fragment and fragment[1] in self._fragments and path.stat().st_size):
                    path.unlink()
        for name in self._fragments:
            if whole := self._fragments_of(name):
                self._held.append(whole[-1].rename(f"{whole[-1]}{_HELD}"))

    def _fragments_of(self, part: str) -> list[Path]:
        """The whole fragments of a part that are there, by number."""
        found = [(_FRAGMENT.fullmatch(path.name), path) for path in self._files()]
        numbered = [(int(match[2]), path) for match, path in found if match and match[1] == part]
        return [path for _, path in sorted(numbered)]

    def _same_again(self) -> bool:
        """Compares fragments that were fetched again with what they were; False if one differs."""
        for held in [*self._held]:
            again = held.with_suffix("")
            if again.exists():
                if not filecmp.cmp(held, again, shallow=False):
                    return False
                held.unlink()
                self._held.remove(held)
        return True

    def _let_go(self) -> None:
        """Puts back the fragments that were not fetched again; drops all if one is another now."""
        if not self._same_again():
            self.clear()
            self._write()
        for held in self._held:
            held.rename(held.with_suffix(""))
        self._held = []

    def give_back(self) -> None:
        """Puts back the ends of parts that have not grown in this attempt, and last fragments."""
        self._let_go()
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
        known = {**self._owner, "versions": versions, "fragments": self._fragments}
        new.write_text(json.dumps(known, sort_keys=True) + "\n")
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
