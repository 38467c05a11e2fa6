"""The ffmpeg program: which one is taken, what it is, and what its ends mean."""

import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts import ODD
from avpipe.errors import RecordingFailed, ToolMissing
from avpipe.media import ffmpeg

VERSION = "ffmpeg version 5.1.6 Copyright (c) 2000-2024\nconfiguration: {flags}\n"


FOUND_ONCE = (ffmpeg.executable, ffmpeg.identity, ffmpeg._version_text)


def forget() -> None:
    for function in FOUND_ONCE:
        function.cache_clear()


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Every test finds ffmpeg anew, and what comes after as well."""
    forget()
    yield
    forget()


def program(folder: Path, script: str) -> Path:
    """An executable `ffmpeg` that is a shell script."""
    folder.mkdir(exist_ok=True)
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def named(folder: Path, flags: str) -> Path:
    text = VERSION.format(flags=flags)
    return program(folder, f"cat <<'END'\n{text}END")


def test_the_one_on_path_is_taken_if_it_has_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = named(tmp_path, "--enable-gpl --enable-libx264 --enable-libsoxr")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert ffmpeg.executable() == own
    assert ffmpeg.identity()["ffmpeg"] == "5.1.6"


@pytest.mark.parametrize("flags", ["--enable-libx264", "--enable-libsoxr", ""])
def test_else_the_wheel_s(flags: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = named(tmp_path, flags)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert ffmpeg.executable() != own


def test_without_either_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(named(tmp_path / "wheel", "")))
    with pytest.raises(ToolMissing, match="pip install imageio-ffmpeg"):
        ffmpeg.executable()


def test_another_build_is_another_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for extra in ("", " --enable-small"):
        named(tmp_path, f"--enable-libx264 --enable-libsoxr{extra}")
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        forget()
        seen.append(ffmpeg.identity())
    assert seen[0]["ffmpeg"] == seen[1]["ffmpeg"]
    assert seen[0]["build"] != seen[1]["build"]


def run(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float = 20) -> None:
    """Runs a command with a program that ends as `script` does."""
    fake = program(tmp_path, script)
    monkeypatch.setattr(ffmpeg, "executable", lambda: fake)
    ffmpeg.run(ffmpeg.output(ODD / "clip.webm", 0, tmp_path / "out.mp4"), seconds)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 228", "disk"),
        ("kill -SEGV $$", "crashed"),
        ("echo 'Invalid data found' >&2; exit 183", "unreadable"),
        ("exit 69", "unreadable"),
    ],
)
def test_every_end_has_its_class(
    script: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RecordingFailed) as caught:
        run(script, tmp_path, monkeypatch)
    assert caught.value.failure == expected
    assert "\n" not in str(caught.value)


def test_it_is_killed_at_its_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    with pytest.raises(RecordingFailed) as caught:
        run("exec sleep 30", tmp_path, monkeypatch, seconds=0.3)
    assert caught.value.failure == "timeout"
    assert time.monotonic() - started < 5


def test_however_much_it_says_only_the_end_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RecordingFailed, match="line 200000"):
        run("seq -f 'line %.0f' 200000 >&2; exit 1", tmp_path, monkeypatch)


def test_commands_read_local_files_only_and_leave_no_traces(tmp_path: Path) -> None:
    command = ffmpeg.output(tmp_path / "-in:put.mp4", 1, tmp_path / "out.wav").compile()
    before = command[: command.index("-i")]
    assert before[before.index("-protocol_whitelist") + 1] == "file"
    assert "hls" not in before[before.index("-format_whitelist") + 1]
    assert command[command.index("-i") + 1] == f"file:{tmp_path}/-in:put.mp4"
    assert command[-1] == f"file:{tmp_path}/out.wav"
    assert command.count("-threads") == 2
    assert "+bitexact" in command
    assert command[command.index("-map_metadata") + 1] == "-1"


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    playlist = tmp_path / "media.mp4"
    target = (ODD / "clip.ts").resolve()
    playlist.write_text(f"#EXTM3U\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n")
    with pytest.raises(RecordingFailed) as caught:
        ffmpeg.run(ffmpeg.output(playlist, 0, tmp_path / "out.mp4"), 20)
    assert caught.value.failure == "unreadable"
