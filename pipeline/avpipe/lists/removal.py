"""Takes recordings out of a dataset for good: whoever is in them may ask for it.

`remove` deletes every artifact, rewrites the shards and the index without them, forgets them in the
ledger and keeps one line an id in `removed.jsonl`: when, why, what went and where it had gone. A
build leaves such ids out from then on, and refuses a download of the same bytes under another id.
`absent` proves that nothing is left.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from avpipe.errors import AvpipeError, DatasetError
from avpipe.fetch import partial
from avpipe.ledger import FILE as LEDGER
from avpipe.ledger import Ledger, existing
from avpipe.lists import sound, uses
from avpipe.lists.removed import FILE, Removal, read
from avpipe.lock import exclusive
from avpipe.shards.catalogue import INDEX, NAME
from avpipe.shards.drop import affected, drop, held
from avpipe.store import Store

_CHANNEL = ("channel_id", "channel", "channel_url", "uploader_id", "uploader")
"""What a site says of who put a recording there."""

MAY_HOLD = "cannot be read and may hold"
"""So begins what `absent` says of a file that it cannot see into."""

Item = tuple[str, str]
"""(stage, key) of an artifact."""


def of_channel(out: Path, channel: str) -> tuple[str, ...]:
    """Recordings of a channel, by its id, name or address as the site gives them."""
    store, found = Store(out / "work"), []
    with existing(out) as ledger:
        for recording, steps in ledger.current().items():
            info = _info(store, steps.get("download", ("", None))[0])
            if channel in {str(info.get(name)) for name in _CHANNEL}:
                found.append(recording)
    return tuple(sorted(found))


def remove(
    out: Path, names: Collection[str], *, ticket: str = "", dry_run: bool = False
) -> list[Removal]:
    """Removes recordings, and with each of them those that have the very same media file; an id
    that is not there is blocked all the same.

    Interrupted, it is finished by the same call.

    Args:
        out: the dataset's folder.
        names: ids of recordings, or of videos: then all recordings cut from them.
        ticket: why, for the record.
        dry_run: only say what would go.

    Raises:
        Locked: a build holds the folder.
    """
    lock = nullcontext() if dry_run else exclusive(out)
    with lock, existing(out, write=not dry_run) as ledger:
        store = Store(out / "work")
        targets = _targets(store, ledger, names)
        mine = {target: _artifacts(store, ledger, target) for target in targets}
        removals = [_describe(out, store, ledger, t, mine[t], ticket) for t in targets]
        if dry_run:
            return removals
        known = read(out).ids
        for row in removals:
            if row.id not in known or row.artifacts or row.files:
                uses.append(out / FILE, json.dumps(asdict(row), sort_keys=True))
        if (out / NAME).exists():
            drop(out, targets)
        store.sweep()
        gone = _hand_over(store, ledger, set().union(*mine.values()), targets)
        for item in sorted(gone):
            store.remove(*item)
        for target in targets:
            for key, _ in _parts(store, target):
                store.drop_partial(key)
        ledger.forget_artifacts(gone)
        ledger.forget_recordings(targets)
        return removals


def absent(out: Path, recording: str) -> tuple[int, list[dict[str, str]]]:
    """Where something of a recording is left, or may be; `removed.jsonl` keeps its line.

    Returns:
        How many artifacts and files were looked into, and {"path", "problem"} of each that holds
        something, or that cannot be read: what it holds is not known then.
    """
    store = Store(out / "work")
    artifacts = list(store.artifacts())
    published = [out / NAME, out / INDEX, *(out / "shards").glob("*.h5*")]
    found = [*held(out, recording), *_left(out, store, artifacts, recording)]
    try:
        if (out / LEDGER).exists():
            with Ledger(out / LEDGER) as ledger:
                found += [(LEDGER, None)] if ledger.mentions(recording) else []
    except DatasetError as error:
        found.append((LEDGER, str(error)))
    problems = [
        {"path": path, "problem": f"{MAY_HOLD} {recording}: {why}" if why else f"holds {recording}"}
        for path, why in found
    ]
    return len(artifacts) + sum(path.exists() for path in published) + 1, problems


def _left(
    out: Path, store: Store, artifacts: Iterable[Item], recording: str
) -> Iterator[tuple[str, str | None]]:
    """Artifacts made for a recording, or for another cut from that video, and such that do not say
    for whom: as `held` gives them."""
    for stage, key in artifacts:
        path = store.path(stage, key).relative_to(out).as_posix()
        try:
            facts = store.provenance(stage, key)["facts"]
        except AvpipeError as error:
            yield path, str(error)
            continue
        video = _info(store, key).get("id") if stage == "download" else None
        if recording in (facts.get("recording"), video):
            yield path, None
    for _, folder in _parts(store, recording):
        yield folder.relative_to(out).as_posix(), None


def _parts(store: Store, recording: str) -> list[tuple[str, Path]]:
    """What has arrived of a download that is not done: (key, folder)."""
    return [item for item in store.partials() if recording in partial.owners(item[1])]


def _targets(store: Store, ledger: Ledger, names: Collection[str]) -> list[str]:
    """The recordings that names mean, their re-uploads, and names that mean none."""
    media: dict[str, str] = {}
    found = set(names)
    for recording, steps in ledger.current().items():
        key = steps.get("download", ("", None))[0]
        media[recording] = str(ledger.facts("download", key).get("sha256", recording))
        if _info(store, key).get("id") in names:
            found.add(recording)
    bytes_of_them = {media[recording] for recording in found if recording in media}
    return sorted(found | {r for r, digest in media.items() if digest in bytes_of_them})


def _artifacts(store: Store, ledger: Ledger, recording: str) -> set[Item]:
    """All that was ever made for a recording and is there."""
    return {item for item in ledger.made_for(recording) if store.path(*item).exists()}


def _hand_over(
    store: Store, ledger: Ledger, items: set[Item], targets: Collection[str]
) -> set[Item]:
    """The items that nobody else has. What others have as well stays with one of them: that their
    recordings have no picture, say, is the same fact about both."""
    gone = set(items)
    for other, steps in ledger.current().items():
        for stage, (key, _) in steps.items():
            if (stage, key) in gone and other not in targets:
                facts = {**store.provenance(stage, key)["facts"], "recording": other}
                store.describe(stage, key, facts)
                ledger.describe(stage, key, facts)
                gone.discard((stage, key))
    return gone


def _describe(
    out: Path,
    store: Store,
    ledger: Ledger,
    recording: str,
    items: set[Item],
    ticket: str,
) -> Removal:
    uses_of_it = uses.of(out, {recording})
    folders = [*(store.path(*item) for item in items), *(at for _, at in _parts(store, recording))]
    files = [path for folder in folders for path in folder.iterdir()]
    prints = [sound.of_artifact(store, key) for stage, key in items if stage == "audio"]
    media = {str(ledger.facts(*item).get("sha256")) for item in items if item[0] == "download"}
    return Removal(
        id=recording,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        ticket=ticket,
        artifacts=len(items),
        bytes=sum(path.stat().st_size for path in files),
        files=tuple(affected(out, {recording})) if (out / NAME).exists() else (),
        exports=tuple(sorted({u.path for u in uses_of_it if u.kind == "export"})),
        checkpoints=tuple(sorted({u.path for u in uses_of_it if u.kind == "checkpoint"})),
        media=tuple(sorted(media)),
        prints=tuple(sorted(sound.pack(print_) for print_ in prints if print_ is not None)),
    )


def _info(store: Store, key: str) -> Mapping[str, Any]:
    """What the site said of a download."""
    path = store.path("download", key) / "info.sidecar.json"
    if not key or not path.exists():
        return {}
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
