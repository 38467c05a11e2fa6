"""A build that is stopped, by whom and however: nothing breaks, nothing is left running."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from avpipe.ledger import FILE, Ledger
from avpipe.maintenance import verify
from small_builds import write_manifest


class Build:
    """`avpipe build` of the clips as a process in a group of its own."""

    def __init__(self, folder: Path, clips: Path) -> None:
        self.out = folder / "out"
        self._folder, self._clips = folder, clips
        ids = sorted(p.stem for p in clips.glob("*.mp4"))
        self._manifest = write_manifest(folder / "manifest", clips, ids)
        self._profile = folder / "profile.toml"
        self._profile.write_text("[pools]\nnet = 1\ncpu = 2\ngpu = 0\n")
        self._started: list[subprocess.Popen[str]] = []

    def command(self, guilt: str = "") -> list[str]:
        sets = ["video.preset=ultrafast", "video.crf=30", "download.min_free_bytes=0"]
        sets += ["detect.detector=plugins.toy", "detect.options.threshold=0.0"]
        if guilt:
            sets += ["detect.options.guilty_width=48", f"detect.options.guilt={guilt!r}"]
        command = [sys.executable, "-m", "avpipe", "build", str(self._manifest)]
        command += ["--out", str(self.out), "--cluster", str(self._profile)]
        return command + [word for value in sets for word in ("--set", value)]

    def start(self, guilt: str = "") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self.command(guilt),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """Whatever a test that failed left running."""
        for process in self._started:
            process.kill()
            process.communicate()

    def wait_for(self, stage: str, artifacts: int) -> None:
        """Until so many artifacts of a stage are published."""
        deadline = time.monotonic() + 60
        while len(list((self.out / "work" / stage).glob("*/*"))) < artifacts:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def finish(self) -> str:
        """A build to the end; returns what it says."""
        done = subprocess.run(self.command(), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert verify(self.out).problems == ()
        return done.stdout

    def shards(self) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in sorted((self.out / "shards").iterdir())}


@pytest.fixture
def build(tmp_path: Path, clips: Path) -> Iterator[Build]:
    build = Build(tmp_path, clips)
    yield build
    build.end()


@pytest.fixture(scope="session")
def undisturbed(built: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((built / "out" / "shards").iterdir())}


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize("how", ["ctrl-c", "term", "term-to-all", "impatient"])
def test_a_stopped_build_drains_and_the_next_one_goes_on(
    build: Build, undisturbed: dict[str, bytes], how: str
) -> None:
    """A detector that hangs for one recording makes the drain as long as it may be."""
    process = build.start(guilt="slow" if how == "ctrl-c" else "hang")
    build.wait_for("detect", 2)
    everyone = family(process)
    assert len(everyone) >= 6
    started = time.monotonic()
    if how.startswith("term"):
        process.terminate()
        for other in everyone if how == "term-to-all" else ():  # as batch systems do it
            with suppress(psutil.NoSuchProcess):
                other.terminate()
    else:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to the whole group
    if how == "impatient":
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=40)
    seconds = time.monotonic() - started
    assert process.returncode == 1, stderr
    assert seconds < (12 if how == "impatient" else 30)
    assert "Traceback" not in stdout + stderr
    assert "Stopped: interrupted" in stdout
    assert "run the same command again" in stdout
    assert_gone(everyone)
    with Ledger(build.out / FILE) as ledger:
        assert ledger.failures() == []
    build.finish()
    assert build.shards() == undisturbed


def test_a_killed_build_leaves_nothing_running_and_the_next_one_goes_on(
    build: Build, undisturbed: dict[str, bytes]
) -> None:
    """kill -9 of the driver at several moments."""
    for stage, artifacts in (("download", 1), ("video", 2), ("detect", 3), ("segment", 3)):
        process = build.start()
        build.wait_for(stage, artifacts)
        everyone = family(process)
        process.kill()
        process.communicate()
        assert_gone(everyone)
    build.finish()
    assert build.shards() == undisturbed


def test_a_second_build_of_the_same_folder_says_who_holds_it(build: Build) -> None:
    first = build.start(guilt="hang")
    build.wait_for("detect", 2)
    second = subprocess.run(build.command(), capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert f"is in use by process {first.pid} on " in second.stderr
    assert len(second.stderr.splitlines()) == 1
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()


def test_nothing_but_progress_and_the_report_is_printed(build: Build) -> None:
    shutil.rmtree(build.out, ignore_errors=True)
    done = subprocess.run(build.command(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert all("download" in line for line in done.stderr.splitlines()), done.stderr
