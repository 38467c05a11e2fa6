"""Recordings, detectors and workers that misbehave among good ones."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from avpipe.build import Report, Request, build
from avpipe.engine.profile import Profile
from avpipe.ledger import FILE, Ledger
from avpipe.maintenance import verify
from avpipe.media import ffmpeg
from plugins import toy
from small_builds import Silent, profile, settings, write_manifest

Make = Callable[..., Request]
Run = Callable[..., Report]
GUILTY_WIDTH = 80


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Path:
    """Twenty good recordings, each with bytes of its own, and a guilty one among them."""
    folder = tmp_path_factory.mktemp("crowd")
    for i in range(20):
        data = (clips / "violin.mp4").read_bytes()
        # an mp4 may end with a box of padding: other bytes, the same recording
        (folder / f"good-{i:02}.mp4").write_bytes(data + b"\0\0\0\x09free" + bytes([i]))
    command = [ffmpeg.executable(), "-v", "error", "-i", clips / "trumpet.mp4", "-vf"]
    command += [f"scale={GUILTY_WIDTH}:48", "-preset", "ultrafast", folder / "good-09b.mp4"]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture
def crowded(tmp_path: Path, crowd: Path) -> Callable[..., Request]:
    """A request for the crowd with a detector that cannot stand one of them."""
    from avpipe.manifest import read_manifest

    ids = sorted(p.stem for p in crowd.glob("*.mp4"))
    manifest = write_manifest(tmp_path / "manifest", crowd, ids)

    def make(guilt: str, **options: object) -> Request:
        guilty = toy.options(guilty_width=GUILTY_WIDTH, guilt=guilt)
        chosen = options.pop("settings", settings(detect=guilty))
        return Request(read_manifest(manifest), tmp_path / "out", chosen, **options)  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize(
    ("guilt", "failure", "message", "limits"),
    [
        ("segfault", "crashed", "the process died by SIGSEGV", {}),
        ("hang", "timeout", "detect took longer than 10 s", {"seconds": 10.0}),
        ("memory", "limit", "more than 716 MiB", {"memory_gib": 0.7}),
        ("bug", "crashed", "ValueError: a bug in the detector (in toy.py", {}),
        ("worker", "crashed", "its worker died", {}),
    ],
)
def test_the_guilty_recording_is_quarantined_and_the_innocent_are_unharmed(
    crowded: Callable[..., Request],
    workers: Profile,
    guilt: str,
    failure: str,
    message: str,
    limits: dict[str, float],
) -> None:
    request = crowded(guilt)
    report = build(request, profile(workers.address, **limits), Silent())
    found = [(f.recording, f.stage, f.failure) for f in report.failures]
    assert found == [("good-09b", "detect", failure)]
    assert message in report.failures[0].message
    assert report.segments == 20
    again = build(request, profile(workers.address, **limits), Silent())
    permanent = again.failures[0].permanent
    third = build(request, profile(workers.address, **limits), Silent())
    assert {c.run for c in third.stages.values()} == {0}
    assert permanent
    assert third.failures[0].message.endswith("quarantined after 2 deaths")
    assert verify(request.out).problems == ()
    with Ledger(request.out / FILE) as ledger:
        tries = [a for a in ledger.attempts("good-09b") if a["stage"] == "detect"]
        assert len(tries) == 2
        assert all(len(ledger.attempts(f"good-{i:02}")) <= 6 for i in range(20))


def test_quarantine_ends_with_a_new_version_or_when_asked_to(
    crowded: Callable[..., Request], run: Run
) -> None:
    first = run(crowded("segfault"))
    assert first.failures[0].permanent
    ids = ("good-09b",)
    upgraded = settings(detect=toy.options(weights="healed"))
    assert run(crowded("", ids=ids, settings=upgraded)).failures == []
    retried = run(crowded("segfault", ids=ids, retry_failed=True))
    assert retried.failures[0].permanent
    assert run(crowded("", ids=ids, retry_failed=True)).segments == 21


def test_a_worker_killed_from_outside_costs_one_attempt(tiny: Make, tmp_path: Path) -> None:
    """kill -9 of the only CPU worker while it works; a new one comes."""
    flag = tmp_path / "flag"
    pausing = toy.options(guilty_width=48, guilt=f"pause:{flag}")
    request = tiny(settings=settings(detect=pausing))

    def kill() -> None:
        while not (flag.exists() and flag.read_text()):
            time.sleep(0.05)
        os.kill(int(flag.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    report = build(request, profile(), Silent(), cpu_workers=1)
    killer.join()
    assert (report.failures, report.segments) == ([], 3)
    with Ledger(request.out / FILE) as ledger:
        tries = [a for a in ledger.attempts("second-violin") if a["stage"] == "detect"]
    assert [a["message"] for a in tries] == ["its worker died", None]


def test_nothing_waits_behind_a_recording_that_takes_long(
    clips: Path, tmp_path: Path, importable_plugins: None
) -> None:
    """One of two workers is held until the other one has finished all other recordings: also what
    had been sent to the first."""
    from avpipe.manifest import read_manifest

    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(clips / "second-violin.mp4", source / "05-long.mp4")
    for i in range(10):  # recordings that differ
        command = [ffmpeg.executable(), "-v", "error", "-i", clips / "violin.mp4", "-preset"]
        command += ["ultrafast", "-vf", f"eq=brightness={i / 20}", source / f"{i:02}.mp4"]
        subprocess.run(command, check=True)
    ids = sorted(p.stem for p in source.iterdir())
    flag, out = tmp_path / "flag", tmp_path / "out"
    pausing = toy.options(guilty_width=48, guilt=f"pause:{flag}")
    manifest = read_manifest(write_manifest(tmp_path / "manifest", source, ids))
    alone = threading.Event()

    def let_go() -> None:
        deadline = time.monotonic() + 50
        while not (flag.exists() and flag.read_text()) or _published(out, "segment") < 10:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            alone.set()
        os.kill(int(flag.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=let_go)
    killer.start()
    report = build(
        Request(manifest, out, settings(detect=pausing)), profile(), Silent(), cpu_workers=2
    )
    killer.join()
    assert alone.is_set()
    assert (report.failures, report.segments) == ([], 11)


def _published(out: Path, stage: str) -> int:
    """Artifacts of a stage."""
    return len(list((out / "work" / stage).glob("*/*")))


def test_a_program_that_hangs_or_crashes_is_the_recordings_fault(
    crowd: Path, tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ffmpeg that hangs for one recording and dies for another, as a broken decoder makes it,
    among twenty good ones."""
    from avpipe.manifest import read_manifest

    real, folder, source = ffmpeg.executable(), tmp_path / "bin", tmp_path / "source"
    folder.mkdir()
    shutil.copytree(crowd, source)
    (source / "good-09b.mp4").rename(source / "hangs.mp4")
    shutil.copyfile(clips / "trumpet.mp4", source / "dies.mp4")
    script = folder / "ffmpeg"
    sizes = {n: (source / f"{n}.mp4").stat().st_size for n in ("hangs", "dies")}
    script.write_text(
        f"""#!/bin/sh
for argument in "$@"; do
  case "$argument" in file:*/media.mp4)
    size=$(stat -c %s "${{argument#file:}}")
    [ "$size" = {sizes["hangs"]} ] && exec sleep 600
    [ "$size" = {sizes["dies"]} ] && kill -SEGV $$
  esac
done
exec {real} "$@"
"""
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    video = {"timeout_seconds": 4.0, "crf": 31}
    ids = sorted(path.stem for path in source.glob("*.mp4"))
    manifest = write_manifest(tmp_path / "manifest", source, ids)
    ffmpeg.executable.cache_clear()
    ffmpeg.identity.cache_clear()
    try:
        chosen = settings(video=video, audio={"timeout_seconds": 4.0})
        request = Request(read_manifest(manifest), tmp_path / "out", chosen)
        report = build(request, profile(), Silent())
        again = build(request, profile(), Silent())
    finally:
        ffmpeg.executable.cache_clear()
        ffmpeg.identity.cache_clear()
    assert {(f.recording, f.failure) for f in report.failures} == {
        ("hangs", "timeout"),
        ("dies", "crashed"),
    }
    assert report.segments == 20
    assert all("quarantined" in f.message for f in again.failures if f.failure == "timeout")
    assert all(f.permanent for f in again.failures)
    assert not [
        p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "600"]
    ]


def test_a_full_disk_stops_the_build_and_loses_nothing(tmp_path: Path, clips: Path) -> None:
    """A real full disk: a small one of its own, in a name space of its own."""
    probe = ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs -o size=1m none /mnt"]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a small disk")
    ids = sorted(p.stem for p in clips.glob("*.mp4"))
    manifest = write_manifest(tmp_path / "manifest", clips, ids)
    (tmp_path / "disk").mkdir()
    options = "--set detect.detector=plugins.toy --set detect.options.threshold=0.0"
    command = f"{sys.executable} -m avpipe build {manifest} --out {tmp_path}/disk/out"
    command += f" {options} --set download.min_free_bytes=0 --workers 1"
    script = f"""
mount -t tmpfs -o size=340k none {tmp_path}/disk
{command}; echo "status $?"
mount -o remount,size=20m {tmp_path}/disk
{command} --json; echo "status $?"
"""
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script], capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in done.stdout + done.stderr
    first, second = done.stdout.split("status 1", 1)
    assert "disk" in first + done.stderr
    assert second.rstrip().endswith("status 0")
    assert '"segments": 3' in second
