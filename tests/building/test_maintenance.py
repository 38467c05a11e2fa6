"""Damage of every kind is found by `verify` and healed by `repair` and the next build."""

import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from avpipe import cli
from avpipe.build import Report, Request, plan
from avpipe.errors import DatasetError, UsageError
from avpipe.ledger import FILE, Ledger
from avpipe.lock import exclusive
from avpipe.maintenance import collect, repair, verify
from plugins import toy
from small_builds import Silent, settings

Make = Callable[..., Request]
Run = Callable[..., Report]


def shards(out: Path) -> dict[str, bytes]:
    files = {p.name: p.read_bytes() for p in (out / "shards").iterdir()}
    return files | {n: (out / n).read_bytes() for n in ("index.parquet", "MANIFEST.json")}


def ran(report: Report) -> dict[str, int]:
    return {name: count.run for name, count in report.stages.items() if count.run}


def some(out: Path, pattern: str) -> Path:
    return sorted(out.glob(pattern))[0]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("pattern", "again"),
    [
        ("work/video/*/*/video.mp4", {"video": 1}),
        ("work/detect/*/*/skeleton_xy.npy", {"detect": 1}),
        ("work/download/*/*/scan.json", {"download": 1}),
        ("work/audio/*/*/provenance.json", {"audio": 1}),
        ("shards/audio-00000.h5", {"pack": 1}),
        ("index.parquet", {}),
        ("MANIFEST.json", {}),
    ],
)
def test_a_flipped_byte_is_found_and_healed(
    done: Make, run: Run, tmp_path: Path, pattern: str, again: dict[str, int]
) -> None:
    out = tmp_path / "out"
    before = shards(out)
    flip(some(out, pattern))
    found = verify(out)
    assert found.problems, pattern
    assert all(set(p) == {"path", "problem"} for p in found.problems)
    repaired = repair(out)
    assert len(repaired.removed) == 1
    assert ran(run(done())) == again
    assert verify(out).problems == ()
    assert shards(out) == before


def test_a_ledger_that_is_gone_is_no_loss(done: Make, run: Run, tmp_path: Path) -> None:
    (tmp_path / "out" / FILE).unlink()
    before = shards(tmp_path / "out")
    assert ran(run(done())) == {}
    assert shards(tmp_path / "out") == before


def test_a_build_of_some_recordings_without_a_ledger_publishes_all(
    done: Make, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "out" / FILE).unlink()
    before = shards(tmp_path / "out")
    report = run(done(ids=("violin",)))
    assert (ran(report), report.segments) == ({}, 3)
    assert shards(tmp_path / "out") == before
    assert verify(tmp_path / "out").problems == ()
    assert collect(tmp_path / "out").artifacts == ()


def test_a_rebuilt_ledger_still_knows_what_is_published(
    done: Make, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / FILE).write_bytes(b"rubbish" * 1000)
    with pytest.raises(DatasetError, match="avpipe repair"):
        plan(done())
    assert [p["path"] for p in verify(out).problems] == [FILE]
    assert repair(out).artifacts == 18
    report = run(done(ids=("violin",)))
    assert (ran(report), report.segments) == ({}, 3)
    assert verify(out).problems == ()


def test_a_digest_that_is_not_that_of_the_sidecar_is_found_and_healed(
    done: Make, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with sqlite3.connect(out / FILE) as db:
        db.execute("UPDATE artifact SET digest = 'no' WHERE stage = 'video'")
    assert len(verify(out).problems) == 3
    repair(out)
    assert ran(run(done())) == {}
    assert verify(out).problems == ()


def test_repair_keeps_the_log_of_a_sound_ledger(done: Make, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.rmtree(some(out, "work/audio/*/*"))
    assert any("lists 1 artifacts that are not there" in p["problem"] for p in verify(out).problems)
    repair(out)
    with Ledger(out / FILE) as ledger:
        assert len(ledger.attempts("violin")) == 6
    assert verify(out).problems == ()


def test_an_input_damaged_on_disk_is_made_again_by_the_build_that_meets_it(
    done: Make, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    request = done(settings=settings(detect=toy.options(weights="new")))
    with Ledger(out / FILE) as ledger:
        key = ledger.current()["violin"]["video"][0]
    (request.store.path("video", key) / "video.mp4").write_bytes(b"not a video")
    report = run(request)
    assert ran(report) == {"video": 1, "detect": 3, "segment": 3, "interpolate": 3, "pack": 1}
    assert report.failures == []
    assert verify(out).problems == ()


def test_gc_removes_what_an_upgrade_left_behind_and_never_downloads(
    done: Make, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert collect(out).artifacts == ()
    run(done(settings=settings(detect=toy.options(weights="new"))))
    would = collect(out, dry_run=True)
    assert (len(would.artifacts), would.bytes > 0) == (9, True)
    assert {path.split("/")[1] for path in would.artifacts} == {"detect", "segment", "interpolate"}
    assert collect(out) == would
    assert collect(out).artifacts == ()
    assert ran(run(done())) == {"detect": 3, "segment": 3, "interpolate": 3, "pack": 1}
    assert verify(out).problems == ()


def test_gc_spares_what_recordings_share(done: Make, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(done(settings=settings(detect=toy.options(weights="new")), ids=("violin",)))
    assert len(collect(out).artifacts) == 3
    assert ran(run(done(settings=settings(), ids=("trumpet",)))) == {}


def test_what_gc_would_remove_is_told_beside_a_build_and_written_nowhere(
    done: Make, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run(done(settings=settings(detect=toy.options(weights="new"))))
    (out / ".lock").unlink()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    alone = collect(out, dry_run=True)
    assert len(alone.artifacts) == 9
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    with exclusive(out):
        assert collect(out, dry_run=True) == alone
        for command in (["gc", str(out)], ["remove", "violin", "--from", str(out)]):
            assert cli.run([*command, "--dry-run"]) == 0
            shown = capsys.readouterr()
            assert "would" in shown.out
            said = f"is in use by process {os.getpid()} on .*: what would go may change"
            assert re.search(said, shown.err)
    assert cli.run(["gc", str(out), "--dry-run"]) == 0
    assert capsys.readouterr().err == ""


def test_gc_without_a_ledger_removes_nothing(done: Make, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / FILE).unlink()
    for dry_run in (True, False):
        with pytest.raises(UsageError, match=r"no ledger\.sqlite: run `avpipe repair"):
            collect(out, dry_run=dry_run)
    assert not (out / FILE).exists()
    assert repair(out).artifacts == 18
    assert collect(out).artifacts == ()


def test_gc_spares_what_is_packed_though_the_ledger_was_lost(
    done: Make, run: Run, tmp_path: Path
) -> None:
    out, upgraded = tmp_path / "out", settings(detect=toy.options(weights="new"))
    run(done(settings=upgraded))
    (out / FILE).unlink()
    repair(out)
    collect(out)
    assert ran(run(done(settings=upgraded))) == {}


def test_maintenance_waits_for_no_build_but_says_that_there_is_one(
    done: Make, tmp_path: Path
) -> None:
    with exclusive(tmp_path / "out"):
        for what in (repair, collect):
            with pytest.raises(Exception, match="is in use by process"):
                what(tmp_path / "out")
        assert verify(tmp_path / "out").problems == ()
    assert Silent().messages == []
