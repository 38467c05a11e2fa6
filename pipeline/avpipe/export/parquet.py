"""Parquet: a row a clip, as the `datasets` library and most other table readers take it.

`<dataset>-00000.parquet`, ... of about 512 MB, a row group a clip. Sound is a struct {bytes, path}
with a FLAC file, pictures are lists of {bytes, path} with a JPEG file each, which is what that
library calls Audio and Image. Keypoints are {xy: T * K * 2, confidence: T * K, filled: T * K}, flat
lists in that order; joints and topologies are in the metadata of the schema. Stems are a list of
{name, bytes} with a WAV file of 32-bit floats each, notes a list of {source, player, onset_seconds
from the start of the clip, duration_seconds, pitch_hz}, what is seen of players a list of {name,
square, ...} with their keypoints or images.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from avpipe.export import _encode as encode
from avpipe.images import Images
from avpipe.shards.layout import kind
from avpipe.types import Clip, Keypoints

if TYPE_CHECKING:
    from avpipe.dataset import Dataset

FILE_BYTES = 512 * 2**20

_KEYPOINTS = [
    ("xy", pa.list_(pa.float32())),
    ("confidence", pa.list_(pa.float32())),
    ("filled", pa.list_(pa.bool_())),
]
_PLAYER = [("name", pa.string()), ("square", pa.list_(pa.int64()))]
_FILE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_TYPES: Mapping[str, pa.DataType] = {
    "audio": _FILE,
    "images": pa.list_(_FILE),
    "crops": pa.list_(_FILE),
    "stems": pa.list_(pa.struct([("name", pa.string()), ("bytes", pa.binary())])),
    "notes": pa.list_(
        pa.struct(
            [
                ("source", pa.string()),
                ("player", pa.int32()),
                ("onset_seconds", pa.float64()),
                ("duration_seconds", pa.float64()),
                ("pitch_hz", pa.float64()),
            ]
        )
    ),
    "keypoints": pa.struct(_KEYPOINTS),
    "player_keypoints": pa.list_(pa.struct([*_PLAYER, *_KEYPOINTS])),
    "player_images": pa.list_(pa.struct([*_PLAYER, ("images", pa.list_(_FILE))])),
}
_FACTS = {
    "recording": pa.string(),
    "category": pa.string(),
    "split": pa.string(),
    "start_frame": pa.int64(),
    "stop_frame": pa.int64(),
    "start_seconds": pa.float64(),
    "stop_seconds": pa.float64(),
    "licence": pa.string(),
    "fps": pa.float64(),
    "sample_rate": pa.int64(),
}


def write(dataset: "Dataset", out: Path, file_bytes: int = FILE_BYTES) -> None:
    """Writes the files."""
    schema = _schema(dataset)
    number, writer = -1, None
    try:
        for facts, clip in encode.rows(dataset):
            path = out / f"{dataset.name}-{max(number, 0):05d}.parquet"
            if writer is None or path.stat().st_size >= file_bytes:
                if writer is not None:
                    writer.close()
                number += 1
                path = out / f"{dataset.name}-{number:05d}.parquet"
                writer = pq.ParquetWriter(path, schema, compression="zstd")
            row = {**dict.fromkeys(schema.names), **facts, **_columns(clip)}
            writer.write_table(pa.Table.from_pylist([row], schema=schema))
    finally:
        if writer is not None:
            writer.close()


def _schema(dataset: "Dataset") -> pa.Schema:
    topologies = {
        field: {"topology": t.name, "joints": t.joints, "parents": t.parents}
        for field in dataset.fields
        if kind(field) in ("keypoints", "player_keypoints")
        and (t := dataset.topology_of(field)) is not None
    }
    columns = [*_FACTS.items(), *((field, _TYPES[kind(field)]) for field in dataset.fields)]
    return pa.schema(columns, metadata={"topologies": json.dumps(topologies, sort_keys=True)})


def _columns(clip: Clip) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if clip.audio is not None:
        columns["audio"] = {"bytes": encode.flac(clip.audio, clip.sample_rate), "path": None}
    for field, points in encode.keypoints(clip).items():
        columns[field] = _keypoints(points)
    for field, pictures in encode.images(clip).items():
        columns[field] = _images(pictures)
    for field, players in encode.players(clip).items():
        columns[field] = [
            {"name": name, "square": square}
            | (_keypoints(view) if isinstance(view, Keypoints) else {"images": _images(view)})
            for name, square, view in zip(
                players.names, players.squares, players.views, strict=True
            )
        ]
    if stems := encode.stems(clip):
        columns["stems"] = [
            {"name": name, "bytes": encode.wav(sound, clip.sample_rate)}
            for name, sound in zip(stems.names, stems.audio, strict=True)
        ]
    if (notes := encode.notes(clip)) is not None:
        rows = zip(*(getattr(notes, name).tolist() for name in encode.NOTE_COLUMNS), strict=True)
        columns["notes"] = [
            dict(zip(encode.NOTE_COLUMNS, row, strict=True)) | {"source": notes.names[row[3]]}
            for row in rows
        ]
    return columns


def _keypoints(points: Keypoints) -> dict[str, Any]:
    arrays = {"xy": points.xy, "confidence": points.confidence, "filled": points.filled}
    return {name: array.ravel() for name, array in arrays.items() if array is not None}


def _images(pictures: Images) -> list[dict[str, Any]]:
    encoded = (pictures.encoded(i) for i in range(len(pictures)))
    return [{"bytes": jpeg, "path": None} for jpeg in encoded]
