"""What the build engine itself costs, and whether it keeps the workers at work.

    python benchmarks/engine.py [--recordings 2000] [--tasks 1000]

Overhead: so many tasks of a stage that does little (`video` of recordings that have none) on one
worker, beside the very same tasks in a loop in one process, which also publish their artifacts.
The difference is what the order to a worker and its child, the outcome and the ledger cost. The
median stands beside the mean, which other work on the machine lengthens.

Busy: a build of synthetic recordings of 2 s from a folder through all stages, with a detector that
costs nothing, on two CPU workers, one NET worker and this process, which all share the machine. A
worker is busy from the moment it hands a task to its child process until it has the outcome, by its
own clock; both are busy where two different ones are. Their share is of the time from the start of
the first CPU task to the end of the last. Beside it stands what this process, driver and scheduler,
takes of the processor for a task. The claims: at most 5 ms a task, at least 0.9 of the time.

Writes benchmarks/results/engine.json with the machine named.
"""

import argparse
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

from machine import machine, save

TESTS = Path(__file__).parents[1] / "tests"
sys.path.append(str(TESTS))
os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])

from avpipe.build import Request, build  # noqa: E402
from avpipe.engine.observer import Unwatched  # noqa: E402
from avpipe.engine.profile import Profile  # noqa: E402
from avpipe.engine.work import Order, perform  # noqa: E402
from avpipe.ledger import FILE, Ledger  # noqa: E402
from avpipe.manifest import read_manifest  # noqa: E402
from avpipe.media import ffmpeg  # noqa: E402
from plugins import toy  # noqa: E402 - found through the path above

MANIFEST = """
name = "bench"
title = "t"
licence = "CC0-1.0"
citation = "c"
source = "{source}"
fps = 25
sample_rate = 11025
fields = ["audio", "skeleton"]
allow_missing = ["audio", "video"]
recordings = "bench.csv"
[segment]
min_frames = 10
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--recordings", type=int, default=2000)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--folder", help="where to build [default: the temporary folder]")
    options = parser.parse_args()
    results: dict[str, Any] = {"machine": machine("dask", "distributed")}
    with tempfile.TemporaryDirectory(prefix="avpipe-engine-", dir=options.folder) as folder:
        results["overhead"] = overhead(Path(folder) / "overhead", options.tasks)
        results["busy"] = busy(Path(folder) / "busy", options.recordings)
    save("engine", results)


def overhead(folder: Path, tasks: int) -> dict[str, Any]:
    """Milliseconds of a task beside the run of its stage."""
    source = folder / "source"
    source.mkdir(parents=True)
    sound = ["-f", "lavfi", "-i", "sine=duration=0.5:sample_rate=11025"]
    subprocess.run([ffmpeg.executable(), "-v", "error", *sound, source / "0.wav"], check=True)
    for i in range(1, tasks):
        # a chunk that no reader knows: other bytes, the same sound
        tail = b"none\x04\0\0\0" + i.to_bytes(4, "little")
        (source / f"{i}.wav").write_bytes((source / "0.wav").read_bytes() + tail)
    request = _request(folder, source, [str(i) for i in range(tasks)])
    profile = Profile("one", pools={"net": 2, "cpu": 1, "gpu": 0})
    build(replace(request, until="download"), profile, Unwatched())
    build(replace(request, until="video"), profile, Unwatched())
    ends = sorted(end for _, end, _ in _log(request.out, "video"))
    first = tasks // 10  # by then the worker has its child, and the child its imports
    apart = [b - a for a, b in pairwise(ends[first:])]
    each, typical = fmean(apart), median(apart)
    with Ledger(request.out / FILE) as ledger:
        current = ledger.current()
    orders = [
        Order(
            root=request.store.root, stage="video", key=f"{i:064x}", identity={}, inputs={},
            recording=recording, config=request.nodes()[1].config,
            artifacts={"download": current[recording.id]["download"][0]}, limits=profile.limits,
        )
        for i, recording in enumerate(request.manifest.recordings)
    ]  # fmt: skip
    started = time.perf_counter()
    for order in orders:
        assert perform(order).artifact is not None
    loop = (time.perf_counter() - started) / tasks
    found = {
        "tasks": tasks,
        "ms_per_task": round(1000 * each, 2),
        "ms_per_task_in_a_loop": round(1000 * loop, 2),
        "ms_overhead": round(1000 * (each - loop), 2),
        "ms_per_task_median": round(1000 * typical, 2),
        "ms_overhead_median": round(1000 * (typical - loop), 2),
        "limit_ms": 5.0,
    }
    print(found)
    return found


def busy(folder: Path, recordings: int) -> dict[str, Any]:
    """Share of the time in which both CPU workers are at work."""
    source = folder / "source"
    source.mkdir(parents=True)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda i: _synthesize(source / f"{i}.mp4", i), range(recordings)))
    request = _request(folder, source, [str(i) for i in range(recordings)])
    profile = Profile("two", pools={"net": 1, "cpu": 2, "gpu": 0})
    started, used = time.perf_counter(), _cpu_seconds()
    report = build(request, profile, Unwatched())
    seconds, used = time.perf_counter() - started, _cpu_seconds() - used
    assert report.segments == recordings, report
    log = [row for row in _log(request.out) if row[2].startswith("cpu")]
    span = max(end for _, end, _ in log) - min(start for start, _, _ in log)
    found = {
        "recordings": recordings,
        "tasks": len(log),
        "seconds": round(seconds, 1),
        "recordings_per_second": round(recordings / seconds, 2),
        "driver_cpu_ms_per_task": round(1000 * used / len(log), 2),
        "both_busy": round(_both(log) / span, 3),
        "limit": 0.9,
    }
    print(found)
    return found


def _synthesize(target: Path, number: int) -> None:
    """Two seconds of test pattern and tone, other ones for every number."""
    pictures = f"testsrc2=duration=2:size=160x120:rate=30,hue=h={number}/7"
    sound = f"sine=duration=2:sample_rate=44100:frequency={200 + number}"
    command = [str(ffmpeg.executable()), "-v", "error", "-f", "lavfi", "-i", pictures]
    command += ["-f", "lavfi", "-i", sound, "-preset", "ultrafast", "-threads", "1", str(target)]
    subprocess.run(command, check=True)


def _cpu_seconds() -> float:
    """What this process has used of the processor."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _both(log: list[tuple[float, float, str]]) -> float:
    """Seconds in which two different workers are busy."""
    changes = sorted(
        (when, by, worker) for start, end, worker in log for when, by in ((start, 1), (end, -1))
    )
    total, running, last = 0.0, defaultdict[str, int](int), 0.0
    for when, by, worker in changes:
        if sum(n > 0 for n in running.values()) >= 2:
            total += when - last
        running[worker] += by
        last = when
    return total


def _log(out: Path, stage: str = "%") -> list[tuple[float, float, str]]:
    """(start, end, worker) of every attempt, in seconds."""
    with sqlite3.connect(out / FILE) as db:
        rows = db.execute(
            "SELECT time - seconds, time, worker FROM attempt WHERE stage LIKE ?", (stage,)
        )
        return list(rows)


def _request(folder: Path, source: Path, ids: list[str]) -> Request:
    (folder / "bench.toml").write_text(MANIFEST.format(source=source))
    (folder / "bench.csv").write_text("id,category\n" + "".join(f"{i},music\n" for i in ids))
    settings = {
        "video": {"preset": "ultrafast"},
        "detect": toy.options(),
        "download": {"min_free_bytes": 0},
    }
    return Request(read_manifest(folder / "bench.toml"), folder / "out", settings)


if __name__ == "__main__":
    main()
