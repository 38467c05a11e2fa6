"""The ffmpeg program: which one, what it is, and how it is run.

Commands are composed with ffmpeg-python and run here, never through a shell: input from the
command's own files only, output captured, a limit on time. Its threads are fixed and its flags
bit-exact, so that the bytes do not depend on the machine's cores.
"""

import hashlib
import shutil
import subprocess
import threading
from collections import deque
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from avpipe.errors import FailureClass, RecordingFailed, ToolMissing
from avpipe.media import source

_NEEDED = ("--enable-libx264", "--enable-libsoxr")
_QUIET = ("-nostdin", "-hide_banner", "-loglevel", "error")
_ONE_THREAD = ("-filter_threads", "1", "-filter_complex_threads", "1")
_REPEATABLE = {
    "threads": 1,
    "map_metadata": -1,
    "map_chapters": -1,
    "fflags": "+bitexact",
    "flags": "+bitexact",
}
_MAX_ERROR_RATE = ("-max_error_rate", "0.1")
"""Above this share of undecodable packets the input is broken, not scratched."""
_TOO_MANY_ERRORS = 69
"""Exit status for it."""
_KEPT_LINES = 20


@cache
def executable() -> Path:
    """PATH's ffmpeg if it has libx264 and soxr, else the one of the imageio-ffmpeg wheel.

    Raises:
        ToolMissing: neither has both.
    """
    import imageio_ffmpeg

    candidates = [shutil.which("ffmpeg")]
    with suppress(RuntimeError):  # a wheel without a binary for this platform
        candidates.append(imageio_ffmpeg.get_ffmpeg_exe())
    for candidate in candidates:
        if candidate and all(flag in _version_text(candidate) for flag in _NEEDED):
            return Path(candidate)
    raise ToolMissing(
        "no ffmpeg with libx264 and soxr: pip install imageio-ffmpeg, or put one on PATH"
    )


@cache
def identity() -> dict[str, str]:
    """Version of the ffmpeg in use, and a digest of its build (configuration and libraries)."""
    text = _version_text(str(executable()))
    return {
        "ffmpeg": text.split()[2],
        "build": hashlib.sha256(text.encode()).hexdigest()[:16],
    }


@cache
def _version_text(program: str) -> str:
    try:
        done = subprocess.run([program, "-version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace")


def output(
    media: Path,
    stream: int,
    target: Path,
    decoding: Any = None,
    **encoding: object,
) -> Any:
    """A command, as an ffmpeg-python node, that makes `target` of one stream of `media`.

    One decoding and one encoding thread, no metadata, bit-exact flags.

    Args:
        media: input file; nothing it refers to is followed.
        stream: index of the stream in it.
        target: output file.
        decoding: mapping of further input options.
        encoding: further output options.
    """
    import ffmpeg

    opened = ffmpeg.input(source.address(media), threads=1, **source.OPTIONS, **(decoding or {}))
    return opened[str(stream)].output(source.address(target), **_REPEATABLE, **encoding)


def run(command: Any, timeout_seconds: float) -> None:
    """Runs a composed command to its end.

    ffmpeg starts no processes of its own and stays in the caller's process group: whoever kills
    that group, as the build does at its limits, kills it as well.

    Args:
        command: of `output`.
        timeout_seconds: after these it is killed.

    Raises:
        RecordingFailed: `timeout`, `disk` (full), `crashed` (a signal ended it) or `unreadable`.
    """
    arguments = command.compile(cmd=str(executable()), overwrite_output=True)
    arguments[1:1] = [*_QUIET, *_ONE_THREAD, *_MAX_ERROR_RATE]
    expired = threading.Event()
    with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:

        def kill() -> None:
            expired.set()
            process.kill()

        timer = threading.Timer(timeout_seconds, kill)
        timer.start()
        try:
            assert process.stderr is not None
            lines = deque(process.stderr, maxlen=_KEPT_LINES)
            status = process.wait()
        finally:
            timer.cancel()
            process.kill()
    text = b"".join(lines).decode(errors="replace").strip()
    if expired.is_set():
        raise RecordingFailed(
            FailureClass.TIMEOUT, f"ffmpeg was not done after {timeout_seconds:g} s"
        )
    if status:
        raise RecordingFailed(*_explain(status, text))


def _explain(status: int, text: str) -> tuple[FailureClass, str]:
    """Failure class and message of a run that ended with `status` and wrote `text`."""
    last = text.splitlines()[-1] if text else "no message"
    if "No space left on device" in text:
        return FailureClass.DISK, "no space left on device while ffmpeg wrote"
    if status == _TOO_MANY_ERRORS:
        return FailureClass.UNREADABLE, "more than a tenth of its packets do not decode"
    if status < 0:
        return FailureClass.CRASHED, f"ffmpeg was ended by signal {-status}: {last}"
    return FailureClass.UNREADABLE, f"ffmpeg exit {status}: {last}"
