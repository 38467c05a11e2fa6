"""The command line: its promises to people and to scripts."""

import errno
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import typer

from artifacts import RESOURCES
from avpipe import cli
from avpipe.ledger import FILE, Ledger

COMMANDS = sorted(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]
HEAVY = ("numpy", "pandas", "dask", "distributed", "torch", "h5py", "av", "mediapipe", "yt_dlp")


def avpipe(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "avpipe", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"avpipe {command}" in shown.split("Example")[1]


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from avpipe import cli; cli.run(['build', '--help']);"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [["train", "--recipes"], ["evaluate", "oracle"], ["separate", "a.wav", "--run", "run"]],
)
def test_what_is_not_installed_is_named_in_one_line(arguments: list[str]) -> None:
    code = f"import sys; sys.modules['torch'] = None; from avpipe import cli; cli.main({arguments})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    said = "avpipe: this needs torch, which is not there: pip install 'avpipe[train]'\n"
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["build", "no-such-dataset"], "no-such-dataset"),
        (["build", "demo", "--until", "nowhere"], "nowhere"),
        (["build", "demo", "--set", "segment.max_gaps=3"], "max_gap"),
        (["build", "demo", "--set", "max_gap"], "stage.param=value"),
        (["build", "demo", "--ids", "nobody"], "nobody"),
        (["build", "demo", "--ids", ","], "--ids"),
        (["build", "demo", "--fields", ""], "--fields"),
        (["build", "demo", "--require-licence", " "], "--require-licence is empty"),
        (["verify", "data/nowhere"], "in data/nowhere: run"),
        (["plan", "demo", "--limit", "0"], "--limit"),
        (["build", "demo", "--fields", "smell"], "skeleton"),
        (["build", "demo", "--detector", "eyes"], "mediapipe-solutions"),
        (["build", "demo", "--max-failed", "many"], "percentage"),
        (["build", "demo", "--cluster", "nowhere.toml"], "local"),
        (["build", "demo", "--no-such-option"], "--help"),
        (["build", "demo", "--ids", "violon-b"], "did you mean violin-b?"),
        (["build", "demo", "--freeze", "nowhere"], "nowhere"),
        (["build", "."], "--out"),
        (["verify", "nothing-here"], "avpipe build"),
        (["status", "dmeo"], "did you mean demo?"),
        (["stats", "."], "nothing has been built"),
        (["inspect", "nothing-here.h5"], "no file nothing-here.h5"),
        (["inspect", "nothing-here.h5", "--png", "a.png"], "name its recording with --id"),
        (["errors", "demo", "--class", "gone"], "removed"),
        (["errors", "demo", "--stage", "nowhere"], "download"),
        (["train", "--set", "lr=3"], "recipe.NAME=VALUE"),
        (["train", "--set", "stage.lr=3"], "recipe.NAME=VALUE"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_2(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert cli.run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert said in shown.err
    assert not list(tmp_path.iterdir())  # nothing was begun


def test_a_warning_is_one_line_and_other_programs_keep_theirs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def examine() -> list[object]:
        warnings.warn("the picture\n is dark", stacklevel=2)
        return []

    monkeypatch.setattr("avpipe.doctor.examine", examine)
    before = warnings.showwarning
    assert cli.run(["doctor", "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "avpipe: warning: the picture is dark\n"
    assert json.loads(shown.out) == []
    assert warnings.showwarning is before


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 1), (errno.EACCES, 2)])
def test_a_place_that_cannot_be_written_to_is_one_line(
    number: int, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def examine() -> list[object]:
        raise OSError(number, os.strerror(number), "looks/page.html")

    monkeypatch.setattr("avpipe.doctor.examine", examine)
    assert cli.run(["doctor"]) == status
    shown = capsys.readouterr().err
    assert shown.startswith(f"avpipe: looks/page.html: {os.strerror(number)}: ")
    assert len(shown.splitlines()) == 1


def test_a_number_that_is_none_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    cli.output.document({"sdr": {"std": float("nan")}, "all": (1.0, float("inf")), "at": Path("a")})
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"sdr": {"std": None}, "all": [1.0, None], "at": "a"}


def test_a_folder_named_in_a_table_can_be_copied(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    title = f"9 recordings in /{'long folder/' * 20}"
    cli.output.table(title, ["stage"], [["download"]])
    assert capsys.readouterr().out.splitlines()[0] == title


def test_what_was_built_is_found_by_its_name_its_manifest_and_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sound = "sms_sax-phrase_11025"
    (tmp_path / "list.csv").write_text(f"id,category\n{sound},saxophone\n")
    (tmp_path / "list.toml").write_text(
        f"""name = "phrases"
        title = "A phrase"
        licence = "CC-BY-4.0"
        citation = "Nobody"
        source = '{RESOURCES}'
        fps = 25
        sample_rate = 11025
        fields = ["audio"]
        recordings = "list.csv"
        segment.source = "whole"
        """
    )
    assert cli.run(["build", "list.toml", "--workers", "1"]) == 0
    for dataset in ("phrases", "list.toml", "data/phrases"):
        assert cli.run(["status", dataset]) == 0
    for command in ("stats", "cite", "report"):
        assert cli.run([command, "data/phrases"]) == 0
    capsys.readouterr()
    assert cli.run(["remove", "nobody", "--dry-run"]) == 0
    assert "nothing of them was there" in capsys.readouterr().out
    assert cli.run(["errors", "phrases", "--id", "nobody"]) == 2
    assert cli.run(["report", "phrases", "--out-file", "list.csv/page.html"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_dataset_without_shards_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger(tmp_path / FILE, write=True):
        pass
    assert cli.run(["inspect", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path} holds no shards: nothing is packed\n"
    assert cli.run(["inspect", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_plan_prints_one_json_document_and_changes_nothing(tmp_path: Path) -> None:
    done = avpipe("plan", "demo", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["dataset"] == "demo"
    assert document["recordings"] == 9
    assert document["stages"]["download"]["run"] == 9
    assert document["stages"]["download"]["reasons"] == {"new": 9}
    assert document["stages"]["detect"]["maybe"] == 9
    assert not list(tmp_path.iterdir())


def test_datasets_lists_what_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["datasets", "--json"]) == 0
    found = {d["name"]: d for d in json.loads(capsys.readouterr().out)}
    assert found["solos"]["recordings"] == 754
    assert found["demo"]["recordings"] == 9
    assert (found["audioset"]["recordings"], found["audioset"]["categories"]) == (None, 10)
    assert found["musdb18"]["categories"] is None


def test_doctor_finds_what_a_build_needs_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["doctor", "--json"]) == 0
    found = {f["what"]: f for f in json.loads(capsys.readouterr().out)}
    assert found["ffmpeg with libx264 and soxr"]["state"] == "ok"
    assert found["detector mediapipe-solutions"]["state"] == "ok"
    assert all(f["remedy"] for f in found.values() if f["state"] == "missing")


def test_stats_compare_segments_with_the_released_ones(tmp_path: Path, resources: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "OqH9szlahwU.flac").write_bytes((resources / "urmp_20_tpt_11025.flac").read_bytes())
    options = ["--ids", "OqH9szlahwU", "--fields", "audio", "--out", str(tmp_path / "solos")]
    settings = ["--set", "video.allow_missing=true", "--set", "segment.min_frames=25"]
    built = avpipe(
        "build", "solos", "--source", str(mirror), *options, *settings, "--json", cwd=tmp_path
    )
    assert built.returncode == 0, built.stderr
    done = avpipe("stats", "solos", "--out", str(tmp_path / "solos"), "--json", cwd=tmp_path)
    agreement = json.loads(done.stdout)["agreement"]
    assert [r["recording"] for r in agreement["recordings"]] == ["OqH9szlahwU"]
    assert agreement["released_segments"] == 1
    assert 0 < agreement["mean_iou"] < 0.1  # five seconds of another instrument
