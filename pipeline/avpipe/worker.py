"""What is inside a Dask worker: one child process that does what is ordered.

Imported by workers and by `avpipe.cluster` only, since it needs `distributed`.
"""

import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin, get_worker

from avpipe.child import Child
from avpipe.work import Order, Outcome


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


def perform(order: Order, marker: Path) -> Outcome:
    """Runs an order in this worker's child process.

    Args:
        order: what to do.
        marker: a file that is there while it is being done. A worker may hold another order that
            waits its turn: when it dies, the marker tells which one was at work.
    """
    worker = get_worker()
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()
    outcome = _child(worker).perform(order)
    marker.unlink(missing_ok=True)
    return replace(outcome, worker=str(worker.name))


def _child(worker: Any) -> Child:
    if not hasattr(worker, "avpipe_child"):
        worker.avpipe_child = Child()
    child: Child = worker.avpipe_child
    return child
