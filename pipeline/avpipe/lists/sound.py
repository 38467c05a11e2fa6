"""Recordings that sound the same: re-uploads of what was removed, and what two datasets share.

Reads the artifacts of the stage `audio`; 5 minutes of sound take about 2 s.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from avpipe.fingerprint import Match, Print, Prints, fingerprint
from avpipe.ledger import FILE, Ledger
from avpipe.store import Store


def of_artifact(store: Store, key: str) -> Print | None:
    """The fingerprint of an artifact of `audio`; None if the recording has no sound."""
    folder = store.path("audio", key)
    facts = json.loads((folder / "audio.json").read_text(encoding="utf-8"))
    if not facts["present"]:
        return None
    import soundfile

    samples, rate = soundfile.read(folder / "audio.wav", dtype="float32")
    return fingerprint(samples, rate)


def shared(first: Path, second: Path) -> Iterator[Match]:
    """What two built datasets have in common by sound: `a` is of the first, `b` of the second."""
    known = Prints(dict(_all(second)))
    for recording, print_ in _all(first):
        yield from known.matches(recording, print_)


def reuploads(
    store: Store, keys: Mapping[str, str], gone: Mapping[str, Iterable[str]]
) -> dict[str, str]:
    """Recordings that sound like removed ones.

    Args:
        store: the artifacts.
        keys: recording -> key of its `audio`.
        gone: removed id -> its fingerprints as `pack` writes them.

    Returns:
        recording -> the removed id.
    """
    packed = [(name, text) for name, texts in gone.items() for text in texts]
    known = Prints({f"{i} {name}": unpack(text) for i, (name, text) in enumerate(packed)})
    found = {}
    for recording, key in keys.items():
        print_ = of_artifact(store, key)
        if print_ is not None and (matches := known.matches(recording, print_)):
            found[recording] = matches[0].b.partition(" ")[2]
    return found


def pack(print_: Print) -> str:
    """A fingerprint as text."""
    return base64.b64encode(zlib.compress(print_.astype("<u4").tobytes())).decode()


def unpack(text: str) -> Print:
    """What `pack` made text of."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), "<u4").astype(np.uint32)


def _all(out: Path) -> Iterator[tuple[str, Print]]:
    store = Store(out / "work")
    with Ledger(out / FILE) as ledger:
        keys = {r: steps["audio"][0] for r, steps in ledger.current().items() if "audio" in steps}
    for recording, key in keys.items():
        if (print_ := of_artifact(store, key)) is not None:
            yield recording, print_
