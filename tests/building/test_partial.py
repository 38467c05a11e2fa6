"""Builds whose downloads are cut off: the next attempt goes on, in this build or in the next."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from avpipe.build import Report, Request
from avpipe.lists.removal import absent, remove
from avpipe.maintenance import collect
from avpipe.manifest import read_manifest
from avpipe.media.facts import media_file
from avpipe.store import Store
from small_builds import settings, write_manifest
from web import Server, serve

Run = Callable[..., Report]
RESOURCES = Path(__file__).parents[1] / "resources"
PATH = "/mirror/violin.mp4"
OVERLAP = 8192


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "web").mkdir()
    shutil.copy(RESOURCES / "urmp_09_vn_crop.mp4", tmp_path / "web" / "violin.mp4")
    with serve(tmp_path / "web") as running:
        yield running


@pytest.fixture
def manifest(tmp_path: Path, server: Server) -> Path:
    return write_manifest(tmp_path / "manifest", server.url("mirror", "{id}.mp4"), ["violin"])


@pytest.fixture
def request_(tmp_path: Path, manifest: Path) -> Request:
    """Only downloads, and leaves second chances to the build."""
    return Request(
        read_manifest(manifest),
        tmp_path / "out",
        settings(download={"retries": 0}),
        until="download",
    )


def parts(out: Path) -> int:
    """Bytes that have arrived of what is not done."""
    return sum(p.stat().st_size for _, at in Store(out / "work").partials() for p in at.iterdir())


@pytest.mark.parametrize("who", ["child", "worker", "driver", "ctrl-c"])
def test_whoever_is_killed_what_has_arrived_is_not_fetched_again(
    tmp_path: Path, manifest: Path, server: Server, who: str
) -> None:
    out = tmp_path / "out"
    (tmp_path / "profile.toml").write_text("[pools]\nnet = 1\ncpu = 1\ngpu = 0\n")
    command = [sys.executable, "-m", "avpipe", "build", str(manifest), "--out", str(out)]
    command += ["--cluster", str(tmp_path / "profile.toml"), "--until", "download"]
    command += ["--set", "download.min_free_bytes=0"]
    server.moods["violin.mp4"] = "stalls"
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while parts(out) < 3 * OVERLAP:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    server.moods["violin.mp4"] = "good"
    if who == "driver":
        process.kill()
    elif who == "ctrl-c":
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)  # and will not wait
    else:
        child = _child(process.pid)
        (child if who == "child" else child.parent() or child).kill()
    _, stderr = process.communicate(timeout=120)
    if who in ("driver", "ctrl-c"):
        assert process.returncode == (-9 if who == "driver" else 1), stderr
        assert parts(out) >= 3 * OVERLAP
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    else:
        assert process.returncode == 0, stderr
    first = int((server.ranges[PATH][-1] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    assert first >= 2 * OVERLAP - 1024
    store = Store(out / "work")
    ((stage, key),) = store.artifacts()
    media = media_file(store.path(stage, key))
    assert media.read_bytes() == (RESOURCES / "urmp_09_vn_crop.mp4").read_bytes()
    assert parts(out) == 0


def _child(driver: int) -> psutil.Process:
    """The process that downloads."""
    for process in psutil.Process(driver).children(recursive=True):
        parent = process.parent()
        if "avpipe.engine.child" in process.cmdline() and "avpipe.engine.child" not in (
            parent.cmdline() if parent else []
        ):
            return process
    raise AssertionError("no child at work")


def test_every_try_of_a_build_goes_on_where_the_one_before_ended(
    request_: Request, run: Run, server: Server
) -> None:
    server.moods["violin.mp4"] = "third"
    run(request_)
    starts = [int(r.split("=")[1][:-1]) for r in server.ranges[PATH] if r]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1]


def test_gc_spares_what_the_next_build_goes_on_from(
    request_: Request, run: Run, server: Server, tmp_path: Path
) -> None:
    server.moods["violin.mp4"] = "whole-third"
    assert [f.failure for f in run(request_).failures] == ["network"]
    arrived = parts(tmp_path / "out")
    assert arrived > OVERLAP
    assert collect(tmp_path / "out").artifacts == ()
    would = collect(tmp_path / "out", downloads=True, dry_run=True)
    assert (would.bytes, [a.split("/")[:2] for a in would.artifacts]) == (
        arrived,
        [["work", "partial"]],
    )
    assert parts(tmp_path / "out") == arrived
    assert collect(tmp_path / "out", downloads=True) == would
    assert parts(tmp_path / "out") == 0


def test_a_failure_for_good_and_a_removal_leave_nothing(
    request_: Request, run: Run, server: Server, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for last in ("410", "removal", "gc"):
        server.moods["violin.mp4"] = "whole-third"
        (failure,) = run(replace(request_, retry_failed=True)).failures
        assert (failure.failure, parts(out) > OVERLAP) == ("network", True)
        if last == "410":
            server.moods["violin.mp4"] = "410"
            assert [f.failure for f in run(request_).failures] == ["removed"]
        elif last == "gc":
            server.moods["violin.mp4"] = "410"
            kept = shutil.copytree(out / "work" / "partial", tmp_path / "kept")
            run(request_)
            shutil.copytree(kept, out / "work" / "partial", dirs_exist_ok=True)
            assert len(collect(out).artifacts) == 1
        else:
            assert absent(out, "violin")[1]
            (row,) = remove(out, ["violin"])
            assert row.bytes > OVERLAP
            assert absent(out, "violin")[1] == []
            (out / "removed.jsonl").unlink()
        assert parts(out) == 0
