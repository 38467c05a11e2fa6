"""Keeping a dataset's folder in order: verify, repair, gc.

`verify` recomputes every digest of artifacts and shards. `repair` removes what is damaged, so that
the next build makes it again, and makes the ledger agree with what is there. `gc` removes what no
recording refers to any more (the outputs of older detectors and parameters).
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avpipe import packing
from avpipe.errors import DatasetError
from avpipe.ledger import FILE, Ledger
from avpipe.lock import exclusive
from avpipe.plan import restore
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
    for stage, key in store.artifacts():
        checked += 1
        path = store.path(stage, key).relative_to(out).as_posix()
        problems += [{"path": path, "problem": text} for text in store.problems(stage, key)]
    if (out / FILE).exists():
        checked += 1
        problems += [{"path": FILE, "problem": text} for text in _ledger_problems(out, store)]
    return Verified(checked, tuple(problems))


def _ledger_problems(out: Path, store: Store) -> Iterator[str]:
    try:
        with Ledger(out / FILE) as ledger:
            yield from ledger.problems()
            known = set(ledger.known())
    except DatasetError as error:
        yield str(error)
        return
    there = set(store.artifacts())
    for what, keys in (("lists", known - there), ("does not list", there - known)):
        if keys:
            yield f"{what} {len(keys)} artifacts that are{'' if what[0] == 'd' else ' not'} there"


@dataclass(frozen=True, slots=True)
class Repaired:
    """What `repair` did."""

    artifacts: int
    """Artifacts the ledger knows now."""
    removed: tuple[str, ...]
    """Damaged artifacts and shards that were removed; the next build makes them again."""


def repair(out: Path) -> Repaired:
    """Removes what is damaged, and makes the ledger agree with what is there.

    A ledger that cannot be read is made anew from the sidecars and the index: what it knew of
    attempts and failures is lost, and permanent failures are tried once more.
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
        if (out / FILE).exists() and not _is_sound(out / FILE):
            _rebuild(out, store)
        else:
            _reconcile(out / FILE, store)
        removed += repair_shards(out)
        return Repaired(len(list(store.artifacts())), tuple(removed))


def _is_sound(path: Path) -> bool:
    try:
        with Ledger(path) as ledger:
            return not ledger.problems()
    except DatasetError:
        return False


def _reconcile(path: Path, store: Store) -> None:
    with Ledger(path, write=True) as ledger:
        known, there = set(ledger.known()), set(store.artifacts())
        ledger.forget_artifacts(known - there)
        for stage, key in sorted(there - known):
            ledger.reached(restore(ledger, store, stage, key), stage, key)


def _rebuild(out: Path, store: Store) -> None:
    new = out / f"{FILE}.new"
    new.unlink(missing_ok=True)
    _reconcile(new, store)
    with Ledger(new, write=True) as ledger, suppress(DatasetError):
        for recording, summary in packing.published(out, store, ledger):
            ledger.completed(recording, summary.as_json())
    (out / f"{FILE}-journal").unlink(missing_ok=True)
    new.replace(out / FILE)


@dataclass(frozen=True, slots=True)
class Collected:
    """What `gc` removed, or would remove."""

    artifacts: tuple[str, ...]
    bytes: int


def collect(out: Path, *, downloads: bool = False, dry_run: bool = False) -> Collected:
    """Removes artifacts that no recording has as its current or its packed one.

    Args:
        out: the dataset's folder.
        downloads: also downloads; without it they always stay.
        dry_run: only say what would go.
    """
    with exclusive(out), Ledger(out / FILE, write=True) as ledger:
        store = Store(out / "work")
        used = {
            (stage, key) for steps in ledger.current().values() for stage, (key, _) in steps.items()
        }
        used |= {item for s in ledger.complete().values() for item in s["keys"].items()}
        unused = [
            item
            for item in store.artifacts()
            if item not in used and (downloads or item[0] != "download")
        ]
        size = sum(file.stat().st_size for item in unused for file in store.path(*item).iterdir())
        if not dry_run:
            store.sweep()
            for item in unused:
                store.remove(*item)
            ledger.forget_artifacts(unused)
        names = tuple(store.path(*item).relative_to(out).as_posix() for item in unused)
        return Collected(names, size)
