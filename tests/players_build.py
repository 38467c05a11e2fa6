"""A small real build of players who are also looked in the face, on a coarse grid of frames."""

import subprocess
from pathlib import Path

from avpipe.build import Request, build
from avpipe.manifest import read_manifest
from avpipe.media import ffmpeg
from small_builds import Silent, profile

RESOURCES = Path(__file__).parent / "resources"
FPS = 5
"""Frames per second: a fifth of what datasets have, for a fifth of the work."""
SECONDS = 4.4
"""Of every recording."""
RATE = 16_384
"""Hz."""
FIELDS = ("audio", "skeleton", "frames", "faces", "mouths", "face_landmarks")
RECORDINGS = {
    "violin-a": ("violin", "train", "urmp_09_vn_crop.mp4", None),
    "violin-b": ("violin", "validation", "urmp_vln1.mp4", None),
    "trumpet-a": ("trumpet", "train", "urmp_09_tpt_crop.mp4", None),
    "trumpet-b": ("trumpet", "validation", "urmp_09_tpt_crop.mp4", "urmp_20_tpt_11025.flac"),
}
"""Id -> category, split, video, other sound than the video's."""

MANIFEST = f"""
name = "players"
title = "Players"
licence = "CC0-1.0"
citation = "Li et al. 2018"
fps = {FPS}
sample_rate = {RATE}
fields = {list(FIELDS)}
recordings = "players.csv"
[segment]
source = "whole"
min_frames = 10
split_silence = false
[video]
preset = "ultrafast"
[frames]
side = 64
[faces]
size = 32
[mouths]
size = 24
"""


def make(folder: Path) -> Path:
    """Builds the recordings, with real detection."""
    mirror = folder / "mirror"
    mirror.mkdir(parents=True)
    rows = ["id,category,split"]
    for name, (category, split, video, sound) in RECORDINGS.items():
        _record(RESOURCES / video, RESOURCES / (sound or video), mirror / f"{name}.mp4")
        rows.append(f"{name},{category},{split}")
    (folder / "players.csv").write_text("\n".join(rows) + "\n")
    (folder / "players.toml").write_text(MANIFEST)
    manifest = read_manifest(folder / "players.toml")
    request = Request(manifest, folder / "out", source=str(mirror), offline=True)
    report = build(request, profile(), Silent())
    assert not report.failures, report.failures
    return folder / "out"


def _record(video: Path, sound: Path, target: Path) -> None:
    inputs = ["-i", str(video), "-i", str(sound)]
    made = ["-map", "0:v:0", "-map", "1:a:0", "-t", str(SECONDS), "-r", str(FPS)]
    command = [str(ffmpeg.executable()), "-v", "error", *inputs, *made, str(target)]
    subprocess.run(command, check=True)
