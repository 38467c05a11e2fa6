"""One stage for one recording, from order to published artifact. Runs in a worker's child process.

An `Order` travels to the worker, an `Outcome` back: names, keys and digests, never data.
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from avpipe import stages
from avpipe.errors import FailureClass, RecordingFailed, ToolMissing, UsageError, is_full
from avpipe.limits import TaskLimits
from avpipe.store import Artifact, Store
from avpipe.types import Recording


@dataclass(frozen=True, slots=True)
class Order:
    """Run `stage` for `recording` and publish what it makes as `key`."""

    root: Path
    """Folder of the store."""
    stage: str
    key: str
    identity: Mapping[str, Any]
    inputs: Mapping[str, Any]
    """What the key holds beside the identity (digests of the inputs)."""
    recording: Recording
    config: Any
    artifacts: Mapping[str, str]
    """Stage that feeds this one -> key of its artifact."""
    limits: TaskLimits
    """Of the process that does it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order."""

    artifact: Artifact | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    failure: FailureClass | None = None
    message: str = ""
    permanent: bool = False
    died: bool = False
    """The process that did the work ended, or had to be ended: a crash, a hang, its memory."""
    damaged: tuple[str, ...] = ()
    """Stages whose artifacts are not what was published: they are to be made again."""
    undone: bool = False
    """It was not tried: to be ordered again."""
    stop: bool = False
    """Nothing of this build can work (a program or model is missing): end it."""
    retry_after_seconds: float | None = None
    """How long the server asked to be left alone."""
    seconds: float = 0.0
    ended: float = 0.0
    """When it was over, in seconds since the epoch, by its worker's clock."""
    worker: str = ""


def perform(order: Order) -> Outcome:
    """Runs the stage; what can be expected to fail is in the outcome."""
    store, started = Store(order.root), time.perf_counter()
    folder = store.temporary()
    try:
        outcome = _attempt(order, store, folder)
    except OSError as error:
        if not is_full(error):
            raise
        outcome = Outcome(failure=FailureClass.DISK, message=f"{order.root}: {error.strerror}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return replace(outcome, seconds=time.perf_counter() - started)


def _attempt(order: Order, store: Store, folder: Path) -> Outcome:
    inputs = {stage: store.path(stage, key) for stage, key in order.artifacts.items()}
    started = time.perf_counter()
    try:
        partial = store.partial(order.key)
        job = stages.Job(order.recording, order.config, inputs, folder, partial)
        facts = stages.load(order.stage).run(job)
    except RecordingFailed as error:
        return Outcome(
            failure=error.failure,
            message=str(error),
            permanent=error.permanent,
            damaged=damaged(order),
            retry_after_seconds=error.retry_after_seconds,
        )
    except (ToolMissing, UsageError) as error:
        return Outcome(message=str(error), stop=True)
    seconds = round(time.perf_counter() - started, 3)
    facts = {**facts, "recording": order.recording.id, "seconds": seconds}
    document = {"inputs": dict(order.inputs), **order.identity}
    try:
        artifact = store.publish(folder, order.stage, order.key, document, facts)
        store.drop_partial(order.key)
    except OSError as error:
        if is_full(error):
            raise
        # no fault of the recording, and the next one would meet it as well
        place = store.root / order.stage
        return Outcome(message=f"{place} cannot be written to: {error.strerror}", stop=True)
    return Outcome(artifact, facts)


def damaged(order: Order) -> tuple[str, ...]:
    """Stages whose artifacts, the inputs of this order, are not what was published."""
    store = Store(order.root)
    return tuple(stage for stage, key in order.artifacts.items() if store.problems(stage, key))
