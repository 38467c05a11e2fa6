"""64 downloads at a time, beside as many bare yt-dlp processes at a time.

    python benchmarks/downloads.py [--parallel 64] [--recordings 256] [--rounds 2]

A web server on this machine (the one of the tests) serves as many minutes of a real musician, no
two files alike. In turn, they are fetched by `avpipe build --until download` with a pool of 64,
which also scans every packet, hashes, and waits for the disk, and by yt-dlp, 64 processes at a
time, one a download. The claim: the build reaches at least 0.8 of their rate, from the start of the
first process to the end of the last. Beside it stand 64 processes that share the list, which start
once and do nothing but fetch. Writes benchmarks/results/downloads.json with the machine named; exit
status 1 if the claim does not hold.
"""

import argparse
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from avpipe.media import ffmpeg
from machine import machine, save

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))
import web  # noqa: E402 - found through the path above

AT_LEAST = 0.8
MANIFEST = """
name = "parallel"
title = "Downloads at a time"
licence = "CC0-1.0"
citation = "-"
source = "{address}/good/{{id}}.mp4"
fps = 25
sample_rate = 11025
fields = ["audio"]
recordings = "parallel.csv"
"""


def main() -> None:
    """Fetches the same files in both ways, in turn, and saves how fast they were."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parallel", type=int, default=64)
    parser.add_argument("--recordings", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, web.serve(Path(name) / "files") as server:
        place = Path(name)
        names, size = write_files(place / "files", args.recordings)
        ways: dict[str, Callable[[Path], None]] = {
            "avpipe": lambda out: build(place, out, names, args.parallel, server.address),
            "yt-dlp": lambda out: bare(out, [[n] for n in names], args.parallel, server.address),
            "yt-dlp, lists": lambda out: bare(
                out,
                [names[i :: args.parallel] for i in range(args.parallel)],
                args.parallel,
                server.address,
            ),
        }
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(args.rounds):
            for way, fetch in ways.items():
                runs[way].append(measured(fetch, place / "out"))
                arrived = [p for p in (place / "out").rglob("*.mp4") if p.stat().st_size > size]
                assert len(arrived) == len(names), f"{way}: {len(arrived)} of {len(names)} arrived"
                shutil.rmtree(place / "out")
    best = {way: min(run["seconds"] for run in runs[way]) for way in runs}
    ratios = {way: round(best[way] / best["avpipe"], 3) for way in runs if way != "avpipe"}
    result: dict[str, Any] = {
        "machine": machine("yt-dlp", "distributed"),
        "parallel": args.parallel,
        "recordings": len(names),
        "bytes_each": size,
        "runs": runs,
        "files_per_second": {way: round(len(names) / best[way], 2) for way in best},
        "rate_beside": ratios,
        "claims": {f"at least {AT_LEAST} of the rate of yt-dlp": ratios["yt-dlp"] >= AT_LEAST},
    }
    save("downloads", result)
    sys.exit(not all(result["claims"].values()))


def write_files(folder: Path, count: int) -> tuple[list[str], int]:
    """Fills the folder of the server; returns the names, and the bytes of the smallest file."""
    folder.mkdir()
    source, target = TESTS / "resources" / "urmp_09_vn_crop.mp4", folder / "minute.mp4"
    command = [str(ffmpeg.executable()), "-v", "error", "-stream_loop", "11", "-i", str(source)]
    subprocess.run([*command, "-c", "copy", "-movflags", "+faststart", str(target)], check=True)
    data = target.read_bytes()
    target.unlink()
    names = [f"minute-{i:04}" for i in range(count)]
    for name in names:
        unlike = struct.pack(">I4s", 8 + len(name), b"free") + name.encode()
        (folder / f"{name}.mp4").write_bytes(data + unlike)
    return names, len(data)


def build(place: Path, out: Path, names: list[str], parallel: int, address: str) -> None:
    """A build that only downloads."""
    (place / "parallel.csv").write_text("id,category\n" + "".join(f"{n},violin\n" for n in names))
    (place / "parallel.toml").write_text(MANIFEST.format(address=address))
    (place / "profile.toml").write_text(f"[pools]\nnet = {parallel}\ncpu = 1\ngpu = 0\n")
    command = [sys.executable, "-m", "avpipe", "build", str(place / "parallel.toml"), "--json"]
    command += ["--out", str(out), "--cluster", str(place / "profile.toml"), "--until", "download"]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def bare(out: Path, shares: list[list[str]], parallel: int, address: str) -> None:
    """yt-dlp as its users run it, so many processes at a time, each with its share of the list."""
    out.mkdir()

    def fetch(share: list[str]) -> None:
        command = [sys.executable, "-m", "yt_dlp", "--quiet", "--ignore-config", "--no-warnings"]
        command += ["-o", str(out / "%(id)s.%(ext)s")]
        command += [f"{address}/good/{name}.mp4" for name in share]
        subprocess.run(command, check=True)

    with ThreadPoolExecutor(parallel) as pool:
        list(pool.map(fetch, shares))


def measured(fetch: Callable[[Path], None], out: Path) -> dict[str, float]:
    """Wall and CPU seconds that the processes take."""
    os.sync()
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    fetch(out)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2)}


if __name__ == "__main__":
    main()
