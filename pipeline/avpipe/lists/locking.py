"""A lock: which recordings of a list were there, so that another lab builds the same set.

Lists of links die. `make` writes down what a built dataset was made of: format, digest and date of
every medium, and why the others are missing. A build with the lock takes exactly what was there,
in the same format where its site still has it, and says what has died or changed since; `check`
only asks what is still there.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from avpipe.engine.pacing import Pace, PaceConfig
from avpipe.errors import RecordingFailed, UsageError
from avpipe.fetch import folder
from avpipe.fetch.options import Options
from avpipe.ledger import FILE as LEDGER
from avpipe.ledger import Failure, Ledger
from avpipe.lists import removed
from avpipe.manifest import Manifest, locate
from avpipe.store import Store
from avpipe.types import Recording

FORMAT, VERSION = "avpipe-lock", 1


@dataclass(frozen=True, slots=True)
class Medium:
    """What was fetched of a recording."""

    sha256: str
    bytes: int
    format_id: str | None
    """Format of its site; None where there are none."""
    url: str
    date: str
    """When it was fetched: ISO 8601, UTC."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a recording was not there."""

    reason: str
    """Failure class, or `not tried`."""
    message: str


@dataclass(frozen=True)
class Lock:
    """The contents of a lock file."""

    dataset: str
    created: str
    available: Mapping[str, Medium]
    missing: Mapping[str, Missing]

    def write(self, path: Path) -> None:
        """Writes the file: JSON in the order of ids."""
        document = {"format": FORMAT, "version": VERSION, **asdict(self)}
        path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def restrict(self, manifest: Manifest) -> Manifest:
        """The manifest with just the recordings that were there, in their formats.

        Raises:
            UsageError: the lock is of another dataset, or of another list.
        """
        if manifest.name != self.dataset:
            raise UsageError(f"the lock is of {self.dataset}, not of {manifest.name}")
        known = {r.id for r in manifest.recordings}
        if unknown := sorted(set(self.available) - known):
            raise UsageError(
                f"{manifest.path} has no {', '.join(unknown[:3])} ({len(unknown)} in all), which"
                " the lock has: use the list that it was made of"
            )
        kept = (self._pinned(r) for r in manifest.recordings if r.id in self.available)
        return replace(manifest, recordings=tuple(kept))

    def _pinned(self, recording: Recording) -> Recording:
        format_id = self.available[recording.id].format_id
        if format_id is None:
            return recording
        return replace(recording, extra={**recording.extra, "format_id": format_id})


@dataclass(frozen=True, slots=True)
class Comparison:
    """What has become of what a lock lists."""

    died: tuple[Failure, ...]
    """Recordings that are gone."""
    changed: tuple[str, ...]
    """Recordings whose media file is another one now."""

    def as_json(self) -> dict[str, Any]:
        """For the document of a build."""
        return {"died": [f.as_json() for f in self.died], "changed": list(self.changed)}


def make(manifest: Manifest, out: Path) -> Lock:
    """The lock of a built dataset.

    Raises:
        UsageError: nothing has been built there.
    """
    if not (out / LEDGER).exists():
        raise UsageError(f"nothing has been built in {out}: build {manifest.name} first")
    store, gone = Store(out / "work"), removed.read(out).ids
    available, missing = {}, {}
    with Ledger(out / LEDGER) as ledger:
        current = ledger.current()
        failures = {f.recording: f for f in ledger.failures() if f.stage == "download"}
        for recording in manifest.recordings:
            key = current.get(recording.id, {}).get("download", ("", None))[0]
            failure = failures.get(recording.id)
            if recording.id in gone:
                missing[recording.id] = Missing("removed", "on request")
            elif failure is not None:
                missing[recording.id] = Missing(failure.failure, failure.message)
            elif key:
                available[recording.id] = _medium(store.provenance("download", key))
            else:
                missing[recording.id] = Missing("not tried", "")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Lock(manifest.name, now, available, missing)


def read(path: Path) -> Lock:
    """The lock in a file.

    Raises:
        UsageError: there is none, or it is damaged or of another version.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if (value["format"], value["version"]) != (FORMAT, VERSION):
            found = f"{value['format']} of version {value['version']}"
            raise UsageError(f"{path} is {found}, not {FORMAT} {VERSION}: make it anew")
        return Lock(
            value["dataset"],
            value["created"],
            {name: Medium(**medium) for name, medium in value["available"].items()},
            {name: Missing(**why) for name, why in value["missing"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is not a lock ({error}): make one with `avpipe lock`") from error


def compare(lock: Lock, ledger: Ledger, failures: list[Failure]) -> Comparison:
    """What has died or changed since a lock was made.

    Args:
        lock: what was there.
        ledger: of the dataset built with it.
        failures: of that build.
    """
    died = [f for f in failures if f.stage == "download" and f.permanent]
    changed = [
        recording
        for recording, steps in ledger.current().items()
        if recording in lock.available
        and (key := steps.get("download", ("", None))[0])
        and ledger.facts("download", key).get("sha256") != lock.available[recording].sha256
    ]
    return Comparison(tuple(died), tuple(sorted(changed)))


def check(
    manifest: Manifest,
    source: str | None,
    *,
    pace: PaceConfig | None = None,
    options: Options | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[str, RecordingFailed | None]]:
    """Asks where each recording is whether it is still there, at a polite pace; fetches nothing.

    Yields:
        (id, what is wrong; None if it is there), one after the other.
    """
    waits, options = Pace(pace or PaceConfig()), options or Options()
    answers: dict[str, RecordingFailed | None] = {}
    for recording in manifest.recordings:
        locator = locate(manifest, recording, source)
        if "://" not in locator:
            yield recording.id, _missing(Path(locator), recording)
            continue
        if locator not in answers:
            sleep(waits.wait_seconds(locator, time.monotonic()))
            waits.started(locator, time.monotonic())
            answers[locator] = _unavailable(locator, options)
        yield recording.id, answers[locator]


def _missing(place: Path, recording: Recording) -> RecordingFailed | None:
    """What is wrong with a recording in a folder, or at a path."""
    if (place / recording.id).is_dir():
        return None
    try:
        folder.find(place, recording)
    except RecordingFailed as error:
        return error
    return None


def _unavailable(url: str, options: Options) -> RecordingFailed | None:
    """What is wrong with an address."""
    from avpipe.fetch.web import probe

    try:
        probe(url, options)
    except RecordingFailed as error:
        return error
    return None


def _medium(provenance: Mapping[str, Any]) -> Medium:
    facts = provenance["facts"]
    return Medium(
        facts["sha256"], facts["bytes"], facts["format_id"], facts["url"], provenance["created"]
    )
