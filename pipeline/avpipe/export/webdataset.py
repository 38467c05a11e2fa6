"""WebDataset: tar files that are read front to back, a sample a clip.

`<dataset>-000000.tar`, ... of about 512 MB. The files of a sample share the name
`<number>-<recording>`, dots in it written as `_`, since what follows the first dot is the kind:

json               the row of the index, topologies with their joints, and of each field of
                   pictures frames, offsets and held
flac               the sound, 16 bits
<field>.npz        keypoints: xy (T, K, 2) px, confidence (T, K), filled (T, K)
<field>.mjpeg      pictures, one JPEG behind the other; `offsets` in the json says where
stems.wav          sources, a channel each, 32-bit floats; `stems` in the json names them
"""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avpipe.export import _encode as encode
from avpipe.types import Clip

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
    for field, points in encode.keypoints(clip).items():
        arrays = {"xy": points.xy, "confidence": points.confidence, "filled": points.filled}
        yield f"{field}.npz", encode.npz(**arrays)
        more[field] = {"topology": points.topology.name, "joints": points.topology.joints}
    for field, pictures in encode.images(clip).items():
        yield f"{field}.mjpeg", pictures.jpeg.tobytes()
        more[field] = {
            "frames": pictures.frames.tolist(),
            "offsets": pictures.offsets.tolist(),
            "held": None if pictures.held is None else pictures.held.tolist(),
        }
    if stems := encode.stems(clip):
        yield "stems.wav", encode.wav(stems.audio.T, clip.sample_rate)
        more["stems"] = list(stems.names)
    yield "json", json.dumps(facts | more, sort_keys=True).encode()
