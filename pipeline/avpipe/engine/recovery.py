"""A ledger made to agree with what is there, or anew where it was lost.

Artifacts say in their sidecars what they are and for which recording they were made, the published
index which of them are packed. What the ledger knew of attempts and failures is nowhere else.
"""

from contextlib import suppress
from pathlib import Path

from avpipe.engine import packing
from avpipe.engine.plan import restore
from avpipe.errors import AvpipeError, DatasetError
from avpipe.ledger import FILE, Ledger
from avpipe.store import Store


def reconcile(path: Path, store: Store) -> None:
    """Drops artifacts that are gone from a ledger, and tells it of those that it does not know.

    Args:
        path: of the ledger, which may not be there yet.
        store: the artifacts; those whose sidecar cannot be read are left to `avpipe repair`.
    """
    with Ledger(path, write=True) as ledger:
        known, there = set(ledger.known()), set(store.artifacts())
        ledger.forget_artifacts(known - there)
        for stage, key in sorted(there - known):
            with suppress(AvpipeError):
                recording = restore(ledger, store, stage, key)
                ledger.reached(recording, stage, key, ledger.digest(stage, key))


def rebuild(out: Path, store: Store) -> None:
    """Makes the ledger anew; of several outputs of a stage, the packed one is the current one."""
    new = out / f"{FILE}.new"
    new.unlink(missing_ok=True)
    reconcile(new, store)
    with Ledger(new, write=True) as ledger, suppress(DatasetError):
        for recording, signature, summary in packing.published(out, store, ledger):
            ledger.completed(recording, summary.as_json(), signature)
            for stage, key in summary.keys.items():
                ledger.reached(recording, stage, key, ledger.digest(stage, key))
    (out / f"{FILE}-journal").unlink(missing_ok=True)
    new.replace(out / FILE)


def is_lost(out: Path, store: Store) -> bool:
    """Whether there is no ledger of the artifacts that are there."""
    return not (out / FILE).exists() and next(store.artifacts(), None) is not None
