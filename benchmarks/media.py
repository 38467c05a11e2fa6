"""How long the stages video and audio take, beside the one ffmpeg command that makes both files,
and how much memory scanning, converting and decoding take in 10 s and in 10 min.

    python benchmarks/media.py [--rounds 5]

Claims: at most 1.25 times the command (aim 1.15), both producing the same frames and samples; and
memory that does not grow with the length. The clip is a real one repeated. Writes
benchmarks/results/media.json with the machine named.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from avpipe.media import Scan, decode_frames, ffmpeg, scan
from avpipe.stages import Job, audio, load, video
from avpipe.timegrid import sample_count
from avpipe.types import Recording
from machine import machine, save

CLIP = Path(__file__).parents[1] / "tests" / "resources" / "urmp_vln1.mp4"
"""Ten seconds, 448x724 at 29.97 fps, 48 kHz stereo: nothing of it can be copied."""
TIMED_REPEATS = 7
MEMORY_REPEATS = {"10 s": 1, "10 min": 60}


def repeated(times: int, folder: Path) -> Path:
    """The artifact of `download` of the clip, repeated without encoding it again."""
    folder.mkdir()
    target = folder / f"media{CLIP.suffix}"
    loop = ["-stream_loop", str(times - 1), "-i", str(CLIP), "-c", "copy", str(target)]
    subprocess.run([str(ffmpeg.executable()), "-nostdin", "-v", "error", *loop], check=True)
    scan(target).write(folder)
    return folder


def run_stage(name: str, download: Path, out: Path) -> dict[str, Any]:
    """Runs one stage with its default parameters."""
    stage = load(name)
    out.mkdir(parents=True)
    job = Job(Recording("clip", "violin"), stage.Config(), {"download": download}, out)
    return stage.run(job)


def run_stages(download: Path, out: Path) -> None:
    """Runs the two stages one after the other, as a worker does."""
    for name in ("video", "audio"):
        run_stage(name, download, out / name)


def run_command(download: Path, out: Path) -> None:
    """Runs the one command, which need not look at the file before nor at its results."""
    out.mkdir()
    facts = Scan.read(download)
    assert facts.video is not None
    assert facts.audio is not None
    frames = facts.frames(25)
    pictures, sound = video.Config(), audio.Config()
    samples = sample_count(frames, pictures.fps, sound.sample_rate)
    exact = ["-threads", "1", "-fflags", "+bitexact", "-flags", "+bitexact", "-map_metadata", "-1"]
    command = [str(ffmpeg.executable()), "-nostdin", "-v", "error", "-threads", "1"]
    command += ["-i", str(download / f"media{CLIP.suffix}"), "-map", f"0:{facts.video.index}"]
    command += ["-vf", video.GRAPH.format(fps=25, frames=frames), "-c:v", "libx264"]
    command += ["-crf", str(pictures.crf), "-preset", pictures.preset, *exact]
    command += [str(out / "video.mp4"), "-map", f"0:{facts.audio.index}"]
    command += ["-af", audio.GRAPH.format(sample_rate=sound.sample_rate, samples=samples)]
    command += ["-c:a", "pcm_s16le", *exact, str(out / "audio.wav")]
    subprocess.run(command, check=True)


def timed(work: Callable[[Path, Path], None], download: Path, out: Path) -> tuple[float, float]:
    """Wall-clock seconds, and processor seconds of this process and its children."""
    started, used = time.perf_counter(), processor_seconds()
    work(download, out)
    return time.perf_counter() - started, processor_seconds() - used


def processor_seconds() -> float:
    """Processor time used so far, of this process and of children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def speed(rounds: int, folder: Path) -> dict[str, Any]:
    """The two side by side, in turns."""
    download = repeated(TIMED_REPEATS, folder / "timed")
    stages, command = [], []
    for number in range(rounds + 1):
        stages.append(timed(run_stages, download, folder / f"stages{number}"))
        command.append(timed(run_command, download, folder / f"command{number}"))
    same = all(
        (folder / "stages0" / stage / name).read_bytes()
        == (folder / "command0" / name).read_bytes()
        for stage, name in (("video", "video.mp4"), ("audio", "audio.wav"))
    )
    return {
        "clip_seconds": Scan.read(download).end_seconds,
        "rounds": rounds,
        "limit": 1.25,
        "same_bytes": same,
        # The first round warms the file cache.
        "wall": compared([w for w, _ in stages[1:]], [w for w, _ in command[1:]]),
        "processor": compared([p for _, p in stages[1:]], [p for _, p in command[1:]]),
    }


def compared(stages: list[float], command: list[float]) -> dict[str, float]:
    """Medians and the fastest in seconds; ratios of the rounds, and of the two fastest runs.

    On a machine that is busy with other things the fastest runs are those it disturbed least.
    """
    ratios = [a / b for a, b in zip(stages, command, strict=True)]
    return {
        "stages_seconds": round(statistics.median(stages), 3),
        "command_seconds": round(statistics.median(command), 3),
        "stages_fastest_seconds": round(min(stages), 3),
        "command_fastest_seconds": round(min(command), 3),
        "ratio_of_fastest": round(min(stages) / min(command), 3),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_least": round(min(ratios), 3),
        "ratio_most": round(max(ratios), 3),
    }


def memory(folder: Path) -> dict[str, dict[str, float]]:
    """Peak resident MiB of each work, its ffmpeg included, by length of the clip."""
    peaks: dict[str, dict[str, float]] = {name: {} for name in WORKS}
    for length, times in MEMORY_REPEATS.items():
        download = repeated(times, folder / length)
        for name in WORKS:
            command = [sys.executable, __file__, "--measure", name, str(download)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            peaks[name][length] = float(done.stdout)
    return peaks


def measure(name: str, download: Path) -> None:
    """Does one work in this process and prints the peak of it and its children, in MiB."""
    peaks = [0]
    done = threading.Event()
    watcher = threading.Thread(target=watch, args=(peaks, done))
    watcher.start()
    with tempfile.TemporaryDirectory() as out:
        WORKS[name](download, Path(out) / "out")
    done.set()
    watcher.join()
    print(round(max(peaks) / 1024, 1))


def watch(peaks: list[int], done: threading.Event) -> None:
    """Notes the largest resident size that this process or a child of it has had, in KiB."""
    own = psutil.Process()
    while not done.wait(0.02):
        for process in (own, *own.children(recursive=True)):
            with suppress(FileNotFoundError, ProcessLookupError):
                status = Path(f"/proc/{process.pid}/status").read_text()
                found = re.search(r"VmHWM:\s+(\d+) kB", status)
                peaks.append(int(found[1]) if found else 0)
                peaks[:] = [max(peaks)]


def decode(download: Path, out: Path) -> None:
    """Goes through all frames and keeps none."""
    for _ in decode_frames(download / f"media{CLIP.suffix}"):
        pass


WORKS: dict[str, Callable[[Path, Path], object]] = {
    "scan": lambda download, out: scan(download / f"media{CLIP.suffix}"),
    "video": lambda download, out: run_stage("video", download, out),
    "audio": lambda download, out: run_stage("audio", download, out),
    "decode": decode,
}


def main() -> None:
    """Measures and saves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", nargs=2, metavar=("WORK", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure[0], Path(arguments.measure[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        result = {"speed": speed(arguments.rounds, Path(name))}
        result["peak_mebibytes"] = memory(Path(name))
    save(
        "media", {"machine": machine("av"), "ffmpeg": ffmpeg.identity(), "clip": CLIP.name} | result
    )


if __name__ == "__main__":
    main()
