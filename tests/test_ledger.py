"""The ledger: what stands, what was tried, and that a damaged one is refused in one line."""

import os
import sqlite3
from pathlib import Path

import pytest

from avpipe.errors import DatasetError
from avpipe.ledger import Attempt, Failure, Ledger, Rate
from avpipe.store import Artifact

ARTIFACT = Artifact("video", "key1", "digest1", 12)
FAILURE = Failure("a", "video", "key2", None, "crashed", "SIGSEGV", False, 1, 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def test_what_is_reached_is_current_with_its_digest_and_identity(path: Path) -> None:
    with Ledger(path, write=True) as ledger:
        ledger.done(ARTIFACT, {"stage": "video", "version": 1}, {"download": "d"}, {"frames": 3})
        ledger.reached("a", "video", "key1", "digest1")
        ledger.reached("b", "video", "unknown")
    with Ledger(path) as ledger:
        assert ledger.current() == {
            "a": {"video": ("key1", "digest1")},
            "b": {"video": ("unknown", None)},
        }
        assert ledger.digest("video", "key1") == "digest1"
        assert ledger.identity("video", "key1") == {"stage": "video", "version": 1}
        assert ledger.facts("video", "key1") == {"frames": 3}
        assert (ledger.digest("video", "x"), ledger.identity("video", "x")) == (None, None)
        assert ledger.counts() == {"video": 2}
        assert ledger.known() == {("video", "key1"): "digest1"}


def test_a_failure_stands_until_a_success(path: Path) -> None:
    with Ledger(path, write=True) as ledger:
        ledger.failed(FAILURE)
        assert ledger.failures() == [FAILURE]
        ledger.reached("a", "audio", "other")
        assert ledger.failures() == [FAILURE]
        ledger.reached("a", "video", "key3")
        assert ledger.failures() == []


def test_every_attempt_is_logged(path: Path) -> None:
    with Ledger(path, write=True) as ledger:
        ledger.log(Attempt("a", "video", "key2", 1, 0.5, 100.0, 0, "cpu-0"), FAILURE)
        ledger.log(Attempt("a", "video", "key2", 2, 1.5, 102.0, 12, "cpu-1"), None)
        first, second = ledger.attempts("a")
        assert (first["status"], first["class"], first["permanent"]) == ("failed", "crashed", 0)
        assert (second["status"], second["class"], second["number"]) == ("done", None, 2)
        assert ledger.rates() == {"video": Rate(1, 1.5, 12.0)}


def test_summaries_of_complete_recordings_come_back(path: Path) -> None:
    with Ledger(path, write=True) as ledger:
        ledger.completed("a", {"keys": {"video": "k"}}, "first")
        ledger.completed("a", {"keys": {"video": "l"}}, "second")
        assert ledger.complete() == {"a": {"keys": {"video": "l"}}}
        assert ledger.signatures() == {"a": "second"}


def test_a_fact_about_the_dataset_is_remembered(path: Path) -> None:
    with Ledger(path, write=True) as ledger:
        assert ledger.remembered("packed") == {}
        ledger.remember("packed", {"fingerprint": "x"})
        ledger.remember("packed", {"fingerprint": "y"})
        assert ledger.remembered("packed") == {"fingerprint": "y"}


def test_it_can_be_read_while_a_build_writes_it(path: Path) -> None:
    with Ledger(path, write=True) as writer:
        writer.reached("a", "video", "key1")
        writer.commit()
        writer.reached("b", "video", "key1")
        with Ledger(path) as reader:
            assert reader.counts() == {"video": 1}
        writer.commit()
        with Ledger(path) as reader:
            assert reader.counts() == {"video": 2}


@pytest.mark.parametrize("damage", [b"", b"not a database at all" * 100, b"SQLite format 3\0" * 9])
@pytest.mark.parametrize("write", [False, True])
def test_a_damaged_file_is_refused_with_what_to_do(path: Path, damage: bytes, write: bool) -> None:
    path.write_bytes(damage)
    if write and not damage:
        Ledger(path, write=True).close()  # an empty file is an empty ledger
        return
    with pytest.raises(DatasetError, match="avpipe repair"):
        Ledger(path, write=write)


def test_damage_inside_is_found(path: Path) -> None:
    with Ledger(path, write=True) as ledger:
        for i in range(500):
            ledger.reached(f"recording-{i}", "video", "k" * 64)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(os.urandom(5000))
    with Ledger(path) as ledger:
        assert ledger.problems()


def test_another_version_is_refused_with_what_to_do(path: Path) -> None:
    Ledger(path, write=True).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.commit()
    db.close()
    with pytest.raises(DatasetError, match="its version is 99"):
        Ledger(path, write=True)


def test_a_killed_writer_loses_what_was_not_committed_and_nothing_else(path: Path) -> None:
    Ledger(path, write=True).close()
    child = os.fork()
    if child == 0:
        ledger = Ledger(path, write=True)
        ledger.reached("a", "video", "key1")
        ledger.commit()
        ledger.reached("b", "video", "key1")
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    with Ledger(path, write=True) as ledger:
        assert set(ledger.current()) == {"a"}
        assert ledger.problems() == []
