"""How well the players of an ensemble are told apart by the recipe `ensemble`.

    python benchmarks/ensemble.py [--scenes NAME ...] [--overlays FOLDER]

Real players, each cut from a clip of their own, stand side by side, close, behind each other, in
different sizes, or move past each other in one picture. What each of them really does is what
`performer` finds in their own clip, moved to where they are. Of a player who is not hidden:

- found: share of frames in which the head and the shoulders of their skeleton are theirs
- hands: share of the hands in their own clip that their skeleton has, on the same side
- false: share of frames in which their skeleton has a hand that is not there

Prints the table, writes it into docs/detection.md and the numbers into
benchmarks/results/ensemble.json.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import islice, permutations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from avpipe import detectors
from avpipe.keypoints import topology
from avpipe.media import decode_frames
from avpipe.report.overlay_video import write_video
from avpipe.report.raster import draw_person
from avpipe.types import Keypoints
from hand_recall import RESOURCES, write_table
from machine import machine, save

HEIGHT, FRAMES = 480, 75
LAYOUT = topology("openpose67")
TRUNK = [LAYOUT.index(name) for name in ("nose", "neck", "left_shoulder", "right_shoulder")]
HANDS = {"left": list(LAYOUT.left_hand), "right": list(LAYOUT.right_hand)}
FEATHER = 12
"""Px over which the edge of a player's picture fades."""
NEAR_TRUNK, NEAR_HAND = 0.3, 0.5
"""What is nearer than this is the same: in shoulder widths, and in palms."""
BEGIN, END = "<!-- table of benchmarks/ensemble.py -->", "<!-- end of the table -->"


@dataclass(frozen=True)
class Player:
    """Somebody cut from a clip, and where their picture is in the scene."""

    clip: str
    columns: tuple[int, int]
    """Of the clip, px."""
    at: Callable[[float], float]
    """(share of the scene that has passed) -> left edge in the scene, px."""
    scale: float = 1.0

    @property
    def width(self) -> int:
        """In the scene, px."""
        return round((self.columns[1] - self.columns[0]) * self.scale)

    @property
    def top(self) -> int:
        """In the scene, px: everybody sits on the lower edge."""
        return HEIGHT - round(HEIGHT * self.scale)

    def left(self, t: int) -> int:
        """In a frame of the scene, px."""
        return round(self.at(t / (FRAMES - 1)))


def still(x: float) -> Callable[[float], float]:
    """Who stays."""
    return lambda _: x


def moving(start: float, stop: float) -> Callable[[float], float]:
    """Who walks from one place to another."""
    return lambda share: start + share * (stop - start)


TRUMPET, VIOLIN = ("urmp_09_tpt_crop", (80, 440)), ("urmp_09_vn_crop", (80, 490))
SCENES: dict[str, tuple[int, list[Player]]] = {
    "apart": (1120, [Player(*TRUMPET, still(80)), Player(*VIOLIN, still(640))]),
    "close": (800, [Player(*TRUMPET, still(10)), Player(*VIOLIN, still(370))]),
    "touching": (760, [Player(*TRUMPET, still(10)), Player(*VIOLIN, still(300))]),
    "violin left": (800, [Player(*VIOLIN, still(10)), Player(*TRUMPET, still(400))]),
    "sizes": (800, [Player(*TRUMPET, still(420), 0.5), Player(*VIOLIN, still(10))]),
    "crossing": (1120, [Player(*TRUMPET, moving(10, 740)), Player(*VIOLIN, moving(700, 10))]),
    "crossing, violin behind": (
        1120,
        [Player(*VIOLIN, moving(700, 10)), Player(*TRUMPET, moving(10, 740))],
    ),
    "walking behind": (
        1120,
        [Player(*TRUMPET, moving(10, 850), 0.7), Player(*VIOLIN, still(380))],
    ),
}
"""Name -> width in px, and the players from the hindmost to the foremost."""


@cache
def clip(name: str) -> tuple[Any, Keypoints]:
    """The frames, and what the player does in them."""
    frames = np.stack(list(islice(decode_frames(RESOURCES / f"{name}.mp4"), FRAMES)))
    return frames, detectors.create("mediapipe").detect(frames)["skeleton"]


def compose(width: int, players: list[Player]) -> Any:
    """(T, HEIGHT, width, 3)."""
    wall = clip(TRUMPET[0])[0][0][:, 460:550]
    tiles = np.concatenate([wall, wall[:, ::-1]], axis=1)
    scene = np.stack([np.tile(tiles, (1, width // tiles.shape[1] + 1, 1))[:, :width]] * FRAMES)
    for player in players:
        frames = clip(player.clip)[0][:, :, slice(*player.columns)]
        for t, frame in enumerate(frames):
            size = player.width, HEIGHT - player.top
            part = np.asarray(Image.fromarray(frame).resize(size)).astype(np.float64)
            edge = np.minimum(np.arange(player.width) + 1, player.width - np.arange(player.width))
            alpha = (edge / FEATHER).clip(0, 1)[:, None]
            area = scene[t, player.top :, player.left(t) : player.left(t) + player.width]
            area[:] = alpha * part + (1 - alpha) * area
    return scene


def truth(player: Player, in_front: list[Player]) -> tuple[Keypoints, Any]:
    """What the player does in the scene, and (T, K) which joints nobody hides."""
    known = clip(player.clip)[1]
    left = np.array([player.left(t) for t in range(FRAMES)], float)
    corner = np.stack([left, np.full(FRAMES, float(player.top))], -1)
    xy = (known.xy - (player.columns[0], 0)) * player.scale + corner[:, None]
    seen = known.confidence > 0
    for other in in_front:
        start = np.array([other.left(t) for t in range(FRAMES)])[:, None]
        inside = (xy[..., 0] > start) & (xy[..., 0] < start + other.width)
        seen &= ~(inside & (xy[..., 1] > other.top))
    return Keypoints(xy.astype(np.float32), known.confidence, known.topology), seen


def judge(found: Keypoints, real: Keypoints, seen: Any) -> dict[str, float]:
    """See the top of the file."""
    gaps = np.linalg.norm(found.xy - real.xy, axis=-1)
    shoulders = np.linalg.norm(real.xy[:, TRUNK[2]] - real.xy[:, TRUNK[3]], axis=-1)
    there = (found.confidence[:, TRUNK] > 0).all(axis=1)
    own = there & (gaps[:, TRUNK].mean(axis=1) < NEAR_TRUNK * shoulders)
    visible = seen[:, TRUNK].all(axis=1)
    hit = wanted = 0
    wrong = np.zeros(FRAMES, bool)
    for joints in HANDS.values():
        palm = np.linalg.norm(real.xy[:, joints[9]] - real.xy[:, joints[0]], axis=-1)
        has = (found.confidence[:, joints] > 0).mean(axis=1) > 0.5
        real_hand = (real.confidence[:, joints] > 0).mean(axis=1) > 0.5
        right = has & real_hand & (gaps[:, joints].mean(axis=1) < NEAR_HAND * palm)
        expected = real_hand & (seen[:, joints].mean(axis=1) > 0.9) & visible
        hit += int((right & expected).sum())
        wanted += int(expected.sum())
        wrong |= has & ~right
    return {
        "frames": int(visible.sum()),
        "found": round(float(own[visible].mean()), 3),
        "hands": round(hit / wanted, 3),
        "false": round(float(wrong.mean()), 3),
    }


def measure(name: str, overlays: Path | None) -> dict[str, dict[str, float]]:
    """Player -> figures, for the order of the skeletons in which they fit best."""
    width, players = SCENES[name]
    frames = compose(width, players)
    detector = detectors.create("mediapipe", recipe="ensemble", players=len(players))
    found = list(detector.detect(frames).values())
    if overlays is not None:
        for skeleton in found:
            for t, frame in enumerate(frames):
                draw_person(frame, skeleton, t)
        write_video(overlays / f"{name.replace(' ', '-')}.mp4", iter(frames), 25)
    real = [truth(player, players[number + 1 :]) for number, player in enumerate(players)]
    orders = [
        [judge(one, *of) for one, of in zip(order, real, strict=True)]
        for order in permutations(found)
    ]
    best = max(orders, key=lambda order: sum(row["found"] for row in order))
    return {player.clip: row for player, row in zip(players, best, strict=True)}


def table(result: dict[str, Any]) -> str:
    """As it stands in the documentation."""
    lines = [
        "| two players | | frames in view | found | hands | frames with a false hand |",
        "|---|---|---|---|---|---|",
    ]
    for scene, players in result["scenes"].items():
        for clip_name, row in players.items():
            who = "trumpet" if "tpt" in clip_name else "violin"
            shares = " | ".join(f"{row[name]:.3f}" for name in ("found", "hands", "false"))
            lines.append(f"| {scene} | {who} | {row['frames']} | {shares} |")
    return "\n".join(lines)


def main() -> None:
    """Measures the scenes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenes", nargs="+", default=list(SCENES), choices=list(SCENES))
    parser.add_argument("--overlays", type=Path, help="folder for a video of each scene")
    given = parser.parse_args()
    if given.overlays is not None:
        given.overlays.mkdir(parents=True, exist_ok=True)
    result = {
        "machine": machine("ai-edge-litert", "numpy", "av"),
        "scenes": {name: measure(name, given.overlays) for name in given.scenes},
    }
    print(table(result))
    if given.scenes == list(SCENES):
        write_table(table(result), BEGIN, END)
        save("ensemble", result)


if __name__ == "__main__":
    main()
