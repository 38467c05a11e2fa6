"""`avpipe build solos --workers 16` from a mirror on this machine, a tenth of it broken.

    python benchmarks/mirror.py [--recordings 754]

Two seconds of real musicians behind each of the 754 ids, no two files alike; every tenth id is
broken in one of the ways of `BROKEN`. The build runs twice. The claims: both end with exit status
0 and the table that is expected, and the second runs nothing. Writes benchmarks/results/mirror.json
with the machine named; exit status 1 if a claim does not hold.
"""

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from avpipe.manifest import read_manifest
from avpipe.media import ffmpeg
from machine import machine, save

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))
import web  # noqa: E402 - found through the path above

CLIPS = ("urmp_vln1.mp4", "urmp_09_tpt_crop.mp4", "urmp_09_vn_crop.mp4")
TAKES = 24
"""Different pictures and sounds; the files of one take differ in a box that players skip."""

BROKEN = {
    "404": "removed",
    "410": "removed",
    "to-login": "login",
    "apology-as-video": "unreadable",
    "zero": "unreadable",
    "random": "unreadable",
    "no index": "unreadable",
    "cut": "truncated",
    "no video": "no_video",
    "no audio": "no_audio",
}
"""How a file is broken -> the class that its recording fails with."""


def main() -> None:
    """Builds twice and saves what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=int, default=754)
    ids = [r.id for r in read_manifest("solos").recordings][: parser.parse_args().recordings]
    with tempfile.TemporaryDirectory() as place, web.serve(Path(place) / "mirror") as server:
        expected = write_mirror(Path(place), ids, server)
        runs = [build(Path(place), len(ids), server.address) for _ in range(2)]
    found = [{f["id"]: f["class"] for f in run["failures"]} for run in runs]
    ran = [sum(stage["run"] for stage in run["stages"].values()) for run in runs]
    claims = {
        "failures as expected, twice": found == [expected, expected],
        "exit status 0, twice": [run["status"] for run in runs] == [0, 0],
        "the same segments": runs[0]["segments"] == runs[1]["segments"] > 0,
        "the second runs nothing": ran[1] == 0,
    }
    result = {
        "machine": machine("yt-dlp", "distributed", "ai-edge-litert"),
        "recordings": len(ids),
        "failures": dict(Counter(found[0].values())),
        "segments": runs[0]["segments"],
        "tasks": ran,
        "seconds": [run["seconds"] for run in runs],
        "claims": claims,
    }
    save("mirror", result)
    sys.exit(not all(claims.values()))


def write_mirror(place: Path, ids: list[str], server: web.Server) -> dict[str, str]:
    """Fills the mirror; returns id -> expected class of what is broken in it."""
    folder, takes = place / "mirror", place / "takes"
    folder.mkdir()
    takes.mkdir()
    good = [take(takes, number) for number in range(TAKES)]
    parts = {"no video": take(takes, 0, "-vn"), "no audio": take(takes, 0, "-an")}
    expected = {}
    for i, name in enumerate(ids):
        data, way = good[i % TAKES], ""
        if i % 10 == 0:
            way = list(BROKEN)[i // 10 % len(BROKEN)]
            expected[name] = BROKEN[way]
            if way in web.MOODS or way.isdigit():
                server.moods[f"{name}.mp4"] = way
            data = broken(way, parts.get(way, data))
        unlike = struct.pack(">I4s", 8 + len(name), b"free") + name.encode()
        whole = way not in ("zero", "random", "no index", "cut")
        (folder / f"{name}.mp4").write_bytes(data + unlike if whole else data)
    return expected


def take(folder: Path, number: int, *without: str) -> bytes:
    """Two seconds of one of the clips, small, its index in front."""
    target = folder / f"{number}{''.join(without)}.mp4"
    source = TESTS / "resources" / CLIPS[number % len(CLIPS)]
    start = str(0.1 * (number // len(CLIPS)))
    command = [str(ffmpeg.executable()), "-v", "error", "-ss", start, "-t", "2", "-i", str(source)]
    command += ["-vf", "scale=320:-2", "-preset", "ultrafast", "-movflags", "+faststart", *without]
    subprocess.run([*command, "-y", str(target)], check=True)
    return target.read_bytes()


def broken(way: str, data: bytes) -> bytes:
    """What the file holds that is broken that way; the server's moods need nothing of it."""
    if way == "zero":
        return b""
    if way == "random":
        return os.urandom(4096)
    if way == "no index":
        return data[data.index(b"mdat") :]
    return data[: len(data) * 55 // 100] if way == "cut" else data


def build(place: Path, recordings: int, address: str) -> dict[str, Any]:
    """One run of the command; its document, exit status and seconds."""
    command = [sys.executable, "-m", "avpipe", "build", "solos", "--workers", "16", "--json"]
    command += ["--source", f"{address}/mirror/{{id}}.mp4", "--out", str(place / "solos")]
    command += ["--limit", str(recordings), "--set", "segment.min_frames=25"]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    seconds = round(time.perf_counter() - started, 1)
    return {**json.loads(done.stdout), "status": done.returncode, "seconds": seconds}


if __name__ == "__main__":
    main()
