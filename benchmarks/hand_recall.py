"""How often a musician's hands are found, and how near the numbers are to MediaPipe's own.

    python benchmarks/hand_recall.py [--step 4] [--clips FILE ...]

Recall: share of frames in which any hand, both, the left, the right one is detected, for the
official solutions (tracking, as usually run), and for the detector `mediapipe` with its recipes.
The trumpeter's left hand is hidden behind the right one: there 0 is the right answer for "both",
and what the official solutions report as two hands is the right one twice. Jitter is the median
second difference of the body's joints, px.

Parity: `mediapipe` with recipe per-frame against the official solutions in static mode on every
`--step`-th frame, px per joint.

Prints both tables, writes them into docs/detection.md and the numbers into
benchmarks/results/hand_recall.json, and draws docs/hands.jpg, a frame of each clip.
"""

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from avpipe import detectors
from avpipe.detectors import Detector, Frame
from avpipe.media import decode_frames
from avpipe.report.raster import draw_person
from avpipe.types import Keypoints
from machine import machine, save

RESOURCES = Path(__file__).parent.parent / "tests" / "resources"
CLIPS = [RESOURCES / f"{name}.mp4" for name in ("urmp_vln1", "urmp_09_tpt_crop", "urmp_09_vn_crop")]
DOCUMENT = Path(__file__).parents[1] / "docs" / "detection.md"
PICTURE = DOCUMENT.with_name("hands.jpg")
_BEGIN, _END = "<!-- tables of benchmarks/hand_recall.py -->", "<!-- end of the tables -->"
_DRAWN = 60
"""Frame of each clip that is drawn."""
_BODY = 25
"""Joints of `openpose67` before the hands."""


def hands(skeleton: Keypoints) -> Any:
    """(T, 2) whether the left and the right hand are detected."""
    sides = (skeleton.topology.left_hand, skeleton.topology.right_hand)
    return np.stack([(skeleton.confidence[:, j] > 0).mean(axis=1) > 0.5 for j in sides], -1)


def recall(skeleton: Keypoints) -> dict[str, float]:
    """Shares of frames, and the body's jitter in px."""
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


def tables(result: dict[str, Any]) -> str:
    """Recall and parity as they stand in the documentation."""
    lines = [
        "| share of frames with | any hand | both | left | right | jitter of the body, px |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in result["recall"].items():
        shares = " | ".join(f"{row[hand]:.3f}" for hand in ("any", "both", "left", "right"))
        lines.append(f"| {name} | {shares} | {row['body_jitter_px']:.2f} |")
    lines += [
        "",
        "| px from the static mode | frames | median | p95 | p99 | max | frames that differ |",
        "|---|---|---|---|---|---|---|",
    ]
    for clip, row in result["parity_px"].items():
        for part in ("hands", "body"):
            gaps = " | ".join(f"{row[part][name]:.4f}" for name in ("median", "p95", "p99", "max"))
            other = row[f"frames_with_other_{part}"]
            lines.append(f"| {clip} {part} | {row['frames']} | {gaps} | {other} |")
    return "\n".join(lines)


def write_table(text: str, begin: str = _BEGIN, end: str = _END) -> None:
    """Puts tables into the documentation, between two marks."""
    before, _, rest = DOCUMENT.read_text().partition(begin)
    _, _, after = rest.partition(end)
    DOCUMENT.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def draw(found: dict[str, dict[str, Keypoints]], clips: Sequence[Path]) -> None:
    """A row a clip, a column a way to detect: what was found in one frame."""
    rows = []
    for clip in clips:
        frame = next(islice(decode_frames(clip), _DRAWN, None))
        cells = []
        for name, skeleton in found[clip.stem].items():
            drawn = np.array(frame)
            draw_person(drawn, skeleton, _DRAWN)
            cell = Image.fromarray(drawn[-min(drawn.shape[:2]) :])
            cell.thumbnail((420, 300))
            ImageDraw.Draw(cell).text(
                (6, 4), name, fill="white", stroke_width=2, stroke_fill="black"
            )
            cells.append(np.asarray(cell))
        rows.append(np.concatenate(cells, axis=1))
    width = max(row.shape[1] for row in rows)
    padded = [
        np.pad(r, ((0, 4), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in rows
    ]
    Image.fromarray(np.concatenate(padded)).save(PICTURE, quality=82)


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
    found: dict[str, dict[str, Keypoints]] = {}
    parities = {}
    for clip in given.clips:
        found[clip.stem] = {
            name: detector.detect(decode_frames(clip))["skeleton"]
            for name, detector in ({"official, tracking": official} | recipes).items()
        }
        frames = list(islice(decode_frames(clip), 0, None, given.step))
        parities[clip.stem] = parity(recipes["per-frame"], static, frames)
    result = {
        "machine": machine("mediapipe", "ai-edge-litert", "numpy", "av"),
        "recall": {
            f"{clip} {name}": recall(skeleton)
            for clip, by_name in found.items()
            for name, skeleton in by_name.items()
        },
        "parity_px": parities,
        "parity_step": given.step,
    }
    print(tables(result))
    if given.clips == CLIPS:
        write_table(tables(result))
        draw(found, CLIPS)
    save("hand_recall", result)


if __name__ == "__main__":
    main()
