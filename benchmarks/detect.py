"""Frames per second and CPU seconds per frame of keypoint detection, all in one run.

    python benchmarks/detect.py [--clip FILE] [--repeat 3] [--large FILE_720P]

On the CPU, decoding included, in turns: the official solutions Hands + Pose (+ Face Mesh), the
official Holistic (one process; it cannot use a second core), and the detector `mediapipe` with one
thread, with two, and as two processes of one thread. On CUDA, if there is a device: end to end
from a file, and the models alone (frames already in memory).

The claims: `mediapipe` on two cores reaches at least 1.5 of Holistic's frames per second, at no
more CPU seconds per frame. Ratios are of the same run. Writes benchmarks/results/detect.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np

from avpipe import detectors
from avpipe.media import decode_frames
from machine import machine, save

CLIP = Path(__file__).parent.parent / "tests" / "resources" / "urmp_vln1.mp4"
LIMIT = 150
"""Frames of the clip that a run looks at."""


def official(clip: Path, *names: str) -> None:
    """The shortest loop over official solutions by module name."""
    from importlib import import_module

    classes = {"hands": "Hands", "pose": "Pose", "face_mesh": "FaceMesh", "holistic": "Holistic"}
    graphs = [
        getattr(import_module(f"mediapipe.python.solutions.{name}"), classes[name])()
        for name in names
    ]
    for frame in frames(clip):
        for graph in graphs:
            graph.process(frame)


def ours(clip: Path, device: str = "cpu", **options: Any) -> None:
    """The detector `mediapipe`."""
    detectors.create("mediapipe", device, **options).detect(frames(clip))


def frames(clip: Path) -> Any:
    """The first frames of a clip."""
    return (frame for frame, _ in zip(decode_frames(clip), range(LIMIT), strict=False))


RUNS: dict[str, Callable[[Path], None]] = {
    "official hands + pose": lambda clip: official(clip, "hands", "pose"),
    "official hands + pose + face mesh": lambda clip: official(clip, "hands", "pose", "face_mesh"),
    "official holistic": lambda clip: official(clip, "holistic"),
    "mediapipe, 1 thread": lambda clip: ours(clip, threads=1),
    "mediapipe, 2 threads": lambda clip: ours(clip, threads=2),
    "mediapipe with faces, 2 threads": lambda clip: ours(clip, threads=2, faces=True),
    "mediapipe per-frame, 2 threads": lambda clip: ours(clip, threads=2, recipe="per-frame"),
}


def child(name: str, clip: Path) -> None:
    """Runs one of RUNS in this process and prints its seconds, start-up left out."""
    RUNS[name](Path(clip))  # loads everything once
    wall, cpu = time.perf_counter(), time.process_time()
    RUNS[name](Path(clip))
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))


def measure(name: str, clip: Path, processes: int = 1) -> tuple[float, float]:
    """Seconds of wall clock (of the slowest) and of CPU a frame, in so many processes at once."""
    command = [sys.executable, __file__, "--child", name, "--clip", str(clip)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
               for _ in range(processes)]  # fmt: skip
    outputs = [json.loads(process.communicate()[0].splitlines()[-1]) for process in started]
    count = sum(1 for _ in frames(clip))
    wall = max(seconds for seconds, _ in outputs) / count / processes
    return wall, sum(seconds for _, seconds in outputs) / count / processes


def on_cuda(clip: Path) -> dict[str, float]:
    """Frames per second on CUDA: end to end from a file, and with frames in memory."""
    loaded = list(frames(clip))
    result = {}
    for fidelity in ("exact", "fast"):
        detector = detectors.create("mediapipe", "cuda", fidelity=fidelity)
        detector.detect(loaded)
        many = list(chain.from_iterable(repeat(loaded, max(1, 1000 // len(loaded)))))
        started = time.perf_counter()
        detector.detect(many)
        result[f"{fidelity}, frames in memory"] = len(many) / (time.perf_counter() - started)
        started = time.perf_counter()
        detector.detect(frames(clip))
        result[f"{fidelity}, from a file"] = len(loaded) / (time.perf_counter() - started)
    return {name: round(rate, 1) for name, rate in result.items()}


def main() -> None:
    """Runs all, in turns."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--large", type=Path, help="a 720p clip for CUDA; default: the clip")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(given.child, given.clip)
    plan = [(name, 1) for name in RUNS] + [("mediapipe, 1 thread", 2)]
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(given.repeat):
        for name, processes in plan:
            label = name if processes == 1 else f"{name}, {processes} processes"
            found.setdefault(label, []).append(measure(name, given.clip, processes))
    rows = {}
    for label, pairs in found.items():
        wall, cpu = (statistics.median(column) for column in zip(*pairs, strict=True))
        rows[label] = {
            "frames_per_second": round(1 / wall, 1),
            "cpu_milliseconds_per_frame": round(1000 * cpu, 1),
        }
    holistic = rows["official holistic"]
    for row in rows.values():
        ratio = row["frames_per_second"] / holistic["frames_per_second"]
        row["times_holistic"] = round(ratio, 2)
    result: dict[str, Any] = {
        "machine": machine("mediapipe", "ai-edge-litert", "torch", "numpy", "av"),
        "clip": given.clip.name,
        "frames": int(np.sum([1 for _ in frames(given.clip)])),
        "cpu": rows,
    }
    if detectors.pick_device("mediapipe") == "cuda":
        result["cuda"] = on_cuda(given.large or given.clip)
    save("detect", result)
    return None


if __name__ == "__main__":
    main()
