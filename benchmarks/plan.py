"""What it costs to find out that nothing is to be done.

    python benchmarks/plan.py [--recordings 10000 100000]

Makes a dataset that is up to date: a manifest, every artifact of every stage (folders with data of
10 frames), the ledger, and the shards, in which one recording of ten has a segment. Then it runs
`avpipe plan` and `avpipe build` on it as commands and measures seconds (of the clock, and of the
processor, which others on the machine do not lengthen) and peak memory of the process, all of it:
start, manifest, plan, report.

The claim: 10,000 recordings in at most 3 s and 200 MB, 100,000 in at most 15 s and 1 GB, for both.
Writes benchmarks/results/plan.json with the machine named.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from avpipe.build import Request
from avpipe.build import build as run_build
from avpipe.engine.observer import Unwatched
from avpipe.engine.profile import read_profile
from avpipe.keypoints import files, topology
from avpipe.ledger import FILE, Ledger
from avpipe.manifest import read_manifest
from avpipe.store import Artifact, sha256_text
from avpipe.timegrid import sample_count
from avpipe.types import Keypoints
from machine import machine, save

FRAMES = 10
CLAIMS = {10_000: (3.0, 200.0), 100_000: (15.0, 1000.0)}
"""Recordings -> seconds, MB."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--recordings", type=int, nargs="+", default=list(CLAIMS))
    parser.add_argument("--folder", help="where to make the datasets [default: the temporary one]")
    options = parser.parse_args()
    results = []
    for recordings in options.recordings:
        with tempfile.TemporaryDirectory(prefix="avpipe-plan-", dir=options.folder) as folder:
            started = time.perf_counter()
            manifest = prepare(Path(folder), recordings)
            print(f"{recordings:,} recordings prepared in {time.perf_counter() - started:.0f} s")
            for command in ("plan", "build"):
                results.append(measure(command, Path(folder), manifest, recordings))
    save("plan", {"machine": machine(), "results": results})


def measure(command: str, folder: Path, manifest: Path, recordings: int) -> dict[str, Any]:
    """Seconds and peak memory of one command; it must find nothing to do."""
    words = [sys.executable, "-m", "avpipe", command, str(manifest), "--out", str(folder / "out")]
    done = subprocess.run(
        [sys.executable, "-c", _METER, *words, "--json"], capture_output=True, text=True, check=True
    )
    report, meter = json.loads(done.stdout), json.loads(done.stderr.splitlines()[-1])
    assert all(s["run"] == s["maybe"] == s["failed"] == 0 for s in report["stages"].values())
    assert report["stages"]["interpolate"]["reuse"] == recordings
    limit = CLAIMS.get(recordings, (None, None))
    found = {
        "command": command,
        "recordings": recordings,
        "seconds": round(meter["seconds"], 2),
        "cpu_seconds": round(meter["cpu_seconds"], 2),
        "limit_seconds": limit[0],
        "peak_mb": round(meter["kilobytes"] * 1024 / 1e6, 1),
        "limit_mb": limit[1],
    }
    print(found)
    return found


_METER = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
subprocess.run(sys.argv[1:], check=True)
seconds = time.perf_counter() - started
used = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = used.ru_utime + used.ru_stime
found = {"seconds": seconds, "cpu_seconds": cpu, "kilobytes": used.ru_maxrss}
print(json.dumps(found), file=sys.stderr)
"""
"""A small process that starts the command: a child's peak begins with its parent's size."""


def prepare(folder: Path, recordings: int) -> Path:
    """A dataset that has been built; returns its manifest."""
    manifest = folder / "bench.toml"
    rows = "".join(f"recording-{i:07},music\n" for i in range(recordings))
    (folder / "bench.csv").write_text(f"id,category\n{rows}")
    manifest.write_text(
        'name = "bench"\ntitle = "t"\nlicence = "CC0-1.0"\ncitation = "c"\n'
        'source = "http://127.0.0.1:9/{id}.mp4"\nfps = 25\nsample_rate = 11025\n'
        'fields = ["audio", "skeleton"]\nrecordings = "bench.csv"\n'
    )
    data = {stage: _data(folder / "data" / stage, stage) for stage in _WRITERS}
    request = Request(read_manifest(manifest), folder / "out")
    nodes = request.nodes()
    with Ledger(request.out / FILE, write=True) as ledger:
        for number, recording in enumerate(request.manifest.recordings):
            digests: dict[str, str] = {}
            for node in nodes:
                kind = "silent" if node.name == "segment" and number % 10 else node.name
                key = node.key(recording, "bench", digests)
                digests[node.name] = sha256_text(f"{node.name} {recording.id}")
                _place(request.store.path(node.name, key), data[kind])
                artifact = Artifact(node.name, key, digests[node.name], 1000)
                ledger.done(artifact, node.identity, digests, {"recording": recording.id})
                ledger.reached(recording.id, node.name, key, digests[node.name])
    run_build(request, read_profile(None), Unwatched())
    return manifest


def _place(path: Path, data: Path) -> None:
    path.mkdir(parents=True)
    for file in data.iterdir():
        (path / file.name).symlink_to(file)


def _data(folder: Path, stage: str) -> Path:
    folder.mkdir(parents=True)
    _WRITERS[stage](folder)
    return folder


def _write_audio(folder: Path) -> None:
    samples = np.zeros(sample_count(FRAMES, 25, 11025), np.int16)
    soundfile.write(folder / "audio.wav", samples, 11025, subtype="PCM_16")
    facts = {"present": True, "frames": FRAMES, "samples": len(samples), "sample_rate": 11025}
    (folder / "audio.json").write_text(json.dumps(facts))


def _write_keypoints(folder: Path) -> None:
    k = topology("openpose67")
    shape = (FRAMES, len(k))
    keypoints = Keypoints(
        np.zeros((*shape, 2), np.float32), np.ones(shape, np.float32), k, np.zeros(shape, np.bool_)
    )
    files.save(folder, "skeleton", keypoints)
    files.write_summary(folder / "interpolate.json", FRAMES, {"skeleton": keypoints})


def _write_segments(folder: Path) -> None:
    text = json.dumps({"frames": FRAMES, "segments": [[0, FRAMES]], "reason": None})
    (folder / "segments.json").write_text(text)


def _write_silence(folder: Path) -> None:
    text = json.dumps({"frames": FRAMES, "segments": [], "reason": "silent"})
    (folder / "segments.json").write_text(text)


def _write_nothing(folder: Path) -> None:
    """Stages whose data no shard is packed from."""


_WRITERS = {
    "download": _write_nothing,
    "video": _write_nothing,
    "audio": _write_audio,
    "detect": _write_nothing,
    "segment": _write_segments,
    "silent": _write_silence,
    "interpolate": _write_keypoints,
}


if __name__ == "__main__":
    main()
