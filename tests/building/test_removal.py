"""Recordings that were removed are gone, stay away, and come back under no other name."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import avpipe
from avpipe import cli
from avpipe.build import Report, Request, plan
from avpipe.errors import UsageError
from avpipe.lists import removed, uses
from avpipe.lists.removal import absent, of_channel, remove
from avpipe.maintenance import verify
from avpipe.manifest import read_manifest
from avpipe.media import ffmpeg
from small_builds import write_manifest

RESOURCES = Path(__file__).parents[1] / "resources"
Make = Callable[..., Request]
Run = Callable[..., Report]


def test_a_removed_recording_is_nowhere_and_the_rest_is_whole(done: Make, run: Run, tmp_path):
    out = tmp_path / "out"
    assert absent(out, "violin")[1]
    (row,) = remove(out, ["violin"], ticket="case 7")
    assert row.artifacts == 6
    assert len(row.files) == 2
    assert row.bytes > 0
    assert absent(out, "violin")[1] == []
    assert verify(out).problems == ()
    assert "violin" not in set(avpipe.open_dataset(out).index["recording"])
    everything = [p for p in out.rglob("*") if p.is_file() and p.name != removed.FILE]
    assert not any(b'"violin"' in p.read_bytes() for p in everything)
    (kept,) = removed.read(out).rows
    assert (kept.id, kept.ticket, len(kept.media)) == ("violin", "case 7", 1)


def test_the_next_build_neither_fetches_it_nor_rewrites_anything(done: Make, run: Run, tmp_path):
    remove(tmp_path / "out", ["violin"])
    report = run(done())
    assert report.recordings == 2
    assert {name: c.run for name, c in report.stages.items() if c.run} == {}
    assert report.stages["pack"].reuse == 2
    assert plan(done()).recordings == 2
    with pytest.raises(UsageError, match="violin was removed"):
        plan(done(ids=("violin",)))


def test_a_dry_run_says_the_same_and_changes_nothing(done: Make, tmp_path):
    out = tmp_path / "out"
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    (foretold,) = remove(out, ["violin"], dry_run=True)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    (row,) = remove(out, ["violin"])
    assert replace(foretold, time=row.time) == row


def test_the_same_bytes_under_another_name_are_refused(done: Make, run: Run, clips, tmp_path):
    out = tmp_path / "out"
    remove(out, ["violin"])
    mirror = tmp_path / "mirror"
    shutil.copytree(clips, mirror)
    shutil.copy(clips / "violin.mp4", mirror / "again.mp4")
    path = write_manifest(tmp_path / "new", mirror, ["again", "trumpet"])
    report = run(done(manifest=path))
    (failure,) = report.failures
    assert (failure.recording, failure.failure, failure.permanent) == ("again", "removed", True)
    assert "removed on request" in failure.message


def test_what_sounds_the_same_is_not_packed_under_another_name(
    tiny: Make, run: Run, tmp_path: Path, capsys
):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    shutil.copy(RESOURCES / "urmp_vln1.mp4", mirror / "original.mp4")
    command = [ffmpeg.executable(), "-v", "error", "-ss", "1.3", "-i", mirror / "original.mp4"]
    command += ["-b:a", "64k", "-af", "volume=-6dB", "-vf", "hflip,scale=64:48"]
    subprocess.run([*command, "-preset", "ultrafast", mirror / "again.mp4"], check=True)
    shutil.copy(RESOURCES / "urmp_09_vn_crop.mp4", mirror / "other.mp4")
    run(tiny(manifest=write_manifest(tmp_path / "one", mirror, ["original", "other"])))
    remove(tmp_path / "out", ["original"])
    path = write_manifest(tmp_path / "two", mirror, ["original", "again", "other"])
    for _ in range(2):
        report = run(tiny(manifest=path))
        (failure,) = report.failures
        assert (failure.recording, failure.failure) == ("again", "removed")
        assert "sounds like original" in failure.message
        assert set(avpipe.open_dataset(tmp_path / "out").index["recording"]) == {"other"}
    out = str(tmp_path / "out")
    capsys.readouterr()
    assert cli.run(["overlap", out, out, "--sound", "--json"]) == 0
    pairs = [(m["a"], m["b"]) for m in json.loads(capsys.readouterr().out)]
    assert pairs == [("again", "again"), ("other", "other")]


def test_a_reupload_in_the_same_dataset_goes_with_it(done: Make, run: Run, clips, tmp_path):
    mirror = tmp_path / "mirror"
    shutil.copytree(clips, mirror)
    shutil.copy(clips / "violin.mp4", mirror / "again.mp4")
    path = write_manifest(tmp_path / "new", mirror, ["again", "trumpet", "violin"])
    run(done(manifest=path))
    rows = remove(tmp_path / "out", ["again"])
    assert [row.id for row in rows] == ["again", "violin"]
    assert verify(tmp_path / "out").problems == ()
    assert absent(tmp_path / "out", "violin")[1] == []


def test_where_it_went_is_named(done: Make, tmp_path):
    out = tmp_path / "out"
    uses.note(out, "export", tmp_path / "tars", ["violin", "trumpet"])
    uses.note(out, "checkpoint", tmp_path / "runs" / "a", ["trumpet"])
    uses.note(out, "checkpoint", tmp_path / "runs" / "b", ["violin"])
    (row,) = remove(out, ["violin"], dry_run=True)
    assert row.exports == (str(tmp_path / "tars"),)
    assert row.checkpoints == (str(tmp_path / "runs" / "b"),)


def test_an_unknown_id_is_blocked_for_the_future(done: Make, run: Run, tmp_path):
    (row,) = remove(tmp_path / "out", ["never-seen"])
    assert row.artifacts == 0
    assert removed.read(tmp_path / "out").ids == {"never-seen"}
    assert verify(tmp_path / "out").problems == ()


def test_a_channel_is_all_of_its_recordings_and_a_video_all_cut_from_it(done: Make, tmp_path):
    out = tmp_path / "out"
    for path in out.glob("work/download/*/*/info.sidecar.json"):
        facts = json.loads((path.parent / "provenance.json").read_text())["facts"]
        video = facts["recording"]
        if video != "trumpet":
            info = json.loads(path.read_text()) | {"channel_id": "UC-strings", "id": f"yt-{video}"}
            path.write_text(json.dumps(info))
    assert of_channel(out, "UC-strings") == ("second-violin", "violin")
    assert of_channel(out, "nobody") == ()
    assert [row.id for row in remove(out, ["yt-violin"], dry_run=True)] == ["violin", "yt-violin"]


def test_an_interrupted_removal_is_finished_by_the_next(done: Make, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("avpipe.store.Store.remove", _killed)
        with pytest.raises(KeyboardInterrupt):
            remove(out, ["violin"])
    assert absent(out, "violin")[1]
    remove(out, ["violin"])
    assert absent(out, "violin")[1] == []
    assert verify(out).problems == ()


def test_the_command_line_removes_and_proves_it(done: Make, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert cli.run(["verify", out, "--absent", "violin"]) == 1
    assert cli.run(["remove", "violin", "--out", out, "--ticket", "x", "--json"]) == 0
    capsys.readouterr()
    assert cli.run(["verify", out, "--absent", "violin", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]
    assert cli.run(["remove", "violim", "--out", out]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "there, blocked from now on: violim (whoever meant another id" in said
    assert cli.run(["remove", "--out", out]) == 2
    assert cli.run(["remove", "--channel", "nobody", "--out", out]) == 2


def test_what_cannot_be_read_is_never_called_absent(done: Make, tmp_path, capsys):
    """A shard cut off, one with a damaged name, one that is no shard; index, list and sidecar."""
    out = tmp_path / "out"
    remove(out, ["trumpet"])
    assert absent(out, "trumpet")[1] == []
    for file, damage in (
        ("shards/audio-00000.h5", lambda content: content[:3000]),
        ("shards/audio-00000.h5", lambda content: content[: len(content) // 2]),
        ("shards/audio-00000.h5", lambda content: content.replace(b"violin", b"viomin")),
        ("shards/skeleton-00000.h5", lambda _: b""),
        ("index.parquet", lambda content: content[:-9]),
        ("MANIFEST.json", lambda content: content[:-9]),
        ("ledger.sqlite", lambda content: b"not" + content[3:]),
        (next(out.glob("work/video/*/*/provenance.json")).relative_to(out), lambda _: b"{"),
    ):
        path = out / file
        content = path.read_bytes()
        path.write_bytes(damage(content))
        (problem,) = absent(out, "trumpet")[1]
        assert str(file).startswith(problem["path"])
        assert problem["problem"].startswith("cannot be read and may hold trumpet: ")
        assert cli.run(["verify", str(out), "--absent", "trumpet"]) == 1
        said = " ".join(capsys.readouterr().out.split())
        assert "`avpipe repair` removes what cannot be read" in said
        assert "takes it out" not in said
        path.write_bytes(content)
    assert absent(out, "trumpet")[1] == []


def test_manifests_of_cuts_lose_all_cuts_of_a_removed_video(tmp_path):
    found = removed.Removed([removed.Removal("HRLcWZinlIE", "", "", 0, 0, (), (), (), ())])
    manifest = read_manifest("acappella")
    left = found.without(manifest).recordings
    assert len(manifest.recordings) - len(left) >= 1
    assert not any(r.extra["video"] == "HRLcWZinlIE" for r in left)


def _killed(*_: object) -> None:
    raise KeyboardInterrupt
