"""The ledger: what happened to every recording at every stage.

SQLite with a rollback journal, written by the driver of a build only, readable by anyone while it
runs. It caches what the artifacts' sidecars say, so that planning needs no file per artifact, and
logs every attempt. `avpipe repair` makes it anew from the sidecars.
"""

import json
import shlex
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from avpipe.errors import DatasetError, Interrupted, UsageError
from avpipe.store import Artifact, canonical

FILE = "ledger.sqlite"

_VERSION = 1
"""Of the tables: raised when they change; `repair` makes the ledger of an older version anew."""

_SCHEMA = """
CREATE TABLE identity (
  id INTEGER PRIMARY KEY, document TEXT NOT NULL UNIQUE);
CREATE TABLE artifact (
  stage TEXT, key TEXT, digest TEXT NOT NULL, bytes INTEGER NOT NULL,
  identity INTEGER NOT NULL, inputs TEXT NOT NULL, facts TEXT NOT NULL,
  PRIMARY KEY (stage, key)) WITHOUT ROWID;
CREATE TABLE current (
  recording TEXT, stage TEXT, key TEXT NOT NULL, digest TEXT,
  PRIMARY KEY (recording, stage)) WITHOUT ROWID;
CREATE TABLE complete (
  recording TEXT PRIMARY KEY, signature TEXT NOT NULL, summary TEXT NOT NULL);
CREATE TABLE memory (
  name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE failure (
  recording TEXT, stage TEXT, key TEXT NOT NULL, source TEXT, class TEXT NOT NULL,
  message TEXT NOT NULL, permanent INTEGER NOT NULL, attempts INTEGER NOT NULL,
  deaths INTEGER NOT NULL, time REAL NOT NULL,
  PRIMARY KEY (recording, stage)) WITHOUT ROWID;
CREATE TABLE attempt (
  id INTEGER PRIMARY KEY, recording TEXT NOT NULL, stage TEXT NOT NULL, key TEXT NOT NULL,
  status TEXT NOT NULL, class TEXT, message TEXT, permanent INTEGER, number INTEGER NOT NULL,
  seconds REAL NOT NULL, bytes INTEGER NOT NULL, worker TEXT NOT NULL, time REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Failure:
    """The last failure of a recording at a stage, as long as no success followed it."""

    recording: str
    stage: str
    key: str
    source: str | None
    """Where a download was tried from; another place is another chance."""
    failure: str
    """Class (`FailureClass` value)."""
    message: str
    permanent: bool
    attempts: int
    """How often it was tried."""
    deaths: int = 0
    """How often the process that tried died."""

    def as_json(self) -> dict[str, Any]:
        """The row of `--json`."""
        return {
            "id": self.recording,
            "stage": self.stage,
            "class": self.failure,
            "permanent": self.permanent,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a stage for a recording, for the log."""

    recording: str
    stage: str
    key: str
    number: int
    """1 for the first try."""
    seconds: float
    ended: float
    """When it was over, in seconds since the epoch."""
    bytes: int
    worker: str


@dataclass(frozen=True, slots=True)
class Rate:
    """What the runs of a stage took on average."""

    runs: int
    seconds: float
    bytes: float


class Ledger:
    """One dataset's ledger.

    Args:
        path: the SQLite file.
        write: False opens what exists for reading only.

    Raises:
        DatasetError: the file is not a readable ledger.
    """

    def __init__(self, path: Path, *, write: bool = False) -> None:
        self.path = path
        try:
            if write:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._db = sqlite3.connect(path, timeout=30)
            else:
                self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
            self._prepare(write)
        except sqlite3.DatabaseError as error:
            raise self._unreadable(str(error)) from error

    def _prepare(self, write: bool) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        empty = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if write and empty:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            self._db.close()
            raise self._unreadable(f"its version is {version}, not {_VERSION}")

    def _unreadable(self, reason: str) -> DatasetError:
        folder = shlex.quote(str(self.path.parent))
        return DatasetError(
            f"{self.path}: not a readable ledger ({reason}); `avpipe repair {folder}` makes it anew"
            " from the artifacts"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        """Closes; what SQLite has to say in the meantime is said in one line.

        Raises:
            DatasetError: the file is damaged.
            Interrupted: it cannot be written now (a full disk, a long lock).
        """
        try:
            self.close()
        except sqlite3.DatabaseError as closing:
            error = error or closing
        if isinstance(error, sqlite3.OperationalError):
            raise Interrupted(f"{self.path} cannot be written: {error}; run again") from error
        if isinstance(error, sqlite3.DatabaseError):
            raise self._unreadable(str(error)) from error

    def close(self) -> None:
        """Commits and closes."""
        try:
            self._db.commit()
        finally:
            self._db.close()

    def commit(self) -> None:
        """Makes what was written durable; the build calls it now and then, not for every row."""
        self._db.commit()

    def done(
        self,
        artifact: Artifact,
        identity: Mapping[str, Any],
        inputs: Mapping[str, str],
        facts: Mapping[str, Any],
    ) -> None:
        """Notes a published artifact (again, if it is known)."""
        text = canonical(identity)
        self._db.execute("INSERT OR IGNORE INTO identity (document) VALUES (?)", (text,))
        self._db.execute(
            "INSERT OR REPLACE INTO artifact SELECT ?, ?, ?, ?, id, ?, ? FROM identity"
            " WHERE document = ?",
            (
                artifact.stage,
                artifact.key,
                artifact.digest,
                artifact.bytes,
                canonical(inputs),
                canonical(facts),
                text,
            ),
        )

    def reached(self, recording: str, stage: str, key: str, digest: str | None = None) -> None:
        """The recording has this artifact at this stage now; an earlier failure there is over."""
        self._db.execute(
            "INSERT OR REPLACE INTO current VALUES (?, ?, ?, ?)", (recording, stage, key, digest)
        )
        self._db.execute(
            "DELETE FROM failure WHERE recording = ? AND stage = ?", (recording, stage)
        )

    def completed(self, recording: str, summary: Mapping[str, Any], signature: str = "") -> None:
        """All stages of the recording are done.

        Args:
            recording: id.
            summary: what it contributes to the shards.
            signature: of its artifacts, by which the next build sees whether they are the same.
        """
        self._db.execute(
            "INSERT OR REPLACE INTO complete VALUES (?, ?, ?)",
            (recording, signature, canonical(summary)),
        )

    def remember(self, name: str, value: Mapping[str, Any]) -> None:
        """Keeps a fact about the dataset as a whole."""
        self._db.execute("INSERT OR REPLACE INTO memory VALUES (?, ?)", (name, canonical(value)))

    def remembered(self, name: str) -> dict[str, Any]:
        """A fact that was kept; empty if there is none."""
        row = self._db.execute("SELECT value FROM memory WHERE name = ?", (name,)).fetchone()
        return {} if row is None else dict(json.loads(row[0]))

    def failed(self, failure: Failure) -> None:
        """Notes the failure that stands for the recording at the stage."""
        self._db.execute(
            "INSERT OR REPLACE INTO failure VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                failure.recording,
                failure.stage,
                failure.key,
                failure.source,
                failure.failure,
                failure.message,
                failure.permanent,
                failure.attempts,
                failure.deaths,
                time.time(),
            ),
        )

    def log(self, attempt: Attempt, failure: Failure | None) -> None:
        """Appends to the log of attempts."""
        verdict = (
            ("done", None, None, None)
            if failure is None
            else ("failed", failure.failure, failure.message, failure.permanent)
        )
        self._db.execute(
            "INSERT INTO attempt (recording, stage, key, status, class, message, permanent, number,"
            " seconds, bytes, worker, time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                attempt.recording,
                attempt.stage,
                attempt.key,
                *verdict,
                attempt.number,
                attempt.seconds,
                attempt.bytes,
                attempt.worker,
                attempt.ended,
            ),
        )

    def current(self) -> dict[str, dict[str, tuple[str, str | None]]]:
        """recording -> stage -> (key, digest); digest None where it is not known."""
        found: dict[str, dict[str, tuple[str, str | None]]] = {}
        steps: dict[str, tuple[str, str | None]] = {}
        last = None
        stages: dict[str, str] = {}  # one string a stage, not one a row
        rows = self._db.execute("SELECT * FROM current ORDER BY recording, stage")
        for recording, stage, key, digest in rows:
            if recording != last:
                last, steps = recording, {}
                found[recording] = steps
            steps[stages.setdefault(stage, stage)] = (key, digest)
        return found

    def complete(self) -> dict[str, dict[str, Any]]:
        """recording -> its summary of the last time all its stages were done."""
        rows = self._db.execute("SELECT recording, summary FROM complete")
        return {r: json.loads(text) for r, text in rows}

    def signatures(self) -> dict[str, str]:
        """recording -> signature of its artifacts of the last time all its stages were done."""
        return dict(self._db.execute("SELECT recording, signature FROM complete"))

    def digest(self, stage: str, key: str) -> str | None:
        """Content digest of an artifact, None if it is not known."""
        row = self._db.execute(
            "SELECT digest FROM artifact WHERE stage = ? AND key = ?", (stage, key)
        ).fetchone()
        return None if row is None else str(row[0])

    def identity(self, stage: str, key: str) -> dict[str, Any] | None:
        """Version, parameters and tool that made an artifact, None if it is not known."""
        row = self._db.execute(
            "SELECT document FROM artifact JOIN identity ON identity.id = artifact.identity"
            " WHERE stage = ? AND key = ?",
            (stage, key),
        ).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def facts(self, stage: str, key: str) -> dict[str, Any]:
        """What the run that made an artifact reported; empty if it is not known."""
        row = self._db.execute(
            "SELECT facts FROM artifact WHERE stage = ? AND key = ?", (stage, key)
        ).fetchone()
        return {} if row is None else dict(json.loads(row[0]))

    def failures(self) -> list[Failure]:
        """All failures that stand, in the order of recording and stage."""
        rows = self._db.execute(
            "SELECT recording, stage, key, source, class, message, permanent, attempts, deaths"
            " FROM failure ORDER BY recording, stage"
        )
        return [
            Failure(recording, stage, key, source, kind, message, bool(permanent), tries, deaths)
            for recording, stage, key, source, kind, message, permanent, tries, deaths in rows
        ]

    def attempts(self, recording: str) -> list[dict[str, Any]]:
        """The log of one recording, oldest first."""
        cursor = self._db.execute(
            "SELECT * FROM attempt WHERE recording = ? ORDER BY id", (recording,)
        )
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def rates(self) -> dict[str, Rate]:
        """Stage -> what its successful runs took, from the log."""
        rows = self._db.execute(
            "SELECT stage, count(*), avg(seconds), avg(bytes) FROM attempt WHERE status = 'done'"
            " GROUP BY stage"
        )
        return {stage: Rate(*values) for stage, *values in rows}

    def counts(self) -> dict[str, int]:
        """stage -> recordings that have an artifact there."""
        return dict(self._db.execute("SELECT stage, count(*) FROM current GROUP BY stage"))

    def forget_artifacts(self, artifacts: Iterable[tuple[str, str]]) -> None:
        """Drops artifacts (stage, key) that are gone from the store."""
        self._db.executemany("DELETE FROM artifact WHERE stage = ? AND key = ?", artifacts)

    def describe(self, stage: str, key: str, facts: Mapping[str, Any]) -> None:
        """Replaces what is said of an artifact."""
        self._db.execute(
            "UPDATE artifact SET facts = ? WHERE stage = ? AND key = ?",
            (canonical(facts), stage, key),
        )

    def made_for(self, recording: str) -> set[tuple[str, str]]:
        """(stage, key) of all that the recording has, had or was tried to make."""
        return set(
            self._db.execute(
                "SELECT stage, key FROM current WHERE recording = :id"
                " UNION SELECT stage, key FROM attempt WHERE recording = :id"
                " UNION SELECT stage, key FROM artifact"
                " WHERE json_extract(facts, '$.recording') = :id",
                {"id": recording},
            )
        )

    def forget_recordings(self, recordings: Iterable[str]) -> None:
        """Deletes every row of recordings, and overwrites where they were in the file."""
        self._db.execute("PRAGMA secure_delete = ON")
        for recording in recordings:
            for table in ("current", "complete", "failure", "attempt"):
                self._db.execute(f"DELETE FROM {table} WHERE recording = ?", (recording,))

    def mentions(self, recording: str) -> bool:
        """Whether any row is of a recording."""
        tables = ("current", "complete", "failure", "attempt")
        return any(
            self._db.execute(
                f"SELECT 1 FROM {t} WHERE recording = ? LIMIT 1", (recording,)
            ).fetchone()
            for t in tables
        )

    def problems(self) -> list[str]:
        """What SQLite's own check finds."""
        try:
            rows = self._db.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [str(row[0]) for row in rows if row[0] != "ok"]

    def known(self) -> dict[tuple[str, str], str]:
        """(stage, key) of every artifact in the ledger -> its content digest."""
        rows = self._db.execute("SELECT stage, key, digest FROM artifact")
        return {(row[0], row[1]): row[2] for row in rows}


def existing(out: Path, *, write: bool = False) -> Ledger:
    """The ledger in a dataset's folder, where an empty one would say that nothing is needed.

    Raises:
        UsageError: there is none.
        DatasetError: it cannot be read.
    """
    if not (out / FILE).exists():
        raise UsageError(f"{out} has no {FILE}: run `avpipe repair {out}` first")
    return Ledger(out / FILE, write=write)
