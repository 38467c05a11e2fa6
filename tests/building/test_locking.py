"""A lock names what was there, and builds exactly that again."""

import json
import shutil
from collections.abc import Callable

import pytest

import avpipe
from avpipe import cli
from avpipe.build import Report, Request, plan
from avpipe.engine.pacing import PaceConfig
from avpipe.errors import UsageError
from avpipe.lists import locking
from avpipe.lists.removal import remove
from avpipe.manifest import read_manifest
from small_builds import write_manifest
from web import serve

Make = Callable[..., Request]
Run = Callable[..., Report]


@pytest.fixture
def mirror(tmp_path, clips):
    shutil.copytree(clips, tmp_path / "mirror")
    return tmp_path / "mirror"


@pytest.fixture
def listed(tmp_path, mirror):
    """A list of three recordings that are there and one that is not."""
    ids = ["gone", *sorted(p.stem for p in mirror.glob("*.mp4"))]
    return write_manifest(tmp_path / "listed", mirror, ids)


@pytest.fixture
def lock(tmp_path, listed, tiny: Make, run: Run) -> locking.Lock:
    run(tiny(manifest=listed, out=tmp_path / "first"))
    return locking.make(read_manifest(listed), tmp_path / "first")


def test_a_lock_says_what_was_there_and_why_the_rest_was_not(lock, mirror):
    assert sorted(lock.available) == ["second-violin", "trumpet", "violin"]
    medium = lock.available["violin"]
    assert medium.bytes == (mirror / "violin.mp4").stat().st_size
    assert len(medium.sha256) == 64
    assert medium.date[:2] == "20"
    assert lock.missing["gone"].reason == "removed"
    assert "holds no gone" in lock.missing["gone"].message


def test_what_is_looked_at_needs_no_list_without_faults(lock, listed, tmp_path, capsys):
    """A dataset that was built with --skip-bad-rows is counted, cited, locked and compacted."""
    table = listed.with_suffix(".csv")
    table.write_text(table.read_text() + "violin,twice\n")
    name, out = str(listed), str(tmp_path / "first")
    assert cli.run(["build", name, "--out", out]) == 2
    said = capsys.readouterr().err
    assert "stands in row 5 already; remove one; build --skip-bad-rows makes the rest" in said
    file = str(tmp_path / "new.lock.json")
    for command in (["stats"], ["cite"], ["compact"], ["lock", "--file", file]):
        capsys.readouterr()
        assert cli.run([command[0], name, *command[1:], "--out", out, "--json"]) == 0
        shown = capsys.readouterr()
        assert json.loads(shown.out)
        assert "stands in row 5 already" in shown.err
    assert locking.read(tmp_path / "new.lock.json").available == lock.available


def test_a_check_of_what_is_all_there_says_so(lock, listed, tmp_path, capsys):
    lock.write(tmp_path / "tiny.lock.json")
    command = ["lock", str(listed), "--check", "--file", str(tmp_path / "tiny.lock.json")]
    assert cli.run(command) == 0
    assert capsys.readouterr().out.strip() == "all 3 are there"


def test_a_lock_is_read_as_it_was_written(lock, tmp_path):
    lock.write(tmp_path / "tiny.lock.json")
    assert locking.read(tmp_path / "tiny.lock.json") == lock


def test_a_build_with_a_lock_makes_that_set_and_names_the_dead(
    lock, listed, mirror, tiny: Make, run: Run, tmp_path
):
    (mirror / "violin.mp4").unlink()
    shutil.copy(mirror / "second-violin.mp4", mirror / "trumpet.mp4")
    shutil.copy(mirror / "second-violin.mp4", mirror / "gone.mp4")  # there now, not in the lock
    report = run(tiny(manifest=listed, out=tmp_path / "second", lock=lock))
    assert report.recordings == 3
    assert [f.recording for f in report.lock.died] == ["violin"]
    assert report.lock.changed == ("trumpet",)
    assert (report.failures, report.transient) == ([], 0)
    assert report.as_json()["lock"]["died"][0]["class"] == "removed"
    found = set(avpipe.open_dataset(tmp_path / "second").index["recording"])
    assert found == {"second-violin", "trumpet"}


def test_a_lock_of_another_list_is_refused(lock, listed, mirror, tiny: Make, tmp_path):
    shorter = write_manifest(tmp_path / "shorter", mirror, ["violin"])
    with pytest.raises(UsageError, match=r"has no second-violin, trumpet \(2 in all\)"):
        plan(tiny(manifest=shorter, lock=lock))
    with pytest.raises(UsageError, match="the lock is of tiny, not of solos"):
        lock.restrict(read_manifest("solos"))


def test_removed_recordings_and_those_never_tried_are_missing(lock, listed, mirror, tmp_path):
    remove(tmp_path / "first", ["violin"])
    longer = write_manifest(tmp_path / "longer", mirror, ["violin", "trumpet", "new"])
    again = locking.make(read_manifest(longer), tmp_path / "first")
    assert {name: why.reason for name, why in again.missing.items()} == {
        "violin": "removed",
        "new": "not tried",
    }


def test_formats_are_pinned(lock):
    manifest = read_manifest("demo")
    medium = locking.Medium("0" * 64, 1, "137+140", "", "")
    pinned = locking.Lock("demo", "", {"violin-a": medium}, {}).restrict(manifest)
    assert [r.extra["format_id"] for r in pinned.recordings] == ["137+140"]


def test_a_check_asks_and_fetches_nothing(mirror, tmp_path):
    with serve(mirror) as server:
        path = write_manifest(
            tmp_path / "web", f"{server.address}/good/{{id}}.mp4", ["violin", "no"]
        )
        (path.parent / "tiny.csv").write_text(
            "id,category,url\n"
            f"violin,music,{server.url('good', 'violin.mp4')}\n"
            f"no,music,{server.url('404', 'no.mp4')}\n"
        )
        naps: list[float] = []
        pace = PaceConfig(interval_seconds=50, jitter=0)
        found = dict(locking.check(read_manifest(path), None, pace=pace, sleep=naps.append))
    assert found["violin"] is None
    assert found["no"].failure == "removed"
    assert naps[0] == 0
    assert naps[1] == pytest.approx(50, abs=20)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a lock"),
        ("[]", "not a lock"),
        ("{}", "not a lock"),
        ('{"format": "avpipe-lock", "version": 2}', "avpipe-lock of version 2, not avpipe-lock 1:"),
    ],
)
def test_what_is_no_lock_is_refused(text, said, tmp_path):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UsageError, match=rf"x\.json is {said}"):
        locking.read(tmp_path / "x.json")


def test_a_lock_that_is_there_is_replaced_only_if_asked_for(lock, listed, tmp_path, capsys):
    file = tmp_path / "tiny.lock.json"
    lock.write(file)
    older = file.read_text()
    remove(tmp_path / "first", ["violin"])
    command = ["lock", str(listed), "--file", str(file), "--out", str(tmp_path / "first")]
    assert cli.run(command) == 2
    said = f"avpipe: {file} is there already: choose another --file, or --overwrite\n"
    assert capsys.readouterr().err == said
    assert file.read_text() == older
    assert cli.run([*command, "--overwrite"]) == 0
    assert sorted(locking.read(file).available) == ["second-violin", "trumpet"]


def test_the_command_line_locks_and_checks(lock, listed, mirror, tmp_path, capsys):
    file = str(tmp_path / "tiny.lock.json")
    command = ["lock", str(listed), "--file", file, "--json"]
    assert cli.run([*command, "--out", str(tmp_path / "first")]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["available"], facts["missing"]) == (3, {"removed": 1})
    (mirror / "violin.mp4").unlink()
    assert cli.run([*command, "--check"]) == 0
    assert [row["id"] for row in json.loads(capsys.readouterr().out)["not"]] == ["violin"]
    assert (
        cli.run(["plan", str(listed), "--lock", file, "--out", str(tmp_path / "new"), "--json"])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["recordings"] == 3
