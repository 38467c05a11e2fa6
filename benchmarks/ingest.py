"""Taking in a local copy of URMP, beside what reads, hashes and copies the same files.

    python benchmarks/ingest.py [--seconds 108] [--pieces 44] [--folder /var/tmp]

A folder as URMP's is made: the 44 pieces by their names, each with its mixture and its players'
tracks as 24-bit WAV at 48 kHz, as long as a piece is in the mean (so long by default), and a video
of that length; no two files are alike. Then, round by round, the stage `download` takes each piece
in and its artifact is published, as a worker does it, once with the mixtures and once with the
videos as source; beside it `cat`, `sha256sum`, and `cp` with `sync`, of the same files. Claims:
nothing is copied or encoded (every file is its source, by inode), and it takes at most twice the
CPU time of `sha256sum`: each byte is read for its digest, those of the mixture once more, and to
see that it is whole. Writes benchmarks/results/ingest.json with the machine named; exit status 1 if
a claim does not hold.
"""

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from avpipe.dag import line
from avpipe.engine.work import Order, perform
from avpipe.limits import TaskLimits
from avpipe.manifest import locate, read_manifest
from avpipe.media import ffmpeg
from machine import machine, save

RESOURCES = Path(__file__).parents[1] / "tests" / "resources"
SOUNDS = ("tpt", "vn", "vc")
RATE = 48_000
ROUNDS = 3
MOST = 2.0
"""CPU time of taking in, in those of `sha256sum`."""
VIDEOS = "urmp/{id}/Vid_{id}.mp4"


def main() -> None:
    """Makes the folder, measures and saves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=108)
    parser.add_argument("--pieces", type=int, default=44)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        root = Path(place)
        write_dataset(root / "urmp", options.pieces, options.seconds)
        sound, video = taken(root / "urmp", "AuMix_"), taken(root / "urmp", "Vid_")
        ways: dict[str, Callable[[], None]] = {
            "mixtures and tracks": lambda: take_in(root, options.pieces, "urmp"),
            "videos and tracks": lambda: take_in(root, options.pieces, VIDEOS),
            "cat": lambda: command("cat", *sound),
            "sha256sum": lambda: command("sha256sum", *sound),
            "cp": lambda: copy(root, sound),
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        linked = set()
        for _ in range(ROUNDS):
            for name, way in ways.items():
                times[name].append(measured(way))
                if name in ("mixtures and tracks", "videos and tracks"):
                    linked.add(all_linked(root / "out", video if "videos" in name else sound))
        size = sum(path.stat().st_size for path in sound)
    middle = {name: middles(found) for name, found in times.items()}
    whole = middle["mixtures and tracks"]
    beside = {
        name: whole[unit] / middle[name][unit]
        for name, unit in (("sha256sum", "cpu_seconds"), ("cp", "seconds"))
    }
    claims = {"every file is its source": linked == {True}, "CPU": beside["sha256sum"] <= MOST}
    save(
        "ingest",
        {
            "machine": machine("soundfile"),
            "pieces": options.pieces,
            "bytes": size,
            "rounds": ROUNDS,
            "medians": middle,
            "megabytes_per_cpu_second": size / whole["cpu_seconds"] / 1e6,
            "beside": beside,
            "claims": claims,
        },
    )
    sys.exit(0 if all(claims.values()) else 1)


def middles(times: list[tuple[float, float]]) -> dict[str, float]:
    """Medians of wall and CPU time."""
    wall, used = zip(*times, strict=True)
    return {"seconds": statistics.median(wall), "cpu_seconds": statistics.median(used)}


def write_dataset(root: Path, pieces: int, seconds: int) -> None:
    """The folders of URMP's pieces; mixtures are the sums of their tracks."""
    tracks = []
    for name in SOUNDS:
        sound, rate = soundfile.read(RESOURCES / f"urmp_20_{name}_11025.flac", dtype="float32")
        times = np.arange(seconds * RATE) / RATE
        # at the other rate, over and over: what counts is the size of the files
        tracks.append(sound[(times * rate).astype(int) % len(sound)] / 8)
    for number, recording in enumerate(read_manifest("urmp").recordings[:pieces]):
        folder = root / recording.id
        folder.mkdir(parents=True)
        title = "_".join(recording.id.split("_")[:2])
        mixture = np.zeros(seconds * RATE, np.float32)
        for part, code in enumerate(recording.extra["instruments"].split(), start=1):
            track = np.roll(tracks[part % len(tracks)], 997 * number + 31 * part)
            mixture += track
            soundfile.write(folder / f"AuSep_{part}_{code}_{title}.wav", track, RATE, "PCM_24")
        soundfile.write(folder / f"AuMix_{recording.id}.wav", mixture, RATE, "PCM_24")
        film(folder / f"Vid_{recording.id}.mp4", folder / f"AuMix_{recording.id}.wav", seconds)


def film(target: Path, sound: Path, seconds: int) -> None:
    """A real player again and again, with the mixture's sound; the picture is not encoded anew."""
    command(
        str(ffmpeg.executable()),
        "-v",
        "error",
        "-stream_loop",
        "-1",
        *("-i", RESOURCES / "urmp_vln1.mp4", "-i", sound, "-map", "0:v", "-map", "1:a"),
        *("-c:v", "copy", "-c:a", "aac", "-t", str(seconds), target),
    )


def taken(root: Path, source: str) -> list[Path]:
    """The files that a build takes in: a mixture or video of each piece, and the tracks."""
    return sorted(p for p in root.rglob("*") if p.name.startswith((source, "AuSep_")))


def take_in(root: Path, pieces: int, source: str) -> None:
    """Runs `download` for every piece and publishes what it makes, in this process."""
    shutil.rmtree(root / "out", ignore_errors=True)
    (root / "out").mkdir()
    definition = read_manifest("urmp")
    node = line(definition, wanted=("audio", "stems"))[0]
    for recording in definition.recordings[:pieces]:
        at = locate(definition, recording, str(root / source))
        order = Order(
            root / "out",
            node.name,
            node.key(recording, definition.name, {}),
            node.identity,
            {},
            replace(recording, url=at),
            node.config,
            {},
            TaskLimits(),
        )
        outcome = perform(order)
        assert outcome.artifact is not None, outcome


def copy(root: Path, files: list[Path]) -> None:
    """A copy of the files, forced to the disk as a published artifact is."""
    target = root / "copy"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    command("cp", *files, target)
    command("sync", "-f", target)


def command(*words: object) -> None:
    """Runs a program; what it prints goes nowhere."""
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)


def measured(way: Callable[[], None]) -> tuple[float, float]:
    """Wall seconds, and CPU seconds of all processes."""
    before, started = cpu(), time.perf_counter()
    way()
    return time.perf_counter() - started, cpu() - before


def cpu() -> float:
    """CPU seconds of this process and of its children that have ended."""
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def all_linked(out: Path, sources: list[Path]) -> bool:
    """Whether the artifacts of `download` hold these very files, and no other media."""
    kept = [p for p in (out / "download").rglob("*") if p.suffix in (".wav", ".mp4")]
    return {p.stat().st_ino for p in kept} == {p.stat().st_ino for p in sources}


if __name__ == "__main__":
    main()
