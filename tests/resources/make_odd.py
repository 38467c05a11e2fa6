"""Makes `odd/`: the files that a time grid and a scan have to cope with, each from two seconds of
a violinist (`urmp_09_vn_crop.mp4`, 25 fps, 44.1 kHz), small.

    PYTHONPATH=pipeline python tests/resources/make_odd.py

The files in the repository were made with ffmpeg n9.0.2; another build gives other bytes and the
same facts, which `tests/media/test_scan.py` states.
"""

import subprocess
from pathlib import Path
from random import Random

from avpipe.media import ffmpeg

HERE = Path(__file__).parent
SOURCE = HERE / "urmp_09_vn_crop.mp4"
OUT = HERE / "odd"
SMALL = "-vf scale=160:136 -crf 36"
"""Of a picture; the sound is 32 kbit/s."""

RECIPES = {
    # Streams that are not there, or not alone.
    "audio_only.m4a": "-i {source} -t 2 -vn",
    "video_only.mp4": "-i {source} -t 2 -an {small}",
    "silent_audio.mp4": "-i {source} -t 2 {small} -af volume=0",
    "two_audio_tracks.mkv": "-f lavfi -t 2 -i anullsrc=r=8000:cl=mono -i {source} -t 2"
    " -map 1:v -map 0:a -map 1:a {small} -c:a aac",
    "cover_art.mp3": "-i {source} -f lavfi -t 0.04 -i testsrc2=s=64x64 -map 0:a -map 1:v -t 2"
    " -c:a libmp3lame -c:v mjpeg -disposition:v attached_pic",
    # Sound and pictures that do not begin or end together.
    "audio_shorter.mp4": "-t 1 -i {source} -i {source} -map 1:v -map 0:a {small} -t 2",
    "audio_late.mp4": "-t 2 -i {source} -itsoffset 0.7 -t 1 -i {source} -map 0:v -map 1:a {small}",
    "audio_early.mkv": "-itsoffset 0.5 -t 1.5 -i {source} -t 2 -i {source} -map 0:v -map 1:a"
    " {small} -c:a aac",
    "edit_list.mp4": "-ss 0.52 -i {step}video_and_audio.mp4 -c copy",
    # Rates, sizes, orientation.
    "vfr.mp4": "-i {source} -t 2 -vf select=not(eq(mod(n\\,7)\\,2)+eq(mod(n\\,5)\\,1)),"
    "scale=160:136 -fps_mode vfr -crf 36",
    "fps_1.mp4": "-i {source} -t 2 {small} -r 1",
    "fps_2.mp4": "-i {source} -t 2 {small} -r 2",
    "fps_29.97.mp4": "-i {source} -t 2 {small} -r 30000/1001",
    "fps_60.mp4": "-i {source} -t 2 {small} -r 60",
    "rotated_90.mp4": "-display_rotation 90 -i {step}video_and_audio.mp4 -c copy",
    "odd_size_10bit_444.mp4": "-i {source} -t 2 -vf scale=161:137,format=yuv444p10 -crf 36",
    "surround_96k.mkv": "-i {source} -t 2 {small} -c:a aac -ar 96000"
    " -af pan=5.1|FL=c0|FR=c1|FC=c0|BL=c1",
    # Containers and codecs.
    "clip.webm": "-i {source} -t 2 -vf scale=160:136 -c:v libvpx-vp9 -crf 50 -b:v 0 -c:a libopus",
    "clip.avi": "-i {source} -t 2 -vf scale=160:136 -c:v mpeg4 -q:v 12 -c:a libmp3lame",
    "clip.ts": "-i {source} -t 2 {small} -c:v libx264 -c:a aac",
    "clip.flv": "-i {source} -t 2 -vf scale=160:136 -c:v flv -q:v 12 -c:a libmp3lame",
    "clip.wmv": "-i {source} -t 2 -vf scale=160:136 -c:v wmv2 -q:v 12 -c:a wmav2",
    "clip.3gp": "-i {source} -t 2 -vf scale=176:144 -c:v h263 -q:v 12 -ar 8000 -ac 1",
    # A name that looks like an option, with blanks and letters beyond ASCII.
    "-näme with späces №1.mp4": "-i {source} -t 2 {small}",
}


def main() -> None:
    """Writes every file of `odd/` again."""
    OUT.mkdir(exist_ok=True)
    step = HERE / "step-"
    whole = _make("-i {source} -t 2 {small}", Path(f"{step}video_and_audio.mp4"), step)
    last = _make("-i {source} -t 4 {small}", Path(f"{step}long.mp4"), step)
    first = _make(f"-i {last} -c copy -movflags +faststart", Path(f"{step}first.mp4"), step)
    for name, recipe in RECIPES.items():
        _make(recipe, OUT / name, step)
    _cut(first, OUT / "truncated_index_first.mp4", 0.55)
    _cut(last, OUT / "truncated_index_last.mp4", 0.55)
    _cut(OUT / "clip.webm", OUT / "truncated.webm", 0.5)
    sizes = [
        _make(f"-i {{source}} -t 1 -r {rate} -vf scale={size} -crf 36", Path(name), step)
        for rate in (25, 30)
        for size in ("160:136", "240:204")
        if (name := f"{step}{rate}-{size[:3]}.mp4")
    ]
    _join(sizes[:2], OUT / "size_changes_25.mkv", step)
    _join(sizes[2:], OUT / "size_changes_30.mkv", step)
    (OUT / "zero_bytes.mp4").write_bytes(b"")
    (OUT / "random_bytes.mp4").write_bytes(Random(0).randbytes(4096))
    (OUT / "html_error_page.mp4").write_text(
        "<!DOCTYPE html><html><body><h1>Service unavailable</h1></body></html>\n"
    )
    for path in (whole, last, first, *sizes):
        path.unlink()


def _make(recipe: str, target: Path, step: Path) -> Path:
    words = [
        word.format(source=SOURCE, step=step) for word in recipe.replace("{small}", SMALL).split()
    ]
    quiet = ["-nostdin", "-loglevel", "error", "-y"]
    fixed = ["-threads", "1", "-fflags", "+bitexact", "-flags", "+bitexact", "-b:a", "32k"]
    subprocess.run([str(ffmpeg.executable()), *quiet, *words, *fixed, f"file:{target}"], check=True)
    return target


def _join(parts: list[Path], target: Path, step: Path) -> None:
    playlist = Path(f"{step}parts.txt")
    playlist.write_text("".join(f"file {part.resolve()}\n" for part in parts))
    _make(f"-f concat -safe 0 -i {playlist} -c copy", target, step)
    playlist.unlink()


def _cut(source: Path, target: Path, share: float) -> None:
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])


if __name__ == "__main__":
    main()
