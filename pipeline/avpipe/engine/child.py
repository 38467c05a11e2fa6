"""A child process that runs orders one after the other, with limits of time and memory.

Native code that hangs or crashes (yt-dlp's helpers, ffmpeg, a detector) takes its child with it
and nothing else: the worker survives, the outcome names the culprit, the next order gets a fresh
child. The child keeps what it has imported and loaded between orders.

    parent                          child (`python -m avpipe.engine.child`)
    pickled Order   -- stdin -->    avpipe.engine.work.perform
    pickled Outcome <-- stdout --   (whatever the code prints goes to stderr, kept in a file)
"""

import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from avpipe.engine.work import Order, Outcome, damaged, perform
from avpipe.errors import FailureClass

_HEADER = struct.Struct("<Q")
_TICK_SECONDS = 0.5
ORDERS_PER_CHILD = 1000
"""A child is replaced after so many orders, so that what libraries leak does not add up."""


class Child:
    """One persistent child process; started when first needed, replaced after it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._orders = 0

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        return self._process.pid if self._process is not None else None

    def perform(self, order: Order) -> Outcome:
        """Runs one order within its limits; a death of the child is an outcome, not an error."""
        started = time.perf_counter()
        process = self._running()
        try:
            _send(process.stdin, order)
            outcome = self._await(process, order, started + order.limits.seconds)
        except (BrokenPipeError, EOFError):
            message = self._obituary(process)
            outcome = Outcome(failure=FailureClass.CRASHED, message=message, died=True)
        self._orders += 1
        if outcome.died:
            self.close()
            # what was at work cannot say any more whether its inputs were as published
            outcome = replace(outcome, damaged=damaged(order))
        return replace(outcome, seconds=time.perf_counter() - started)

    def kill(self) -> None:
        """Ends the child and everything it started, from any thread; `perform` then returns."""
        process = self._process
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Ends the child and everything it started, and what was kept of it."""
        if self._process is not None:
            _kill_group(self._process)
            self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._orders >= ORDERS_PER_CHILD:
            self.close()
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._orders = 0
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
            self._process = subprocess.Popen(
                [sys.executable, "-m", "avpipe.engine.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,  # Ctrl-C is for the driver; kill reaches all descendants
            )
        return self._process

    def _await(self, process: subprocess.Popen[bytes], order: Order, deadline: float) -> Outcome:
        assert process.stdout is not None
        while not select.select([process.stdout], [], [], _TICK_SECONDS)[0]:
            if time.perf_counter() > deadline:
                return Outcome(
                    failure=FailureClass.TIMEOUT,
                    message=f"{order.stage} took longer than {order.limits.seconds:g} s",
                    died=True,
                )
            used, allowed = _resident_bytes(process.pid), order.limits.memory_bytes
            if used > allowed:
                return Outcome(
                    failure=FailureClass.LIMIT,
                    message=f"{order.stage} used {used >> 20} MiB of memory,"
                    f" more than {allowed >> 20} MiB",
                    died=True,
                )
        outcome: Outcome = _receive(process.stdout)
        return outcome

    def _obituary(self, process: subprocess.Popen[bytes]) -> str:
        code = process.wait()
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        last = ""
        if self._log is not None:
            self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 2000))
            lines = self._log.read().decode(errors="replace").strip().splitlines()
            last = f": {lines[-1].strip()}" if lines else ""
        return f"the process died by {cause}{last}"


def _send(stream: Any, value: Any) -> None:
    data = pickle.dumps(value)
    stream.write(_HEADER.pack(len(data)) + data)
    stream.flush()


def _receive(stream: Any) -> Any:
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise EOFError
    return pickle.loads(stream.read(_HEADER.unpack(header)[0]))


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()


def _resident_bytes(pid: int) -> int:
    import psutil

    total = 0
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += int(process.memory_info().rss)
    return total


def _die_with_parent() -> None:
    """Ends this process group when the worker is gone, whatever this process is busy with.

    A process of its own sees the pipe of orders break: native code that holds the interpreter's
    lock, or hangs, would keep a thread from it.
    """
    if os.fork() != 0:
        return
    os.close(1)  # else the worker would never see the end of a dead child's replies
    poll = select.poll()
    poll.register(0, 0)  # nothing but the other end being closed
    poll.poll()
    os.killpg(0, signal.SIGKILL)


def serve() -> None:
    """The child's loop: orders from stdin, outcomes to stdout, until stdin closes."""
    _die_with_parent()
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not mix with the replies
    while True:
        try:
            order = _receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            outcome = perform(order)
        except Exception as error:  # noqa: BLE001 - the one place: a bug costs one recording
            traceback.print_exc()
            outcome = Outcome(
                failure=FailureClass.CRASHED,
                message=f"{type(error).__name__}: {error} (in {_where(error)})",
                damaged=damaged(order),
            )
        _send(replies, outcome)


def _where(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


if __name__ == "__main__":
    serve()
