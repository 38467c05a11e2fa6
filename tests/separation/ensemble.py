"""Small real builds: players and singers on a coarse grid of frames, from looped real clips."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from avpipe.build import Request, build
from avpipe.manifest import read_manifest
from avpipe.media import ffmpeg
from small_builds import Silent, profile

RESOURCES = Path(__file__).parents[1] / "resources"
FPS = 5
"""Frames per second: a fifth of what datasets have, for a fifth of the work."""
CLIPS = {
    "violin-a": ("violin", "train", "urmp_09_vn_crop.mp4", None),
    "violin-b": ("violin", "validation", "urmp_vln1.mp4", None),
    "trumpet-a": ("trumpet", "train", "urmp_09_tpt_crop.mp4", None),
    "trumpet-b": ("trumpet", "validation", "urmp_09_tpt_crop.mp4", "urmp_20_tpt_11025.flac"),
}
"""Id -> category, split, video, other sound than the video's."""

MANIFEST = """
name = "{name}"
title = "{name}"
licence = "CC0-1.0"
citation = "Li et al. 2018"
fps = {fps}
sample_rate = {rate}
fields = [{fields}]
recordings = "{name}.csv"
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


def make(folder: Path, name: str, fields: Sequence[str], rate: int, seconds: float) -> Path:
    """Builds the clips, each looped to a length, with real detection."""
    mirror = folder / "mirror"
    mirror.mkdir(parents=True)
    rows = ["id,category,split"]
    for clip, (category, split, video, sound) in CLIPS.items():
        _loop(RESOURCES / video, RESOURCES / (sound or video), seconds, mirror / f"{clip}.mp4")
        rows.append(f"{clip},{category},{split}")
    return _build(folder, name, fields, rate, rows)


def make_sound(folder: Path, name: str, rate: int) -> Path:
    """Builds real melodies, sound alone."""
    mirror = folder / "mirror"
    mirror.mkdir(parents=True)
    rows = ["id,category,split"]
    for path in sorted((RESOURCES / "notes").glob("*.flac")):
        (mirror / path.name).symlink_to(path)
        split = "train" if path.stem.endswith("01") else "validation"
        rows.append(f"{path.stem},{path.stem.split('_')[0]},{split}")
    return _build(folder, name, ["audio"], rate, rows)


def _build(folder: Path, name: str, fields: Sequence[str], rate: int, rows: list[str]) -> Path:
    (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    quoted = ", ".join(f'"{field}"' for field in fields)
    text = MANIFEST.format(name=name, fps=FPS, rate=rate, fields=quoted)
    if fields == ["audio"]:
        text = text.replace("[segment]", 'allow_missing = ["video"]\n[segment]')
    (folder / f"{name}.toml").write_text(text)
    manifest = read_manifest(folder / f"{name}.toml")
    request = Request(manifest, folder / "out", source=str(folder / "mirror"), offline=True)
    report = build(request, profile(), Silent())
    assert not report.failures, report.failures
    return folder / "out"


def _loop(video: Path, sound: Path, seconds: float, target: Path) -> None:
    inputs = [str(part) for path in (video, sound) for part in ("-stream_loop", "-1", "-i", path)]
    made = ["-map", "0:v:0", "-map", "1:a:0", "-t", str(seconds), "-r", str(FPS), "-ar", "22050"]
    command = [str(ffmpeg.executable()), "-v", "error", *inputs, *made, str(target)]
    subprocess.run(command, check=True)
