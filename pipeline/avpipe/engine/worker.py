"""What is inside a Dask worker: one child process that does what is ordered.

Imported by workers and by `avpipe.cluster` only, since it needs `distributed`.
"""

import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin, get_worker

from avpipe.engine.child import Child
from avpipe.engine.work import Order, Outcome


class LocalWorker(WorkerPlugin):
    """A worker that a build started: Ctrl-C is for the driver, and the child ends with it."""

    name = "avpipe-local-worker"

    def setup(self, worker: Any) -> None:
        """Runs in the worker's main thread, also when it was started anew after its death."""
        with suppress(ValueError):
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def teardown(self, worker: Any) -> None:
        """Ends what the child is doing, so that the worker can close."""
        _child(worker).kill()


_LONGEST_SECONDS = 5.0
"""After these a bundle begins no further order: what did take long holds up no more of them."""


def perform(orders: Sequence[Order], marker: Path) -> list[Outcome]:
    """Runs orders one after the other in this worker's child process.

    Args:
        orders: what to do.
        marker: a file that is there meanwhile and has a byte for every order begun. When the worker
            dies, it tells which order was at work and which ones only waited.
    """
    worker, started = get_worker(), time.monotonic()
    name, child = str(worker.name), _child(worker)
    outcomes: list[Outcome] = []
    marker.parent.mkdir(parents=True, exist_ok=True)
    with marker.open("wb", buffering=0) as begun:
        for order in orders:
            if outcomes and time.monotonic() - started > _LONGEST_SECONDS:
                outcomes.append(Outcome(undone=True))
                continue
            begun.write(b".")
            outcome = child.perform(order)
            outcomes.append(replace(outcome, worker=name, ended=time.time()))
    marker.unlink(missing_ok=True)
    return outcomes


def _child(worker: Any) -> Child:
    if not hasattr(worker, "avpipe_child"):
        worker.avpipe_child = Child()
    child: Child = worker.avpipe_child
    return child
