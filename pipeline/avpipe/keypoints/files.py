"""Keypoints on disk: `<field>_xy.npy`, `<field>_confidence.npy`, and `<field>_filled.npy` after
interpolation, beside a JSON summary that names the fields and their topologies.

Reading maps the files into memory: only the frames that are used are read.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avpipe.keypoints.topologies import topology
from avpipe.types import Keypoints


@dataclass(frozen=True, slots=True)
class Summary:
    """What `detect.json` or `interpolate.json` says."""

    present: bool
    """False: the recording has no video and hence no keypoints."""
    frames: int
    """T of the recording, also without keypoints."""
    fields: Mapping[str, str]
    """Field -> topology of its keypoints; empty if not present."""


def save(folder: Path, field: str, keypoints: Keypoints) -> None:
    """Writes the arrays of one field; the same keypoints give the same bytes."""
    _write(folder / f"{field}_xy.npy", keypoints.xy, np.float32)
    _write(folder / f"{field}_confidence.npy", keypoints.confidence, np.float32)
    if keypoints.filled is not None:
        _write(folder / f"{field}_filled.npy", keypoints.filled, np.bool_)


def load(folder: Path, field: str, topology_name: str) -> Keypoints:
    """One field as `save` wrote it, memory-mapped and read-only.

    Raises:
        AvpipeError: the arrays do not fit the topology.
    """
    filled = folder / f"{field}_filled.npy"
    return Keypoints(
        _read(folder / f"{field}_xy.npy"),
        _read(folder / f"{field}_confidence.npy"),
        topology(topology_name),
        _read(filled) if filled.exists() else None,
    )


def write_summary(path: Path, frames: int, keypoints: Mapping[str, Keypoints] | None) -> None:
    """Writes the summary of a recording of T frames; `keypoints` is None without a video."""
    fields = {field: k.topology.name for field, k in (keypoints or {}).items()}
    summary = Summary(present=keypoints is not None, frames=frames, fields=fields)
    path.write_text(json.dumps(asdict(summary), sort_keys=True, indent=1) + "\n", encoding="utf-8")


def read_summary(path: Path) -> Summary:
    """What `write_summary` wrote."""
    return Summary(**json.loads(path.read_text(encoding="utf-8")))


def _write(path: Path, array: Any, dtype: Any) -> None:
    np.save(path, np.ascontiguousarray(array, dtype), allow_pickle=False)


def _read(path: Path) -> Any:
    return np.load(path, mmap_mode="r", allow_pickle=False)
