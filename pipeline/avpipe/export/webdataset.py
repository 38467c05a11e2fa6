"""WebDataset: tar files that are read front to back, a sample a clip.

`<dataset>-000000.tar`, ... of about 512 MB. The files of a sample share the name
`<number>-<recording>`, dots in it written as `_`, since what follows the first dot is the kind:

json               the row of the index, topologies with their joints, and of each field of
                   pictures frames, offsets and held
flac               the sound, 16 bits
<field>.npz        keypoints: xy (T, K, 2) px, confidence (T, K), filled (T, K)
<field>.mjpeg      pictures, one JPEG behind the other; `offsets` in the json says where
<field>_<p>.*      the same of player p from 1, of fields of players; the json has names and squares
stems.wav          sources, a channel each, 32-bit floats; `stems` in the json names them
notes.npz          notes that sound in the clip, (M,) each: onset_seconds from its start (below 0 if
                   it began before), duration_seconds, pitch_hz, source (its place in `notes` of the
                   json) and player
"""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avpipe.export import _encode as encode
from avpipe.images import Images
from avpipe.types import Clip, Keypoints

if TYPE_CHECKING:
    from avpipe.dataset import Dataset

SHARD_BYTES = 512 * 2**20


def write(dataset: "Dataset", out: Path, shard_bytes: int = SHARD_BYTES) -> None:
    """Writes the tar files; equal datasets give equal bytes."""
    number, tar = -1, None
    try:
        for i, (facts, clip) in enumerate(encode.rows(dataset)):
            if tar is None or tar.offset >= shard_bytes:
                if tar is not None:
                    tar.close()
                number += 1
                tar = tarfile.open(out / f"{dataset.name}-{number:06d}.tar", "w")  # noqa: SIM115
            name = f"{i:08d}-{facts['recording'].replace('.', '_')}"
            for kind, content in _files(facts, clip):
                entry = tarfile.TarInfo(f"{name}.{kind}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    finally:
        if tar is not None:
            tar.close()


def _files(facts: dict[str, Any], clip: Clip) -> Iterator[tuple[str, bytes]]:
    more: dict[str, Any] = {}
    if clip.audio is not None:
        yield "flac", encode.flac(clip.audio, clip.sample_rate)
    views: dict[str, Any] = {**encode.keypoints(clip), **encode.images(clip)}
    for field, players in encode.players(clip).items():
        more[field] = {"names": players.names, "squares": players.squares}
        views |= {f"{field}_{number}": view for number, view in enumerate(players.views, start=1)}
    for field, view in views.items():
        kind, content, more[field] = _view(view)
        yield f"{field}.{kind}", content
    if stems := encode.stems(clip):
        yield "stems.wav", encode.wav(stems.audio.T, clip.sample_rate)
        more["stems"] = list(stems.names)
    if (notes := encode.notes(clip)) is not None:
        arrays = {name: getattr(notes, name) for name in encode.NOTE_COLUMNS}
        yield "notes.npz", encode.npz(**arrays)
        more["notes"] = list(notes.names)
    yield "json", json.dumps(facts | more, sort_keys=True).encode()


def _view(view: Keypoints | Images) -> tuple[str, bytes, dict[str, Any]]:
    """Kind, content and facts of keypoints or pictures."""
    if isinstance(view, Keypoints):
        arrays = {"xy": view.xy, "confidence": view.confidence, "filled": view.filled}
        about: dict[str, Any] = {"topology": view.topology.name, "joints": view.topology.joints}
        return "npz", encode.npz(**arrays), about
    about = {
        "frames": view.frames.tolist(),
        "offsets": view.offsets.tolist(),
        "held": None if view.held is None else view.held.tolist(),
    }
    return "mjpeg", view.jpeg.tobytes(), about
