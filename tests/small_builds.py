"""Small builds for tests: manifests, settings, profiles, and Dask as a user starts it."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distributed import Client

from avpipe.engine.pacing import PaceConfig
from avpipe.engine.plan import Status
from avpipe.engine.profile import Profile
from avpipe.limits import TaskLimits
from plugins import toy

FAST = {"preset": "ultrafast", "crf": 30}


class Silent:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.seen: list[tuple[str, Status]] = []

    def begin(self, totals: Mapping[str, int]) -> None:
        pass

    def finished(self, stage: str, status: Status, failure: str | None = None) -> None:
        self.seen.append((stage, status))

    def message(self, text: str) -> None:
        self.messages.append(text)


def write_manifest(folder: Path, source: Path | str, ids: list[str], **tables: Any) -> Path:
    """A manifest of recordings that lie in a folder or on a server."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.csv").write_text("id,category\n" + "".join(f"{i},music\n" for i in ids))
    text = f"""
name = "tiny"
title = "A tiny dataset"
licence = "CC0-1.0"
citation = "Li et al. 2018"
source = "{source}"
fps = 25
sample_rate = 11025
fields = ["audio", "skeleton"]
recordings = "tiny.csv"
[segment]
min_frames = 10
split_silence = false
"""
    (folder / "tiny.toml").write_text(text)
    return folder / "tiny.toml"


def settings(**over: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`--set` for a fast build with the toy detector; `over` adds to the tables of stages."""
    base: dict[str, dict[str, Any]] = {
        "video": dict(FAST),
        "detect": toy.options(),
        "download": {"min_free_bytes": 0},
    }
    for stage, table in over.items():
        base.setdefault(stage, {}).update(table)
    return base


def profile(address: str | None = None, **limits: float) -> Profile:
    """A profile in a hurry."""
    pace = PaceConfig(pause_seconds=0.05, blocked_pause_seconds=0.05)
    return Profile(
        "test",
        address,
        {"net": 1, "cpu": 2, "gpu": 0},
        pace=pace,
        limits=TaskLimits(**{"seconds": 60.0, "memory_gib": 4.0, **limits}),
    )


class DaskCluster:
    """`dask scheduler` and `dask worker` processes, as a user starts them."""

    def __init__(self, folder: Path, **pools: int) -> None:
        self._file, self._pools = folder / "scheduler.json", pools
        self._folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> str:
        self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        for pool, count in self._pools.items():
            for _ in range(count):
                self.add_worker(pool)
        deadline = time.monotonic() + 60
        while not self._file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with Client(scheduler_file=str(self._file), set_as_default=False) as client:
            client.wait_for_workers(sum(self._pools.values()), timeout=60)
            return str(client.scheduler.address)

    def add_worker(self, pool: str) -> subprocess.Popen[bytes]:
        return self.start("worker", "--nthreads", "1", "--resources", f"{pool}=1", "--no-dashboard")

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", f"distributed.cli.dask_{command[0]}", *command[1:]),
                *("--scheduler-file", str(self._file)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            env={**os.environ, "DASK_LOGGING__DISTRIBUTED": "critical"},
        )
        self.processes.append(process)
        return process

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(timeout=30)
