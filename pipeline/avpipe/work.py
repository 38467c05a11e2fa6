"""One stage for one recording, from order to published artifact. Runs in a worker's child process.

An `Order` travels to the worker, an `Outcome` back: names, keys and digests, never data.
"""

import errno
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avpipe import stages
from avpipe.errors import AvpipeError, FailureClass, RecordingFailed
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
    seconds: float
    """Wall-clock limit."""
    memory_bytes: int
    """Limit of the child's and its children's resident memory."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order."""

    artifact: Artifact | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    failure: FailureClass | None = None
    message: str = ""
    permanent: bool = False
    stop: bool = False
    """Nothing of this build can work (a program or model is missing): end it."""
    retry_after_seconds: float | None = None
    """How long the server asked to be left alone."""
    seconds: float = 0.0
    worker: str = ""


def perform(order: Order) -> Outcome:
    """Runs the stage; what can be expected to fail is in the outcome."""
    store, started = Store(order.root), time.perf_counter()
    folder = store.temporary()
    try:
        facts = stages.load(order.stage).run(
            stages.Job(
                order.recording,
                order.config,
                {stage: store.path(stage, key) for stage, key in order.artifacts.items()},
                folder,
            )
        )
        seconds = time.perf_counter() - started
        document = {"inputs": dict(order.inputs), **order.identity}
        facts = {**facts, "recording": order.recording.id, "seconds": round(seconds, 3)}
        artifact = store.publish(folder, order.stage, order.key, document, facts)
        return Outcome(artifact, facts, seconds=seconds)
    except RecordingFailed as error:
        return Outcome(
            failure=error.failure,
            message=str(error),
            permanent=error.permanent,
            retry_after_seconds=getattr(error, "retry_after_seconds", None),
            seconds=time.perf_counter() - started,
        )
    except AvpipeError as error:
        return Outcome(message=str(error), stop=True)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return Outcome(failure=FailureClass.DISK, message=f"{order.root}: {error.strerror}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
