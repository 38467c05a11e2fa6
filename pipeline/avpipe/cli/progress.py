"""The progress of a build on stderr: a line a stage with counts, rate and time left."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from avpipe.engine.plan import Status

if TYPE_CHECKING:
    from avpipe.engine.observer import Observer

_LINE_SECONDS = 10.0
"""How often a line is written where there is no terminal."""


@contextmanager
def watch() -> "Iterator[Observer]":
    """An observer that shows a build: live on a terminal, as plain lines elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:>9}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}", style="red"),
        console=Console(stderr=True),
        speed_estimate_period=300,
    ) as progress:
        yield _Live(progress)


class _Live:
    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._tasks: dict[str, Any] = {}
        self._failed: dict[str, Counter[str]] = {}
        self._started = time.monotonic()
        self._ran: Counter[str] = Counter()

    def begin(self, totals: Mapping[str, int]) -> None:
        for stage, total in totals.items():
            self._failed[stage] = Counter()
            self._tasks[stage] = self._progress.add_task(stage, total=total, rate="", failed="")

    def finished(self, stage: str, status: Status, failure: str | None = None) -> None:
        if failure is not None:
            self._failed[stage][failure] += 1
        if status is Status.RUN:
            self._ran[stage] += 1
        rate = self._ran[stage] / max(time.monotonic() - self._started, 1e-3)
        self._progress.update(
            self._tasks[stage],
            advance=1,
            rate=f"{rate:.2f}/s" if rate >= 0.1 else f"{60 * rate:.1f}/min",
            failed=" ".join(f"{n} {name}" for name, n in sorted(self._failed[stage].items())),
        )

    def message(self, text: str) -> None:
        self._progress.console.print(text, markup=False)


class _Lines:
    def __init__(self) -> None:
        self._totals: Mapping[str, int] = {}
        self._done: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._last = time.monotonic()

    def begin(self, totals: Mapping[str, int]) -> None:
        self._totals = totals

    def finished(self, stage: str, status: Status, failure: str | None = None) -> None:
        self._done[stage] += 1
        if failure is not None:
            self._failed[failure] += 1
        if time.monotonic() - self._last > _LINE_SECONDS:
            self._last = time.monotonic()
            stages = ", ".join(f"{s} {self._done[s]}/{n}" for s, n in self._totals.items())
            failed = "".join(f", {n} {name}" for name, n in sorted(self._failed.items()))
            self.message(stages + failed)

    def message(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201
