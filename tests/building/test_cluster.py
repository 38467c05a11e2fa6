"""Workers elsewhere: of a scheduler that runs already, and started by commands."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from avpipe.build import Report, Request, build
from avpipe.engine.profile import Profile, read_profile
from avpipe.errors import UsageError
from avpipe.resources import folder
from plugins import toy
from small_builds import DaskCluster, Silent, profile, settings

Make = Callable[..., Request]
Run = Callable[..., Report]


def test_every_shipped_profile_can_be_read() -> None:
    names = {p.stem for p in folder("workers").glob("*.toml")}
    assert {"local", "gpu", "slurm", "ssh"} <= names
    for name in names:
        assert read_profile(name).pools


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[pool]\nnet = 1", "unknown key 'pool'"),
        ("pools = 3", "pools = 3 must be a table"),
        ("[pools]\nnet = 0", "sizes whole numbers from 1$"),
        ('[pools]\nnet = "auto"', "sizes whole numbers from 1$"),
        ("[pools]\ncpu = 0", 'sizes whole numbers from 1 or "auto"'),
        ("address = 3", "address = 3 must be a text"),
        ('address = "10.0.0.1"', "no address of a Dask scheduler"),
        ("[pools]\ntpu = 1", "pools are net, cpu, gpu"),
        ("[pace]\nspeed = 1", "unknown parameter 'speed'"),
        ("[limits]\nseconds = 'long'", "must be float, not str"),
        ('[launch]\ncpu = ["ssh", "node"]', "with {worker} in one of them"),
        ('[launch]\ncpu = "ssh node {worker}"', "must be the words of a command"),
        ('[launch]\ncpu = ["ssh", "${NODE}", "{worker}"]', "other braces are doubled"),
        ("[pools", "Expected"),
    ],
)
def test_a_wrong_profile_is_refused_with_what_is_allowed(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_profile(str(path))


def test_an_unknown_profile_is_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError, match="neither a file nor a profile; there are gpu, local"):
        read_profile("kubernetes-someday")
    assert read_profile("tcp://10.0.0.1:8786").address == "tcp://10.0.0.1:8786"
    for wrong in ("tcp://10.0.0.1:port", "tcp://:8786", "tcp://10.0.0.1"):
        with pytest.raises(UsageError, match="is no address of a Dask scheduler"):
            read_profile(wrong)


def test_a_scheduler_that_does_not_answer_is_told_in_a_line(tiny: Make) -> None:
    with pytest.raises(UsageError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        build(tiny(), profile("tcp://127.0.0.1:1"), Silent())


def test_a_pool_that_no_worker_offers_is_told_before_anything_starts(
    tiny: Make, tmp_path: Path
) -> None:
    with (
        DaskCluster(tmp_path, cpu=1) as address,
        pytest.raises(UsageError, match=r"no worker offers net; start one with `dask worker tcp"),
    ):
        build(tiny(), profile(address), Silent())


def test_a_scheduler_that_dies_ends_the_build_and_loses_nothing(
    tiny: Make, run: Run, tmp_path: Path
) -> None:
    cluster = DaskCluster(tmp_path, net=1, cpu=1)
    with cluster as address:
        slow = settings(detect=toy.options(guilty_width=64, guilt="slow"))
        request = tiny(settings=slow)

        def kill() -> None:
            while not list((request.out / "work" / "video").glob("*/*")):
                time.sleep(0.05)
            for process in cluster.processes:
                process.send_signal(signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        report = build(request, profile(address), Silent())
        killer.join()
    assert report.stopped == "the connection to the Dask scheduler was lost"
    assert report.transient
    assert run(tiny()).segments == 3


def test_workers_are_started_by_a_command(tiny: Make, tmp_path: Path) -> None:
    launched = replace(
        profile(),
        pools={"net": 1, "cpu": 2, "gpu": 0},
        launch={"cpu": ("sh", "-c", "sleep 3; exec {worker}")},
        host="127.0.0.1",
    )
    observer = Silent()
    report = build(tiny(), launched, observer)
    assert report.segments == 3
    assert "waiting for a worker of the pool cpu" in observer.messages


def test_the_profile_for_slurm_gives_jobs_to_sbatch(
    tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An sbatch that starts the job at once, as the real one does when a node is free."""
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(
        f"""#!/bin/sh
echo "$@" >> {tmp_path}/jobs
for option in "$@"; do
  case "$option" in --wrap=*) sh -c "${{option#--wrap=}}" >/dev/null 2>&1 & ;; esac
done
echo Submitted batch job 1
"""
    )
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}{os.pathsep}{os.environ['PATH']}")
    slurm: Profile = replace(
        read_profile("slurm"), pools={"net": 1, "cpu": 1, "gpu": 0}, host="127.0.0.1"
    )
    report = build(tiny(), slurm, Silent())
    assert report.segments == 3
    jobs = (tmp_path / "jobs").read_text()
    assert jobs.startswith("--job-name=avpipe-cpu-0 --ntasks=1 --cpus-per-task=1")
    deadline = time.monotonic() + 20
    while _jobs() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert _jobs() == []


def _jobs() -> list[list[str]]:
    """Workers that were started by a command and still run."""
    commands = [p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"])]
    return [words for words in commands if words[-2:] == ["--name", "cpu-0"]]


def test_a_command_that_is_not_there_is_told_in_a_line(tiny: Make) -> None:
    launched = replace(profile(), launch={"cpu": ("qsub-nowhere", "{worker}")}, host="127.0.0.1")
    with pytest.raises(Exception, match="qsub-nowhere: No such file"):
        build(tiny(), launched, Silent())
