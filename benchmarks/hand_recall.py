"""How often a musician's hands are found, and how near the numbers are to MediaPipe's own.

    python benchmarks/hand_recall.py [--step 4] [--clips FILE ...]

Recall: share of frames in which any hand, both, the left, the right one is detected, for the
official solutions (tracking, as usually run), and for the detector `mediapipe` with its recipes.
The trumpeter's left hand is hidden behind the right one: there 0 is the right answer for "both",
and what the official solutions report as two hands is the right one twice. Jitter is the median
second difference of the body's joints, px.

Parity: `mediapipe` with recipe per-frame against the official solutions in static mode on every
`--step`-th frame, px per joint.

Prints both tables and writes benchmarks/results/hand_recall.json.
"""

import argparse
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from avpipe import detectors
from avpipe.detectors import Detector, Frame
from avpipe.media import decode_frames
from avpipe.types import Keypoints
from machine import machine, save

RESOURCES = Path(__file__).parent.parent / "tests" / "resources"
CLIPS = [RESOURCES / f"{name}.mp4" for name in ("urmp_vln1", "urmp_09_tpt_crop", "urmp_09_vn_crop")]
_BODY = 25
"""Joints of `openpose67` before the hands."""


def hands(skeleton: Keypoints) -> Any:
    """(T, 2) whether the left and the right hand are detected."""
    sides = (skeleton.topology.left_hand, skeleton.topology.right_hand)
    return np.stack([(skeleton.confidence[:, j] > 0).mean(axis=1) > 0.5 for j in sides], -1)


def recall(detector: Detector, clip: Path) -> dict[str, float]:
    """Shares of frames, and the body's jitter in px."""
    skeleton = detector.detect(decode_frames(clip))["skeleton"]
    seen = hands(skeleton)
    known = (skeleton.confidence[:, :_BODY] > 0).all(axis=0)
    jerks = np.linalg.norm(np.diff(skeleton.xy[:, :_BODY][:, known], n=2, axis=0), axis=-1)
    shares = {
        "any": seen.any(axis=1), "both": seen.all(axis=1), "left": seen[:, 0], "right": seen[:, 1]
    }  # fmt: skip
    return {name: round(float(share.mean()), 3) for name, share in shares.items()} | {
        "body_jitter_px": round(float(np.median(jerks)), 2)
    }


def parity(ours: Detector, official: Detector, frames: list[Frame]) -> dict[str, Any]:
    """Distances of joints that both see, and frames in which they see other things."""
    one, other = (detector.detect(frames)["skeleton"] for detector in (ours, official))
    gaps = np.linalg.norm(one.xy - other.xy, axis=-1)
    both = (one.confidence > 0) & (other.confidence > 0)
    return {
        "frames": len(frames),
        "hands": percentiles(gaps[:, _BODY:][both[:, _BODY:]]),
        "body": percentiles(gaps[:, :_BODY][both[:, :_BODY]]),
        "frames_with_other_hands": int((hands(one) != hands(other)).any(axis=1).sum()),
        "frames_with_other_body": int(
            ((one.confidence > 0) != (other.confidence > 0))[:, :_BODY].any(axis=1).sum()
        ),
    }


def percentiles(gaps: Any) -> dict[str, float]:
    """Median, 95th and 99th percentile and maximum, px."""
    values = np.percentile(gaps, [50, 95, 99, 100]) if len(gaps) else np.zeros(4)
    names = ("median", "p95", "p99", "max")
    return {name: round(float(v), 4) for name, v in zip(names, values, strict=True)}


def table(title: str, rows: dict[str, dict[str, Any]]) -> None:
    """Prints rows of flat values."""
    columns = list(next(iter(rows.values())))
    print(f"\n{title}\n{'':48}" + "".join(f"{column:>16}" for column in columns))
    for name, row in rows.items():
        print(f"{name:48}" + "".join(f"{row[column]!s:>16}" for column in columns))


def main() -> None:
    """Runs both comparisons."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--step", type=int, default=4, help="parity on every so manieth frame")
    parser.add_argument("--clips", type=Path, nargs="+", default=CLIPS)
    given = parser.parse_args()
    official = detectors.create("mediapipe-solutions")
    static = detectors.create("mediapipe-solutions", tracking=False)
    recipes = {
        name: detectors.create("mediapipe", recipe=name) for name in ("per-frame", "performer")
    }
    recalls, parities = {}, {}
    for clip in given.clips:
        recalls[f"{clip.stem} official, tracking"] = recall(official, clip)
        for name, detector in recipes.items():
            recalls[f"{clip.stem} {name}"] = recall(detector, clip)
        frames = list(islice(decode_frames(clip), 0, None, given.step))
        parities[clip.stem] = parity(recipes["per-frame"], static, frames)
    table("share of frames with a hand", recalls)
    flat = {
        f"{clip} {part}": found[part] | {"frames differ": found[f"frames_with_other_{part}"]}
        for clip, found in parities.items()
        for part in ("hands", "body")
    }
    table("px between per-frame and the official solutions, static", flat)
    result = {
        "machine": machine("mediapipe", "ai-edge-litert", "numpy", "av"),
        "recall": recalls,
        "parity_px": parities,
        "parity_step": given.step,
    }
    save("hand_recall", result)


if __name__ == "__main__":
    main()
