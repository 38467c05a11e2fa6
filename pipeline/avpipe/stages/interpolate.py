"""interpolate: fills gaps in the skeleton over the whole recording, so that segments never change
the values.

Takes the keypoints of `detect`; gives the same fields with a mask of what was filled, and
`interpolate.json` as `avpipe.keypoints.files` has it. Only `skeleton` is filled: face landmarks
come all or none and are passed on as they are.
"""

from dataclasses import dataclass, replace

import numpy as np

from avpipe.keypoints import files, interpolate
from avpipe.stages import Facts, Job, Pool
from avpipe.types import Keypoints

NEEDS = ("detect",)
POOL: Pool = "cpu"
VERSION = 1


@dataclass(frozen=True)
class Config:
    """Parameters of `interpolate`."""

    max_fill_frames: int = 25
    """Longest gap that is filled; without effect in legacy mode."""
    legacy: bool = False
    """Fill as the published Solos code did."""

    def __post_init__(self) -> None:
        if self.max_fill_frames < 0:
            raise ValueError("max_fill_frames must be at least 0")


def tool(config: Config) -> Facts:
    """Nothing outside avpipe shapes the result."""
    return {}


def run(job: Job) -> Facts:
    """Writes the filled keypoints; facts: the share of joints detected and filled, per field."""
    detect = job.inputs["detect"]
    summary = files.read_summary(detect / "detect.json")
    facts: Facts = {"frames": summary.frames}
    done: dict[str, Keypoints] = {}
    for field, topology_name in summary.fields.items():
        found = files.load(detect, field, topology_name)
        keypoints = fill(found, job.config) if field == "skeleton" else _unfilled(found)
        files.save(job.out, field, keypoints)
        done[field] = keypoints
        facts[field] = shares(keypoints)
    present = done if summary.present else None
    files.write_summary(job.out / "interpolate.json", summary.frames, present)
    return facts


def fill(found: Keypoints, config: Config) -> Keypoints:
    """Keypoints with their gaps filled."""
    xy, filled = interpolate(
        found.xy,
        found.confidence,
        found.topology,
        config.legacy,
        max_fill_frames=config.max_fill_frames,
    )
    return replace(found, xy=xy, filled=filled)


def _unfilled(found: Keypoints) -> Keypoints:
    return replace(found, filled=np.zeros(found.confidence.shape, np.bool_))


def shares(keypoints: Keypoints) -> Facts:
    """Shares of joints and frames that were detected, and that were filled."""
    cells = max(keypoints.confidence.size, 1)
    filled = 0 if keypoints.filled is None else np.count_nonzero(keypoints.filled)
    return {
        "detected": round(np.count_nonzero(keypoints.confidence) / cells, 4),
        "filled": round(filled / cells, 4),
    }
