"""What the stage `detect` costs beside a bare loop over the official MediaPipe solutions.

    python benchmarks/detect_overhead.py [--clip FILE] [--repeat 3] [--minutes 10]

One run times, in turns, (a) the shortest loop one can write: decode, Hands.process, Pose.process,
keep nothing; (b) the stage with `mediapipe-solutions`, files written. The claim: (b) reaches at
least 0.95 of (a)'s frames per second. It then compares the peak memory of detecting a few seconds
and `--minutes` of frames: it must grow by the keypoints only. Writes
benchmarks/results/detect_overhead.json with the machine named.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avpipe import detectors
from avpipe.config import configure
from avpipe.detectors import Frame
from avpipe.media import decode_frames
from avpipe.stages import Job, detect
from avpipe.types import Recording
from machine import machine, save

HERE = Path(__file__).parent
CLIP = HERE.parent / "tests" / "resources" / "urmp_09_vn_crop.mp4"


def bare_loop(clip: Path) -> float:
    """Seconds of the official solutions alone."""
    from mediapipe.python.solutions.hands import Hands
    from mediapipe.python.solutions.pose import Pose

    started = time.perf_counter()
    with Hands() as hands, Pose() as pose:
        for frame in decode_frames(clip):
            hands.process(frame)
            pose.process(frame)
    return time.perf_counter() - started


def stage(clip: Path, frames: int) -> float:
    """Seconds of the stage, its files included."""
    with tempfile.TemporaryDirectory() as folder:
        video, out = Path(folder, "video"), Path(folder, "out")
        video.mkdir()
        out.mkdir()
        (video / "video.mp4").symlink_to(clip.resolve())
        (video / "video.json").write_text(json.dumps({"present": True, "frames": frames}))
        config = configure(detect.Config, {"detector": "mediapipe-solutions"}, "[detect]")
        job = Job(Recording("clip", "violin"), config, {"video": video}, out)
        started = time.perf_counter()
        detect.run(job)
        return time.perf_counter() - started


def peak_mebibytes(frames: int) -> float:
    """Peak memory of a process that detects so many grey frames."""
    command = [sys.executable, __file__, "--grey", str(frames)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def detect_grey(frames: int) -> None:
    """Detects grey frames made on the fly and prints the peak memory of the process in MiB."""

    def grey() -> Iterator[Frame]:
        for _ in range(frames):
            yield np.full((64, 64, 3), 128, np.uint8)

    detectors.create("mediapipe-solutions").detect(grey())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Runs it and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--grey", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.grey:
        return detect_grey(given.grey)
    frames = sum(1 for _ in decode_frames(given.clip))
    pairs = [(bare_loop(given.clip), stage(given.clip, frames)) for _ in range(given.repeat)]
    bare, staged = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    short, long = 250, round(given.minutes * 60 * 25)
    few, many = peak_mebibytes(short), peak_mebibytes(long)
    result = {
        "machine": machine("mediapipe", "av", "numpy"),
        "clip": given.clip.name,
        "frames": frames,
        "bare_loop_frames_per_second": round(frames / bare, 2),
        "detect_frames_per_second": round(frames / staged, 2),
        "ratio": round(bare / staged, 4),
        "peak_mebibytes": {str(short): round(few, 1), str(long): round(many, 1)},
        "bytes_per_further_frame": round((many - few) * 2**20 / (long - short)),
    }
    save("detect_overhead", result)
    if result["ratio"] < 0.95:
        raise SystemExit("the stage is below 0.95 of the bare loop")
    return None


if __name__ == "__main__":
    main()
