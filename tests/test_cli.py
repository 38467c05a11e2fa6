"""The command line: its promises to people and to scripts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from avpipe import cli

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
        (["verify", "nothing-here"], "avpipe build"),
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
