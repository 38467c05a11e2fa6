"""Keeping a dataset's folder in order: verify, repair, gc.

`verify` recomputes every digest of artifacts and shards, and what holds between the artifacts of a
recording (`avpipe.sync`). `repair` removes what is damaged, so that
the next build makes it again, and makes the ledger agree with what is there. `gc` removes what no
recording refers to any more (the outputs of older detectors and parameters), and what had arrived
of downloads that nothing goes on with.
"""

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from avpipe import sync
from avpipe.engine.recovery import rebuild, reconcile
from avpipe.errors import AvpipeError, DatasetError
from avpipe.ledger import FILE, Ledger, existing
from avpipe.lock import exclusive
from avpipe.store import Store


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and what is wrong with it."""

    checked: int
    """Artifacts and published files."""
    problems: tuple[dict[str, str], ...]
    """{"path": below the dataset's folder, "problem": text}"""

    def as_json(self) -> dict[str, Any]:
        """The document of `--json`."""
        return {
            "ok": not self.problems,
            "checked": self.checked,
            "problems": list(self.problems),
        }


def verify(out: Path) -> Verified:
    """Recomputes every digest and invariant of a dataset's folder; changes nothing."""
    from avpipe.shards import verify as verify_shards

    shards = verify_shards(out)
    problems, checked, store = list(shards.problems), shards.checked, Store(out / "work")
    damaged = set()
    for stage, key in store.artifacts():
        checked += 1
        path = store.path(stage, key).relative_to(out).as_posix()
        found = store.problems(stage, key)
        problems += [{"path": path, "problem": text} for text in found]
        if found:
            damaged.add((stage, key))
    if (out / FILE).exists():
        checked += 1
        problems += [
            {"path": path, "problem": text}
            for path, text in sync.problems(store, _artifacts_of(out / FILE), damaged)
        ]
        of_ledger = _ledger_problems(out / FILE, store), _ledger_differences(out / FILE, store)
        problems += [{"path": FILE, "problem": text} for text in chain(*of_ledger)]
    return Verified(checked, tuple(problems))


def _artifacts_of(path: Path) -> dict[str, dict[str, str]]:
    """Recording -> stage -> key, as a ledger has it; empty if it cannot be read."""
    with suppress(DatasetError), Ledger(path) as ledger:
        current = ledger.current().items()
        return {name: {s: key for s, (key, _) in steps.items()} for name, steps in current}
    return {}


def _ledger_problems(path: Path, store: Store) -> Iterator[str]:
    """What is wrong with a ledger itself: it has to be made anew."""
    try:
        with Ledger(path) as ledger:
            yield from ledger.problems()
            known = ledger.known()
    except DatasetError as error:
        yield str(error)
        return
    for stage, key in known.keys() & set(store.artifacts()):
        with suppress(AvpipeError):  # a sidecar that cannot be read is a problem of its own
            if store.read(stage, key).digest != known[stage, key]:
                yield f"has another digest for {stage} {key[:12]}… than its sidecar"


def _ledger_differences(path: Path, store: Store) -> Iterator[str]:
    """How a sound ledger differs from what is there: the next build sees to that."""
    with suppress(DatasetError), Ledger(path) as ledger:
        known, there = set(ledger.known()), set(store.artifacts())
        if known - there:
            yield f"lists {len(known - there)} artifacts that are not there"
        if there - known:
            yield f"does not list {len(there - known)} artifacts that are there"


@dataclass(frozen=True, slots=True)
class Repaired:
    """What `repair` did."""

    artifacts: int
    """Artifacts the ledger knows now."""
    removed: tuple[str, ...]
    """Damaged artifacts and shards that were removed; the next build makes them again."""


def repair(out: Path) -> Repaired:
    """Removes what is damaged, and makes the ledger agree with what is there.

    A ledger that is lost or cannot be read is made anew from the sidecars and the index: what it
    knew of attempts and failures is lost, and permanent failures are tried once more.
    """
    from avpipe.shards import repair as repair_shards

    with exclusive(out):
        store = Store(out / "work")
        store.sweep()
        removed = []
        for stage, key in store.artifacts():
            if store.problems(stage, key):
                removed.append(store.path(stage, key).relative_to(out).as_posix())
                store.remove(stage, key)
        if not (out / FILE).exists() or any(_ledger_problems(out / FILE, store)):
            rebuild(out, store)
        else:
            reconcile(out / FILE, store)
        removed += repair_shards(out)
        return Repaired(len(list(store.artifacts())), tuple(removed))


@dataclass(frozen=True, slots=True)
class Collected:
    """What `gc` removed, or would remove."""

    artifacts: tuple[str, ...]
    """Folders of artifacts, and of parts of downloads, below the dataset's."""
    bytes: int


def collect(out: Path, *, downloads: bool = False, dry_run: bool = False) -> Collected:
    """Removes artifacts that no recording has as its current or its packed one.

    Args:
        out: the dataset's folder.
        downloads: also downloads, and parts of them; without it they stay, but for parts of what is
            there by now or has failed for good.
        dry_run: only say what would go; this can be asked while a build runs.

    Raises:
        Locked: a build holds the folder.
        UsageError: without a ledger nothing says what is needed.
    """
    lock = nullcontext() if dry_run else exclusive(out)
    with lock, existing(out, write=not dry_run) as ledger:
        store = Store(out / "work")
        there = list(store.artifacts())
        used = {
            (stage, key) for steps in ledger.current().values() for stage, (key, _) in steps.items()
        }
        used |= {item for s in ledger.complete().values() for item in s["keys"].items()}
        unused = [
            item for item in there if item not in used and (downloads or item[0] != "download")
        ]
        over = store.keys("download") | {f.key for f in ledger.failures() if f.permanent}
        parts = {key: at for key, at in store.partials() if downloads or key in over}
        folders = [*(store.path(*item) for item in unused), *parts.values()]
        size = sum(map(_bytes, folders))
        if not dry_run:
            store.sweep()
            for item in unused:
                store.remove(*item)
            for key in parts:
                store.drop_partial(key)
            ledger.forget_artifacts(unused)
        return Collected(tuple(at.relative_to(out).as_posix() for at in folders), size)


def _bytes(folder: Path) -> int:
    """Size of the files in a folder, from which a build may take some meanwhile."""
    size = 0
    with suppress(FileNotFoundError):
        for file in folder.iterdir():
            size += file.stat().st_size
    return size
