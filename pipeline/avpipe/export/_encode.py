"""Arrays of a clip as the bytes of files that other tools read."""

import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from avpipe.images import Images
from avpipe.types import Clip, Float32, Keypoints, Notes, Players, Stems

NOTE_COLUMNS = ("onset_seconds", "duration_seconds", "pitch_hz", "source", "player")


def flac(samples: Float32, sample_rate: int) -> bytes:
    """(N,) samples in [-1, 1) as FLAC of 16 bits: without loss, as the shards hold them."""
    import soundfile

    buffer = io.BytesIO()
    values = np.rint(samples * 32768).astype(np.int16)
    soundfile.write(buffer, values, sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def wav(samples: Float32, sample_rate: int) -> bytes:
    """(N,) or (N, S) samples as WAV of 32-bit floats; equal samples give equal bytes."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format="WAV", subtype="FLOAT")
    content = bytearray(buffer.getvalue())
    peak = content.find(b"PEAK", 0, content.index(b"data"))
    if peak >= 0:  # identifier, size, version, and the time of writing
        content[peak + 12 : peak + 16] = bytes(4)
    return bytes(content)


def npz(**arrays: Any) -> bytes:
    """Arrays as a NumPy archive; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def keypoints(clip: Clip) -> Mapping[str, Keypoints]:
    """Field -> keypoints, of those a clip has."""
    found = {n: v for n, v in clip.fields.items() if isinstance(v, Keypoints)}
    return ({"skeleton": clip.keypoints} if clip.keypoints else {}) | found


def images(clip: Clip) -> Mapping[str, Images]:
    """Field -> pictures, of those a clip has."""
    return {n: v for n, v in clip.fields.items() if isinstance(v, Images)}


def players(clip: Clip) -> Mapping[str, Players]:
    """Field -> what is seen of each player, of those a clip has."""
    return {n: v for n, v in clip.fields.items() if isinstance(v, Players)}


def notes(clip: Clip) -> Notes | None:
    """The notes of a clip, if it has some."""
    return next((v for v in clip.fields.values() if isinstance(v, Notes)), None)


def stems(clip: Clip) -> Stems | None:
    """The sources of a clip, if it has some."""
    return next((v for v in clip.fields.values() if isinstance(v, Stems)), None)


def rows(dataset: Any) -> Iterator[tuple[dict[str, Any], Clip]]:
    """Every clip with the facts of its row of the index, read one at a time."""
    columns = "recording category split start_frame stop_frame start_seconds stop_seconds licence"
    for i, row in enumerate(dataset.index[columns.split()].to_dict("records")):
        facts = {name: None if value != value else value for name, value in row.items()}
        yield facts | {"fps": dataset.fps, "sample_rate": dataset.sample_rate}, dataset.clip(i)
