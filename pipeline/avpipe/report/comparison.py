"""A comparison as a page: its tables, the segments that move, and the worst frames as pictures."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from avpipe.comparison import Pair, Result
from avpipe.comparison.result import Worst, describe
from avpipe.report.page import render
from avpipe.report.pictures import (
    Image,
    around,
    draw,
    encoded,
    ground,
    known_points,
    picture_at,
    side_by_side,
)
from avpipe.shards.publish import make_folder

WIDTH, HEIGHT = 620, 520
"""px; the most that each of two pictures takes."""
MOVED = 50
"""Recordings whose segments are listed."""


def write_page(result: Result, pairs: Mapping[str, Pair], folder: Path) -> Path:
    """Writes `index.html` and `worst-01.png`, ... into a folder; returns the page.

    Args:
        result: of `pairs`.
        pairs: recording -> pair.
        folder: made if it is not there.

    Raises:
        UsageError: it cannot be.
    """
    make_folder(folder)
    worst = []
    for number, found in enumerate(result.worst, start=1):
        name = f"worst-{number:02d}.png"
        picture = draw_pair(pairs[found.recording], found)
        (folder / name).write_bytes(encoded(picture, "PNG"))
        worst.append((name, found))
    moved = [
        (r.recording, sum(r.moved_frames), *(describe(s, r.fps) for s in r.segments))
        for r in result.changed[:MOVED]
    ]
    page = folder / "index.html"
    text = render("comparison", result=result, worst=worst, moved=moved, images="'self' file:")
    page.write_text(text, encoding="utf-8")
    return page


def draw_pair(pair: Pair, worst: Worst) -> Image:
    """Both detections over the same part of a frame."""
    here = slice(worst.frame, worst.frame + 1)
    box = around(np.concatenate([known_points(k, here) for k in (pair.a, pair.b)]))
    image = picture_at(pair.video, worst.seconds, pair.fps)
    if image is None:
        image = ground(box)[:0]
    else:
        box = box.within(image)
    halves = [draw(image, k, worst.frame, box, WIDTH, HEIGHT) for k in (pair.a, pair.b)]
    return side_by_side(
        halves,
        ("a", "b"),
        f"{pair.recording}, frame {worst.frame} ({worst.seconds:.2f} s):"
        f" {worst.disagreement:.2f} shoulder widths apart",
    )
