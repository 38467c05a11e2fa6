"""Keypoints of one video in a file of their own, for people and for other programs.

One file holds one field of T frames in K joints, as `.h5`, `.json` or `.csv`:

h5    attributes `format`, `version`, `field`, `fps`, `frames`, `topology`, `joints`, `parents`,
      `left_hand`, `right_hand`, `mirror` and `detector` (JSON); datasets `xy` (T, K, 2) float32 px
      and `confidence` (T, K) float32: a recording of a keypoints shard (`schemas/shard.toml`)
json  {"format", "version", "field", "fps", "topology", "detector", "joints": [K names],
      "bones": [[parent, child], ...], "frames": [{"frame": t, "seconds": t / fps,
      "joints": {name: [x, y, confidence], ...}}, ...]}; joints that are not detected are left out
csv   one row a frame: `frame`, `seconds`, then `<joint>_x`, `<joint>_y`, `<joint>_confidence` of
      every joint; cells of a joint that is not detected are 0

Confidence is in [0, 1], 0 = not detected. Numbers are written so that they read back as the same
float32. A csv does not say which detector it is from, nor of which field it is.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avpipe.errors import AvpipeError, UsageError
from avpipe.keypoints.topologies import names, topology
from avpipe.types import Float32, Keypoints, Topology

FORMAT, VERSION = "avpipe-keypoints", 1
_FRAMES = 256
"""Frames that are put into words at a time."""


@dataclass(frozen=True, eq=False)
class KeypointsFile:
    """What such a file holds."""

    keypoints: Keypoints
    fps: float
    """Frames per second."""
    field: str = "skeleton"
    detector: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Identity of what found them; empty if it is not known."""


def write(path: Path, content: KeypointsFile, format: str) -> None:
    """Writes the file in one of `FORMATS`, whatever its name ends with."""
    _FORMATS[format].write(path, content)


def read(path: Path) -> KeypointsFile:
    """Reads a file that `write` wrote.

    Raises:
        UsageError: it is no such file; the text says what is wrong with it.
    """
    ending = path.suffix.lower().removeprefix(".")
    if ending not in _FORMATS:
        raise UsageError(f"{path}: files of keypoints end with {', '.join(FORMATS)}")
    try:
        return _FORMATS[ending].read(path)
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist") from None
    except (AvpipeError, KeyError, ValueError, TypeError, AttributeError, OSError) as error:
        text = " ".join(str(error).split())
        raise UsageError(f"{path} is no file of keypoints as avpipe writes them: {text}") from error


def _write_h5(path: Path, content: KeypointsFile) -> None:
    import h5py

    from avpipe.shards.write import set_attributes

    keypoints, layout = content.keypoints, content.keypoints.topology
    with h5py.File(path, "w", libver="v110") as file:
        attributes = {
            **_head(content),
            "fps": float(content.fps),
            "frames": len(keypoints),
            "detector": json.dumps(dict(content.detector), sort_keys=True),
            "joints": list(layout.joints),
            "parents": list(layout.parents),
            "left_hand": list(layout.left_hand),
            "right_hand": list(layout.right_hand),
            "mirror": list(layout.mirror),
        }
        set_attributes(file, attributes)
        file.create_dataset("xy", data=keypoints.xy.astype("<f4"), track_times=False)
        confidence = keypoints.confidence.astype("<f4")
        file.create_dataset("confidence", data=confidence, track_times=False)


def _read_h5(path: Path) -> KeypointsFile:
    import h5py

    from avpipe.shards import open as shard

    path.stat()  # a missing file is told from one that is not HDF5
    with h5py.File(path, "r", locking=False) as file:
        attributes = shard.attributes_of(file)
        _check(attributes)
        keypoints = Keypoints(
            np.asarray(shard.dataset(file, "xy")[()], np.float32),
            np.asarray(shard.dataset(file, "confidence")[()], np.float32),
            shard.topology_of(file),
        )
    detector = json.loads(attributes["detector"])
    _check_values(keypoints.xy, keypoints.confidence)
    return KeypointsFile(keypoints, float(attributes["fps"]), attributes["field"], detector)


def _write_json(path: Path, content: KeypointsFile) -> None:
    layout = content.keypoints.topology
    head = {
        **_head(content),
        "fps": content.fps,
        "detector": dict(content.detector),
        "joints": list(layout.joints),
        "bones": [[layout.joints[p], layout.joints[j]] for p, j in layout.bones],
    }
    text = json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}")
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{text},\n "frames": [')
        for start, values in _parts(content.keypoints):
            for t, frame in enumerate(values.tolist(), start):
                found = {n: v for n, v in zip(layout.joints, frame, strict=True) if v[2] > 0}
                row = {"frame": t, "seconds": _seconds(t, content), "joints": found}
                file.write(f"{',' if t else ''}\n{json.dumps(row)}")  # a line a frame
        file.write("\n]}\n")


def _read_json(path: Path) -> KeypointsFile:
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise ValueError("it is not an object")
    _check(document)
    layout = topology(document["topology"])
    if list(layout.joints) != document["joints"]:
        raise ValueError(f"its joints are not those of {layout.name}")
    values = np.zeros((len(document["frames"]), len(layout), 3), np.float32)
    for t, frame in enumerate(document["frames"]):
        for joint, found in frame["joints"].items():
            values[t, layout.index(joint)] = found
    return KeypointsFile(
        _keypoints(values, layout), float(document["fps"]), document["field"], document["detector"]
    )


def _write_csv(path: Path, content: KeypointsFile) -> None:
    import pandas as pd

    columns = _columns(content.keypoints.topology)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(["frame", "seconds", *columns]) + "\n")
        for start, values in _parts(content.keypoints):
            frames = range(start, start + len(values))
            table = pd.DataFrame(values.reshape(len(values), len(columns)))
            table.insert(0, "frame", frames)
            table.insert(1, "seconds", [_seconds(t, content) for t in frames])
            table.to_csv(file, index=False, header=False, lineterminator="\n")


def _read_csv(path: Path) -> KeypointsFile:
    import pandas as pd

    table = pd.read_csv(path, float_precision="round_trip")
    found = list(table.columns)
    layout = next((t for t in map(topology, names()) if found[2:] == _columns(t)), None)
    if layout is None or found[:2] != ["frame", "seconds"]:
        raise ValueError("its columns are those of no topology")
    values = table.iloc[:, 2:].to_numpy(np.float32).reshape(len(table), len(layout), 3)
    seconds = table["seconds"].to_numpy(np.float64)
    fps = round((len(table) - 1) / seconds[-1], 3) if len(table) > 1 else 25.0
    return KeypointsFile(_keypoints(values, layout), fps)


def _head(content: KeypointsFile) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "field": content.field,
        "topology": content.keypoints.topology.name,
    }


def _check(attributes: Mapping[str, Any]) -> None:
    found = attributes.get("format"), attributes.get("version")
    if found != (FORMAT, VERSION):
        raise ValueError(f"it is {found}, not {(FORMAT, VERSION)}")
    if not 0 < float(attributes["fps"]) < math.inf:
        raise ValueError(f"fps is {attributes['fps']}")


def _seconds(frame: int, content: KeypointsFile) -> float:
    return round(frame / content.fps, 6)


def _parts(keypoints: Keypoints) -> Iterator[tuple[int, Any]]:
    """Some frames at a time, for text takes room: the first one, and (t, K, 3) x, y and confidence
    as the shortest decimals that give the same float32; all 0 for what is not detected."""
    for start in range(0, len(keypoints), _FRAMES):
        part = keypoints[start : start + _FRAMES]
        values = np.concatenate([part.xy, part.confidence[:, :, None]], axis=2)
        values[part.confidence <= 0] = 0
        yield start, values.astype(np.float32).astype(str).astype(np.float64)


def _keypoints(values: Float32, layout: Topology) -> Keypoints:
    _check_values(values[:, :, :2], values[:, :, 2])
    return Keypoints(values[:, :, :2], values[:, :, 2], layout)


def _check_values(xy: Float32, confidence: Float32) -> None:
    if not (np.isfinite(xy).all() and np.isfinite(confidence).all()):
        raise ValueError("it holds values that are no finite numbers")
    if ((confidence < 0) | (confidence > 1)).any():
        raise ValueError("it holds confidences that are not in [0, 1]")


def _columns(layout: Topology) -> list[str]:
    return [f"{joint}_{what}" for joint in layout.joints for what in ("x", "y", "confidence")]


@dataclass(frozen=True, slots=True)
class _Format:
    write: Callable[[Path, KeypointsFile], None]
    read: Callable[[Path], KeypointsFile]


_FORMATS = {
    "h5": _Format(_write_h5, _read_h5),
    "json": _Format(_write_json, _read_json),
    "csv": _Format(_write_csv, _read_csv),
}
FORMATS = tuple(_FORMATS)
"""How a file's name may end."""
