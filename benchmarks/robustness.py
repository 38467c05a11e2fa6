"""How well the hands of musicians are found in poor pictures: dark, blurred, small, compressed.

    python benchmarks/robustness.py [--clips FILE ...] [--changes NAME ...] [--frames 30]
                                    [--overlays FOLDER]

Real clips are changed as real videos are poor. What is really there is what `performer` finds in
the unchanged clip, moved as the change moves it, so the figures say what a change costs, not what
is missed already without it. Of hands that are there and inside the changed picture:

- body: share of frames in which head and shoulders are found
- hands: share of hands found on the same side, the joints within a quarter of the hand's size
- askew: share of hands in whose place a hand is claimed that lies farther from the real one
- other side: share of hands found as the player's other hand
- false: where there is no hand on that side, share of frames in which one is claimed
- jitter: median second difference of the joints of found hands, in hundredths of the hand's size

A hand's size is the diagonal of the box around it. Parts of the clips in which nobody is are
changed in the same ways: no hand may be found there.

Prints the table, writes it into docs/detection.md and the numbers into
benchmarks/results/robustness.json. Figures of the detector's version before, if they were there,
stay beside the new ones.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from avpipe import detectors
from avpipe.detectors.mediapipe import VERSION
from avpipe.media import decode_frames
from avpipe.report.overlay_video import write_video
from avpipe.report.raster import draw_person
from avpipe.types import Keypoints
from ensemble import HANDS, LAYOUT, NEAR_TRUNK, TRUNK
from hand_recall import CLIPS as MUSICIANS
from hand_recall import RESOURCES, write_table
from machine import RESULTS, machine, save

OTHERS = [RESOURCES / name for name in ("asl_hand.25fps.mp4", "intel_asl_thanks.mkv")]
"""Signers: one hand that fills the picture, somebody standing."""
NEAR_HAND, INSIDE = 0.25, 0.9
"""What is nearer than this many sizes is the same hand; it is in view if this share of it is."""
FRAMES, EMPTY_FRAMES = 30, 5
BEGIN, END = "<!-- table of benchmarks/robustness.py -->", "<!-- end of the poor pictures -->"

Frames = Any
"""(T, H, W, 3) uint8 RGB."""


@dataclass(frozen=True)
class View:
    """A changed clip, and how it shows the positions of the clip."""

    frames: Frames
    scale: float = 1.0
    corner: tuple[float, float] = (0.0, 0.0)
    """Where the upper left corner of the clip is, px of the changed picture."""
    mirrored: bool = False

    def shows(self, known: Keypoints) -> Keypoints:
        """What was found in the clip, where it is now."""
        xy = (known.xy + 0.5) * self.scale + np.array(self.corner) - 0.5
        if not self.mirrored:
            return Keypoints(xy.astype(np.float32), known.confidence, known.topology)
        xy[..., 0] = self.frames.shape[2] - 1 - xy[..., 0]
        swap = list(known.topology.mirror)
        return Keypoints(
            xy[:, swap].astype(np.float32), known.confidence[:, swap], known.topology
        )  # fmt: skip


# --- light and colour


def levels(frames: Frames, curve: Callable[[Any], Any]) -> View:
    """Grey levels in [0, 1] by a curve."""
    table = np.rint(255 * curve(np.arange(256) / 255).clip(0, 1)).astype(np.uint8)
    return View(table[frames])


def tinted(frames: Frames, gains: tuple[float, float, float]) -> View:
    """Light of another colour."""
    return View(np.rint(frames * np.array(gains)).clip(0, 255).astype(np.uint8))


def noisy(frames: Frames, deviation: float, light: float = 1.0) -> View:
    """Noise of a sensor, of so many grey levels, in so much light."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, deviation, frames.shape).astype(np.float32)
    return View(np.rint(frames * light + noise).clip(0, 255).astype(np.uint8))


# --- sharpness and size


def smeared(frames: Frames, share: float) -> View:
    """Moved sideways while the shutter was open, by a share of the height."""
    length = max(round(share * frames.shape[1]), 2)
    return View(np.stack([cv2.blur(f, (length, 1)) for f in frames]))


def defocused(frames: Frames, share: float) -> View:
    """Out of focus: a Gaussian of so many heights."""
    sigma = share * frames.shape[1]
    return View(np.stack([cv2.GaussianBlur(f, (0, 0), sigma) for f in frames]))


def smaller(frames: Frames, height: int, crf: int) -> View:
    """Scaled to a height and compressed, as old videos are."""
    scale = height / frames.shape[1]
    width = round(frames.shape[2] * scale / 2) * 2
    small = [cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames]
    return View(compressed(np.stack(small), crf), scale)


def compressed(frames: Frames, crf: int) -> Frames:
    """H.264 and back; the same bits on any number of cores."""
    codec = av.CodecContext.create("libx264", "w")
    codec.height, codec.width = frames.shape[1:3]
    codec.pix_fmt, codec.time_base, codec.thread_count = "yuv420p", Fraction(1, 25), 1
    codec.options = {"preset": "veryfast", "crf": str(crf)}
    pictures = (av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in frames)
    packets = [p for picture in (*pictures, None) for p in codec.encode(picture)]
    back = av.CodecContext.create("h264", "r")
    back.extradata = codec.extradata
    decoded = [f for packet in (*packets, None) for f in back.decode(packet)]
    return np.stack([f.to_ndarray(format="rgb24") for f in decoded])


def far(frames: Frames, height: int, width: int, scale: float) -> View:
    """Small in a wide picture, whose walls go on as at the clip's edges."""
    small = [cv2.resize(f, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for f in frames]
    left, top = (width - small[0].shape[1]) // 2, height - small[0].shape[0]
    right = width - small[0].shape[1] - left
    wide = [cv2.copyMakeBorder(f, top, 0, left, right, cv2.BORDER_REPLICATE) for f in small]
    return View(np.stack(wide), scale, (left, top))


# --- what is in the picture


def mirrored(frames: Frames) -> View:
    """Left and right change places."""
    return View(np.ascontiguousarray(frames[:, :, ::-1]), mirrored=True)


def without_an_arm(frames: Frames, truth: Keypoints) -> View | None:
    """Cut at the left elbow."""
    elbow, neck = _middle(truth, "left_elbow"), _middle(truth, "neck")
    if elbow is None or neck is None:
        return None
    x = int(elbow[0])
    return _cut(frames, (0, x) if x > neck[0] else (x, frames.shape[2]), (0, frames.shape[1]))


def upper_body(frames: Frames, truth: Keypoints) -> View | None:
    """Cut below the lower hand."""
    neck, box = _middle(truth, "neck"), _box(truth)
    if neck is None or box is None:
        return None
    return _cut(frames, (0, frames.shape[2]), (0, int(box[3])))


def without_a_head(frames: Frames, truth: Keypoints) -> View | None:
    """Both hands and the neck, from the chin down."""
    neck, box = _middle(truth, "neck"), _box(truth)
    if neck is None or box is None:
        return None
    return _cut(
        frames,
        (int(min(box[0], neck[0])), int(max(box[2], neck[0]))),
        (int(min(box[1], neck[1])), int(max(box[3], neck[1]))),
    )


def _middle(truth: Keypoints, name: str) -> Any:
    """(2,) median position of a joint; None if it is hardly ever seen."""
    joint = LAYOUT.index(name)
    seen = truth.confidence[:, joint] > 0.5
    return np.median(truth.xy[seen, joint], axis=0) if seen.mean() > 0.5 else None


def _box(truth: Keypoints) -> Any:
    """(4,) left, top, right, bottom of where hands come, and a hand around it; None: no hands."""
    joints = [*LAYOUT.left_hand, *LAYOUT.right_hand]
    seen = truth.confidence[:, joints] > 0
    if not seen.any():
        return None
    hands = [_sizes(truth, of_side) for of_side in HANDS.values()]
    size = float(np.median(np.concatenate([size[there] for there, size in hands])))
    xy = truth.xy[:, joints][seen]
    return np.concatenate([xy.min(axis=0) - size / 2, xy.max(axis=0) + size / 2])


def _cut(frames: Frames, x: tuple[int, int], y: tuple[int, int]) -> View:
    height, width = frames.shape[1:3]
    (left, right), (top, bottom) = np.clip(x, 0, width), np.clip(y, 0, height)
    cut = np.ascontiguousarray(frames[:, top:bottom, left:right])
    return View(cut, corner=(-float(left), -float(top)))


LOOKS: dict[str, Callable[[Frames], View]] = {
    "unchanged": View,
    "half the light": partial(levels, curve=lambda v: v * 0.5),
    "a quarter of the light": partial(levels, curve=lambda v: v * 0.25),
    "an eighth of the light": partial(levels, curve=lambda v: v * 0.125),
    "dark, gamma 3": partial(levels, curve=lambda v: v**3),
    "bright, gamma 0.4": partial(levels, curve=lambda v: v**0.4),
    "a quarter of the contrast": partial(levels, curve=lambda v: 0.5 + (v - 0.5) * 0.25),
    "noise": partial(noisy, deviation=25),
    "a quarter of the light, noise": partial(noisy, deviation=8, light=0.25),
    "red light": partial(tinted, gains=(1.1, 0.35, 0.3)),
    "blue light": partial(tinted, gains=(0.35, 0.5, 1.2)),
    "motion blur, 2 %": partial(smeared, share=0.02),
    "motion blur, 4 %": partial(smeared, share=0.04),
    "out of focus, 0.5 %": partial(defocused, share=0.005),
    "out of focus, 1 %": partial(defocused, share=0.01),
    "360p, compressed": partial(smaller, height=360, crf=33),
    "240p, compressed": partial(smaller, height=240, crf=33),
    "240p, badly compressed": partial(smaller, height=240, crf=40),
    "half as large, in 720p": partial(far, height=720, width=1280, scale=1 / 2),
    "a third, in 720p": partial(far, height=720, width=1280, scale=1 / 3),
    "mirrored": mirrored,
}
"""What can be done to any picture."""
CUTS = {
    "no left forearm": without_an_arm,
    "upper body": upper_body,
    "no head": without_a_head,
}
"""What depends on where the player is."""


def empty_part(frames: Frames, truth: Keypoints) -> Frames:
    """The largest part of the picture on one side of everything that was found in it."""
    height, width = frames.shape[1:3]
    found = truth.xy[truth.confidence > 0]
    margin = 0.06 * max(height, width)
    left, top = (found.min(axis=0) - margin).clip(0).astype(int)
    right, bottom = np.minimum(found.max(axis=0) + margin, (width, height)).astype(int)
    parts = [
        frames[:, :, :left], frames[:, :, right:], frames[:, :top], frames[:, bottom:]
    ]  # fmt: skip
    return max(parts, key=lambda part: part[0].size)[:EMPTY_FRAMES]


# --- figures

SHOWN = [
    *(("musicians", name) for name in ("body", "hands", "askew", "other side", "false", "jitter")),
    ("signers", "hands"),
    ("signers", "false"),
]
COUNTS = ("bodies", "body", "wanted", "hands", "askew", "other side", "none", "false")


def _sizes(hands: Keypoints, joints: list[int]) -> tuple[Any, Any]:
    """(T,) whether there is a hand, and (T,) its size in px."""
    there = (hands.confidence[:, joints] > 0).mean(axis=1) > 0.5
    return there, np.linalg.norm(np.ptp(hands.xy[:, joints], axis=1), axis=-1)


def judge(found: Keypoints, real: Keypoints, shape: tuple[int, int]) -> dict[str, Any]:
    """Counts and jerks of one clip; `shape` is the height and the width of its pictures."""
    inside = ((real.xy >= 0) & (real.xy <= np.array(shape[::-1]) - 1)).all(axis=-1)
    gaps = np.linalg.norm(found.xy - real.xy, axis=-1)
    shoulders = np.linalg.norm(real.xy[:, TRUNK[2]] - real.xy[:, TRUNK[3]], axis=-1)
    bodies = ((real.confidence[:, TRUNK] > 0) & inside[:, TRUNK]).all(axis=1)
    seen = (found.confidence[:, TRUNK] > 0).all(axis=1)
    seen &= gaps[:, TRUNK].mean(axis=1) < NEAR_TRUNK * shoulders
    counts = dict.fromkeys(COUNTS, 0) | {"bodies": bodies.sum(), "body": (seen & bodies).sum()}
    jerks = []
    sides = list(HANDS)
    for side, other in (sides, sides[::-1]):
        there, size = _sizes(real, HANDS[side])
        claimed, _ = _sizes(found, HANDS[side])
        off = np.linalg.norm(found.xy[:, HANDS[side]] - real.xy[:, HANDS[side]], axis=-1)
        right = claimed & there & (off.mean(axis=1) < NEAR_HAND * size)
        elsewhere, _ = _sizes(found, HANDS[other])
        turned = np.linalg.norm(found.xy[:, HANDS[other]] - real.xy[:, HANDS[side]], axis=-1)
        swapped = elsewhere & there & ~right & (turned.mean(axis=1) < NEAR_HAND * size)
        view = inside[:, HANDS[side]].mean(axis=1)
        wanted = there & (view >= INSIDE)
        none = ~there | (view < 1 - INSIDE)
        # A hand on the side of which none is, but which is the other one, counts as that alone.
        others, other_size = _sizes(real, HANDS[other])
        is_other = np.linalg.norm(found.xy[:, HANDS[side]] - real.xy[:, HANDS[other]], axis=-1)
        is_other = others & (is_other.mean(axis=1) < NEAR_HAND * other_size)
        for name, cases in {
            "wanted": wanted,
            "hands": wanted & right,
            "askew": wanted & claimed & ~right & ~is_other,
            "other side": wanted & swapped,
            "none": none,
            "false": none & claimed & ~is_other & ~right,
        }.items():
            counts[name] += cases.sum()
        still = right[2:] & right[1:-1] & right[:-2]
        jerk = np.linalg.norm(np.diff(found.xy[:, HANDS[side]], n=2, axis=0), axis=-1)
        jerks.append((jerk[still] / size[1:-1][still, None]).ravel())
    return {name: int(n) for name, n in counts.items()} | {"jerks": np.concatenate(jerks)}


def shares(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of several clips together; None where nothing is counted."""
    total = {name: sum(row[name] for row in rows) for name in COUNTS}
    jerks = np.concatenate([np.empty(0), *(row["jerks"] for row in rows)])

    def share(part: str, whole: str) -> float | None:
        return round(total[part] / total[whole], 3) if total[whole] else None

    return {
        "bodies": total["bodies"],
        "wanted": total["wanted"],
        "none": total["none"],
        "body": share("body", "bodies"),
        **{name: share(name, "wanted") for name in ("hands", "askew", "other side")},
        "false": share("false", "none"),
        "jitter": round(100 * float(np.median(jerks)), 1) if len(jerks) else None,
    }


def measure(
    clips: list[Path], changes: list[str], length: int, overlays: Path | None
) -> dict[str, Any]:
    """Change -> clip -> counts; and pictures without people and with a hand nevertheless."""
    detector = detectors.create("mediapipe")
    judged: dict[str, dict[str, Any]] = {name: {} for name in changes}
    empty = {"pictures": 0, "with a hand": 0}
    for path in clips:
        frames = np.stack(list(islice(decode_frames(path), length)))
        truth = detector.detect(frames)["skeleton"]
        nobody = empty_part(frames, truth)
        for name in changes:
            view = LOOKS[name](frames) if name in LOOKS else CUTS[name](frames, truth)
            if view is None:
                continue
            found = detector.detect(view.frames)["skeleton"]
            judged[name][path.stem] = judge(found, view.shows(truth), view.frames.shape[1:3])
            if overlays is not None:
                write_overlay(overlays / f"{path.stem}-{name.replace(' ', '-')}.mp4", view, found)
            if name in LOOKS and min(nobody.shape[1:3]) >= 64:
                hands = detector.detect(LOOKS[name](nobody).frames)["skeleton"]
                claimed = [_sizes(hands, joints)[0] for joints in HANDS.values()]
                empty["pictures"] += len(nobody)
                empty["with a hand"] += int(np.logical_or(*claimed).sum())
    return {"judged": judged, "empty": empty}


def write_overlay(target: Path, view: View, found: Keypoints) -> None:
    """What was found in a changed clip, to look at."""
    height, width = (side // 2 * 2 for side in view.frames.shape[1:3])
    drawn = view.frames[:, :height, :width].copy()
    for t, frame in enumerate(drawn):
        draw_person(frame, found, t)
    write_video(target, iter(drawn), 25)


def table(result: dict[str, Any]) -> str:
    """As it stands in the documentation."""
    before = result["before"] or result
    head = " | ".join(figure if who == "musicians" else f"{who}: {figure}" for who, figure in SHOWN)
    lines = [f"| | {head} |", "|---" * (len(SHOWN) + 1) + "|"]
    for name, rows in result["changes"].items():
        pairs = [(before["changes"][name][who][figure], rows[who][figure]) for who, figure in SHOWN]
        cells = (_cell(new) if old == new else f"{_cell(old)} → {_cell(new)}" for old, new in pairs)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    empty = result["empty"]
    lines += ["", f"Parts without people: a hand in {empty['with a hand']} of"
              f" {empty['pictures']} pictures."]  # fmt: skip
    return "\n".join(lines)


def _before() -> dict[str, Any] | None:
    """The last measurement with an earlier version of the detector, of the same frames."""
    path = RESULTS / "robustness.json"
    last = json.loads(path.read_text()) if path.exists() else None
    if last is None or last["detector_version"] == VERSION:
        return last and last["before"]
    return {name: last[name] for name in ("detector_version", "changes", "empty")}


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value <= 1 else f"{value:.1f}"


def main() -> None:
    """Measures the changes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=Path, nargs="+", default=MUSICIANS + OTHERS)
    names = [*LOOKS, *CUTS]
    parser.add_argument("--changes", nargs="+", default=names, choices=names)
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each clip, from its start")
    parser.add_argument("--overlays", type=Path, help="folder for a video of every changed clip")
    given = parser.parse_args()
    if given.overlays is not None:
        given.overlays.mkdir(parents=True, exist_ok=True)
    measured = measure(given.clips, given.changes, given.frames, given.overlays)
    signers = {path.stem for path in OTHERS}
    result = {
        "machine": machine("ai-edge-litert", "numpy", "av", "opencv-contrib-python-headless"),
        "detector_version": VERSION,
        "frames": given.frames,
        "changes": {
            name: {
                "musicians": shares([row for clip, row in rows.items() if clip not in signers]),
                "signers": shares([row for clip, row in rows.items() if clip in signers]),
                "clips": {clip: shares([row]) for clip, row in rows.items()},
            }
            for name, rows in measured["judged"].items()
        },
        "empty": measured["empty"],
        "before": None,
    }
    if (given.clips, given.changes, given.frames) == (MUSICIANS + OTHERS, names, FRAMES):
        result["before"] = _before()
        write_table(table(result), BEGIN, END)
        save("robustness", result)
    print(table(result))


if __name__ == "__main__":
    main()
