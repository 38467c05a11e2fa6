"""Watches a running download: its time, its speed, its size and the free space on the disk.

A server that sends five bytes a second keeps every read alive, so no timeout of a socket ends it.
A timer interrupts whatever is running, once a second, and raises what is wrong. Signals reach the
main thread only: elsewhere the checks are made as blocks arrive.
"""

import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any, NoReturn, Self

from avpipe.errors import FailureClass, RecordingFailed
from avpipe.fetch.options import Options
from avpipe.fetch.partial import is_fragment

_TICK_SECONDS = 1.0


class Guard:
    """Context in which a download into `folder` is watched.

    Raises (inside the context):
        RecordingFailed: `timeout`, `limit` or `disk`. yt-dlp takes an exception that strikes
            inside a request for a broken request handler: `verdict` is then what was meant.
    """

    verdict: RecordingFailed | None = None
    """What the guard has raised."""

    def __init__(self, folder: Path, options: Options) -> None:
        self._folder = folder
        self._options = options
        self._deadline = time.monotonic() + options.timeout_seconds
        self._mark: tuple[float, int] | None = None
        """Time and size at which the present stretch began; None while nothing is arriving."""

    def __enter__(self) -> Self:
        self.check_disk()
        self._armed = threading.current_thread() is threading.main_thread()
        if self._armed:
            self._previous = signal.signal(signal.SIGALRM, self._tick)
            signal.setitimer(signal.ITIMER_REAL, _TICK_SECONDS, _TICK_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        if self._armed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._previous)

    def progress(self, status: dict[str, Any]) -> None:
        """Hook for yt-dlp, called as blocks arrive."""
        arriving = status["status"] == "downloading"
        self._mark = (self._mark or (time.monotonic(), self.size())) if arriving else None
        total = status.get("total_bytes") or status.get("downloaded_bytes") or 0
        self.check_bytes(total)
        self.check()

    def check(self) -> None:
        """Raises what is wrong at this moment."""
        now, size = time.monotonic(), self.size()
        if now > self._deadline:
            self._stop(
                FailureClass.TIMEOUT,
                f"it was not there after {self._options.timeout_seconds:g} s ({size:,} bytes were)",
            )
        self.check_bytes(size)
        self.check_disk()
        self._check_speed(now, size)

    def check_bytes(self, size: float) -> None:
        """Raises `limit` if a file of `size` bytes is too large."""
        if size > self._options.limits.max_bytes:
            self._stop(
                FailureClass.LIMIT,
                f"it has at least {size:,.0f} bytes,"
                f" the limit is {self._options.limits.max_bytes:,}",
            )

    def check_disk(self, needed: float = 0) -> None:
        """Raises `disk` if `needed` more bytes would not leave the space that is to stay free."""
        free = shutil.disk_usage(self._folder).free
        if free - needed < self._options.min_free_bytes:
            self._stop(
                FailureClass.DISK,
                f"{free:,} bytes are free, {needed:,.0f} are needed and"
                f" {self._options.min_free_bytes:,} are to stay free",
            )

    def size(self) -> int:
        """Bytes in the folder, those of earlier attempts too; files that vanish meanwhile count
        nothing, nor do fragments, which are in their file as well."""
        total = 0
        for path in self._folder.iterdir():
            if is_fragment(path):
                continue
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue
        return total

    def _check_speed(self, now: float, size: int) -> None:
        if self._mark is None:
            return
        since, before = self._mark
        enough = self._options.min_bytes_per_second * self._options.stall_seconds
        if size - before >= enough or size < before:  # less than before: it arrives anew
            self._mark = now, size
        elif now - since > self._options.stall_seconds:
            self._stop(
                FailureClass.TIMEOUT,
                f"{size - before:,} bytes arrived in {now - since:.0f} s ({size:,} in all)",
            )

    def _stop(self, failure: FailureClass, message: str) -> NoReturn:
        self.verdict = RecordingFailed(failure, message)
        raise self.verdict

    def _tick(self, *_: object) -> None:
        self.check()
