"""Artifacts on disk: keys, atomic publication, provenance sidecars.

An artifact is the folder `work/<stage>/<key[:2]>/<key>/`: the data files of one stage for one
recording, and `provenance.json`. It is complete or it is not there: it is written in a temporary
folder on the same file system, fsynced and renamed. Files named `*.sidecar.json` say how the data
came about; they and `provenance.json` are not part of the content digest. What is not needed any
more can be released: its data go, and what is said of them stays.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from avpipe.errors import AvpipeError

PROVENANCE = "provenance.json"
PARTIAL = "partial"
"""Folder in the store's root for what has arrived of downloads."""
_RELEASED = "released"
"""File in the store's root once something was released."""


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical(value: Any) -> str:
    """JSON with one spelling for one value: sorted keys, no blanks, ASCII."""
    return _CANONICAL.encode(value)


def sha256_text(text: str) -> str:
    """Hex SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Artifact:
    """The published output of one stage for one recording."""

    stage: str
    key: str
    digest: str
    """SHA-256 over the names and digests of its data files."""
    bytes: int
    """Size of all its files."""


class Store:
    """The artifacts under one folder.

    Args:
        root: the `work` folder of a dataset; made when something is first written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, stage: str, key: str) -> Path:
        """Where the artifact is, or would be."""
        return self.root / stage / key[:2] / key

    def keys(self, stage: str) -> set[str]:
        """Keys of all published artifacts of a stage."""
        found: set[str] = set()
        folder = self.root / stage
        if folder.is_dir():
            for prefix in os.scandir(folder):
                if prefix.is_dir():
                    found.update(entry.name for entry in os.scandir(prefix.path))
        return found

    def artifacts(self) -> Iterator[tuple[str, str]]:
        """(stage, key) of everything published."""
        if self.root.is_dir():
            folders = {p.name for p in self.root.iterdir()} - {"tmp", PARTIAL}
            for stage in sorted(folders):
                for key in sorted(self.keys(stage)):
                    yield stage, key

    def temporary(self) -> Path:
        """A new empty folder on the store's file system; what a crash leaves is swept later."""
        folder = self.root / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=folder, prefix=f"{os.getpid()}-"))

    def sweep(self) -> None:
        """Removes temporary folders that a killed build left. Only for who holds the build lock."""
        shutil.rmtree(self.root / "tmp", ignore_errors=True)

    def partial(self, key: str) -> Path:
        """Where an artifact may keep what it has of its data between attempts to make it."""
        return self.root / PARTIAL / key

    def partials(self) -> list[tuple[str, Path]]:
        """(key, folder) of all that is kept so."""
        folder = self.root / PARTIAL
        return [(p.name, p) for p in sorted(folder.iterdir())] if folder.is_dir() else []

    def drop_partial(self, key: str) -> None:
        """Deletes what is kept so of an artifact, if there is something."""
        shutil.rmtree(self.partial(key), ignore_errors=True)

    def publish(
        self,
        folder: Path,
        stage: str,
        key: str,
        document: Mapping[str, Any],
        facts: Mapping[str, Any],
    ) -> Artifact:
        """Makes a filled temporary folder the artifact `key`.

        Publishing a key that exists discards the duplicate: the first one stands.

        Args:
            folder: from `temporary()`, holding the data files (a flat folder).
            document: what the key is the hash of.
            facts: what is worth knowing about this run (JSON).
        """
        files: dict[str, dict[str, Any]] = {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
            for path in sorted(folder.iterdir())
        }
        artifact = Artifact(
            stage, key, content_digest(files), sum(f["bytes"] for f in files.values())
        )
        provenance = {
            "format": 1,
            "stage": stage,
            "key": key,
            "document": dict(document),
            "digest": artifact.digest,
            "files": files,
            "facts": dict(facts),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        (folder / PROVENANCE).write_text(json.dumps(provenance, indent=1, sort_keys=True) + "\n")
        for path in folder.iterdir():
            fsync(path)
        fsync(folder)
        target = self.path(stage, key)
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.is_released(stage, key):
            self.remove(stage, key)
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            shutil.rmtree(folder)
            return self.read(stage, key)
        fsync(target.parent)
        return artifact

    def provenance(self, stage: str, key: str) -> dict[str, Any]:
        """The sidecar of an artifact.

        Raises:
            AvpipeError: there is none, or it does not say what its folder says.
        """
        path = self.path(stage, key) / PROVENANCE
        try:
            value: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise AvpipeError(f"{path}: no readable provenance ({error})") from error
        if value.get("key") != key or value.get("stage") != stage:
            raise AvpipeError(f"{path}: says {value.get('stage')} {value.get('key')}")
        return value

    def describe(self, stage: str, key: str, facts: Mapping[str, Any]) -> None:
        """Replaces what the sidecar of an artifact says of its making."""
        value = self.provenance(stage, key) | {"facts": dict(facts)}
        self._replace_provenance(self.path(stage, key), value)

    def _replace_provenance(self, folder: Path, value: Mapping[str, Any]) -> None:
        new = folder / f".{PROVENANCE}"
        new.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
        fsync(new)
        new.replace(folder / PROVENANCE)

    def read(self, stage: str, key: str) -> Artifact:
        """A published artifact, from its sidecar."""
        value = self.provenance(stage, key)
        size = sum(f["bytes"] for f in value["files"].values())
        return Artifact(stage, key, value["digest"], size)

    def problems(self, stage: str, key: str) -> list[str]:
        """What is wrong with an artifact, every digest recomputed; empty if nothing is."""
        try:
            value = self.provenance(stage, key)
        except AvpipeError as error:
            return [str(error)]
        folder, found = self.path(stage, key), []
        for name, expected in value["files"].items():
            if value.get("released") and not _is_sidecar(name):
                continue
            path = folder / name
            if not path.is_file():
                found.append(f"{name} is missing")
            elif path.stat().st_size != expected["bytes"]:
                found.append(f"{name} has {path.stat().st_size} bytes, not {expected['bytes']}")
            elif sha256_file(path) != expected["sha256"]:
                found.append(f"{name} does not have its recorded sha256")
        extra = {p.name for p in folder.iterdir()} - set(value["files"]) - {PROVENANCE}
        found += [f"{name} does not belong there" for name in sorted(extra)]
        if content_digest(value["files"]) != value["digest"]:
            found.append("the recorded digest does not follow from its files")
        return found

    def release(self, stage: str, key: str) -> int:
        """Deletes the data of an artifact, which counts as published all the same; bytes freed."""
        value, path = self.provenance(stage, key), self.path(stage, key)
        (self.root / _RELEASED).touch()
        self._replace_provenance(path, value | {"released": True})
        freed = 0
        for name, file in value["files"].items():
            if not _is_sidecar(name):
                freed += file["bytes"] if (path / name).exists() else 0
                (path / name).unlink(missing_ok=True)
        return freed

    def has_released(self) -> bool:
        """Whether anything was ever released."""
        return (self.root / _RELEASED).exists()

    def is_released(self, stage: str, key: str) -> bool:
        """Whether the data of a published artifact are gone."""
        if not self.has_released() or not self.path(stage, key).exists():
            return False
        return bool(self.provenance(stage, key).get("released"))

    def remove(self, stage: str, key: str) -> None:
        """Deletes an artifact: out of sight in one step, then from the disk."""
        graveyard = self.temporary()
        self.path(stage, key).rename(graveyard / key)
        shutil.rmtree(graveyard)


def content_digest(files: Mapping[str, Mapping[str, Any]]) -> str:
    """SHA-256 over names and digests of the data files (sidecars left out)."""
    return sha256_text(canonical({n: f["sha256"] for n, f in files.items() if not _is_sidecar(n)}))


def _is_sidecar(name: str) -> bool:
    return name.endswith(".sidecar.json")


def fsync(path: Path) -> None:
    """Forces a file's or folder's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
