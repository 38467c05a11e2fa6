"""Frames per second, CPU seconds per frame and peak memory of keypoint detection, all in one run.

    python benchmarks/detect.py [--clip FILE] [--repeat 3] [--long 3000]

On the CPU, decoding included, in turns: the official solutions Hands + Pose (+ Face Mesh), the
official Holistic (one process; it cannot use a second core), and the detector `mediapipe` with one
thread, with two, and as two processes of one thread. Rows whose package is not installed are left
out, and the result says so. Then the peak memory of `mediapipe` for ten seconds of video, for
`--long` frames, and for a second of 4K. Where there is a GPU, benchmarks/detect_cuda.py follows.

The claims: `mediapipe` on two cores reaches at least 1.5 of Holistic's frames per second, at no
more CPU seconds per frame. Ratios are of the same run. Writes benchmarks/results/detect.json.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

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


def needed(name: str) -> str:
    """The package without which a row of RUNS cannot run."""
    if find_spec("av") is None:
        return "av"
    return "mediapipe" if name.startswith("official") else "ai_edge_litert"


def peak(count: int, side: int, clip: Path) -> None:
    """Detects so many frames of a clip that starts again and again, enlarged to `side` px if that
    is not 0, and prints the most memory this process ever had, MiB."""
    import cv2

    def pictures() -> Iterator[Any]:
        for frame in islice(chain.from_iterable(decode_frames(clip) for _ in repeat(None)), count):
            yield cv2.resize(frame, (side * 16 // 9, side)) if side else frame

    detectors.create("mediapipe", "cpu", threads=1).detect(pictures())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)


def memory(clip: Path, long: int) -> dict[str, int]:
    """Peak memory of detecting, MiB."""
    result = {}
    for label, count, side in (
        ("250 frames", 250, 0), (f"{long} frames", long, 0), ("25 frames of 4K", 25, 2160)
    ):  # fmt: skip
        command = [sys.executable, __file__, "--clip", str(clip), "--peak", f"{count},{side}"]
        output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        result[label] = int(output.split()[-1])
    return result


def main() -> None:
    """Runs all, in turns."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--long", type=int, default=3000, help="frames whose memory is measured")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(given.child, given.clip)
    if given.peak:
        count, side = map(int, given.peak.split(","))
        return peak(count, side, given.clip)
    plan = [(name, 1) for name in RUNS] + [("mediapipe, 1 thread", 2)]
    left_out = [name for name, _ in plan if find_spec(needed(name)) is None]
    plan = [(name, processes) for name, processes in plan if name not in left_out]
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
    if holistic := rows.get("official holistic"):
        for row in rows.values():
            ratio = row["frames_per_second"] / holistic["frames_per_second"]
            row["times_holistic"] = round(ratio, 2)
    result: dict[str, Any] = {
        "machine": machine("mediapipe", "ai-edge-litert", "torch", "numpy", "av"),
        "clip": given.clip.name,
        "frames_at_most": LIMIT,
        "cpu": rows,
    }
    if left_out:
        result["left_out"] = {name: f"{needed(name)} is not installed" for name in left_out}
    if "mediapipe, 1 thread" not in left_out:
        result["peak_memory_mib"] = memory(given.clip, given.long)
    save("detect", result)
    if detectors.pick_device("mediapipe") == "cuda":
        subprocess.run([sys.executable, Path(__file__).with_name("detect_cuda.py")], check=True)
    return None


if __name__ == "__main__":
    main()
