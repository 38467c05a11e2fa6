"""The page of a comparison, and the pictures on it."""

from dataclasses import replace

import numpy as np
import pytest

from avpipe.comparison import Pair, compare
from avpipe.report.comparison import draw_pair, write_page
from avpipe.report.page import clock, render, size
from avpipe.report.pictures import Box, around, draw, known_points, side_by_side
from avpipe.types import Segment
from detected_dataset import FRAMES, HOSTILE, VIDEO, skeleton


@pytest.fixture
def pair():
    return Pair(
        HOSTILE, 25.0, skeleton(), skeleton(40, slice(50, 60)),
        [Segment(0, FRAMES)], [Segment(0, 50), Segment(60, 125)], VIDEO,
    )  # fmt: skip


def test_a_page_has_its_pictures_beside_it_and_escapes_names(pair, tmp_path):
    result = compare(HOSTILE, "b", {HOSTILE: pair})
    page = write_page(result, {HOSTILE: pair}, tmp_path / "page")
    text = page.read_text()
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 3
    names = sorted(p.name for p in page.parent.glob("*.png"))
    assert names == [f"worst-{i:02d}.png" for i in range(1, len(result.worst) + 1)]
    assert all(f'src="{name}"' in text for name in names)
    assert "0.00–2.00, 2.40–5.00" in text


def test_a_picture_shows_both_detections_over_the_same_frame(pair):
    worst = compare("a", "b", {"r": replace(pair, recording="r")}).worst
    assert worst[0].frame == 50
    picture = draw_pair(pair, worst[0]).astype(int)
    left, right = (
        picture[24:-24, : picture.shape[1] // 2 - 3],
        picture[24:-24, -(picture.shape[1] // 2 - 3) :],
    )
    differs = np.abs(left - right).max(axis=2) > 60
    assert 0.002 < differs.mean() < 0.4  # the hands; the rest is the same


def test_without_a_video_the_players_stand_before_a_dark_ground(pair):
    bare = replace(pair, video=None, recording="r")
    worst = compare("a", "b", {"r": bare}).worst[0]
    picture = draw_pair(bare, worst)
    assert np.median(picture[24:-24]) < 60
    assert (picture[24:-24].max(axis=2) > 200).any()


def test_equal_detections_have_no_worst_frames(tmp_path):
    same = Pair("r", 25.0, skeleton(), skeleton(), [], [])
    page = write_page(compare("a", "b", {"r": same}), {"r": same}, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [page.name]


def test_a_box_holds_all_points_and_can_be_kept_within_a_picture():
    points = known_points(skeleton())
    box = around(points)
    assert box.left < points[:, 0].min() < points[:, 0].max() < box.right
    assert box.top < points[:, 1].min() < points[:, 1].max() < box.bottom
    image = np.zeros((200, 100, 3), np.uint8)
    assert Box(-5, 20, 500, 100).within(image) == Box(0, 20, 100, 100)
    assert Box(300, 20, 500, 100).within(image) == Box(0, 0, 100, 200)
    assert around(np.zeros((0, 2), np.float32)).right > 0


def test_a_crop_is_scaled_with_its_skeleton():
    image = np.full((480, 560, 3), 90, np.uint8)
    shown = skeleton()
    x, y = shown.xy[0, shown.topology.index("left_shoulder")]
    small = draw(image, shown, 0, Box(0, 0, 560, 480), 280, 240, lines=3).astype(int)
    assert small.shape == (240, 280, 3)
    assert np.ptp(small[int(y / 2), int(x / 2)]) > 100  # the shoulder's colour, not grey


def test_pictures_stand_side_by_side_under_their_captions():
    sheet = side_by_side([np.zeros((10, 40, 3), np.uint8)] * 2, ("a", "b"), "below")
    assert sheet.shape == (10 + 48, 86, 3)
    assert (sheet[:24] < 100).any()


def test_a_page_without_one_of_its_values_is_an_error():
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        render("comparison", images="data:")


def test_sizes_and_times_for_people():
    assert [size(n) for n in (0, 999, 1000, 12_345_678, 3e12, 5e15)] == [
        "0 bytes", "999 bytes", "1.0 kB", "12.3 MB", "3.0 TB", "5,000.0 TB",
    ]  # fmt: skip
    assert [clock(s) for s in (0, 59.6, 61, 3661)] == ["0:00", "1:00", "1:01", "1:01:01"]
