"""The picture of a recording."""

import json
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import avpipe
from avpipe.errors import DatasetError, UsageError
from avpipe.keypoints import topology
from avpipe.media import decode_frames
from avpipe.report.clip import SEGMENT_COLOUR, best_frame, draw_recording, frame_of
from avpipe.shards import pack
from avpipe.store import Store
from avpipe.types import Keypoints
from tiny_dataset import facts, member, members

VIDEO = Path(__file__).parents[1] / "resources" / "urmp_09_vn_crop.mp4"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    store, keys = Store(folder / "work"), {"video": "ab" * 32, "segment": "cd" * 32}
    for stage, key in keys.items():
        store.path(stage, key).mkdir(parents=True)
    shutil.copy(VIDEO, store.path("video", keys["video"]) / "video.mp4")
    bands = {"visible": [[0, 60], [65, 125]], "sounding": [[20, 125]]}
    (store.path("segment", keys["segment"]) / "bands.sidecar.json").write_text(json.dumps(bands))
    filmed = member(folder / "m", "filmed", [(20, 60), (70, 120)], frames=125)
    pack(folder, facts(), [*members(folder / "m"), replace(filmed, keys=keys)])
    return avpipe.open_dataset(folder)


def pixels_like(picture: Path, colour: str) -> int:
    """How many pixels have that colour."""
    rgb = (imread(picture)[:, :, :3] * 255).round()
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((rgb == wanted).all(axis=2).sum())


def test_a_recording_is_drawn_with_its_frame_and_its_segments(dataset, tmp_path):
    picture = tmp_path / "filmed.png"
    draw_recording(dataset, "filmed", picture)
    assert imread(picture).shape[0] > 500
    assert pixels_like(picture, SEGMENT_COLOUR) > 5000
    plain = tmp_path / "again.png"
    draw_recording(dataset, "filmed", plain)
    assert plain.read_bytes() == picture.read_bytes()


@pytest.mark.parametrize("recording", ["mute", "radio", "violin-b"])
def test_what_is_not_there_is_left_out(dataset, tmp_path, recording):
    draw_recording(dataset, recording, tmp_path / "picture.png")
    assert pixels_like(tmp_path / "picture.png", SEGMENT_COLOUR) > 5000


def test_a_moment_can_be_chosen_where_there_is_a_segment(dataset, tmp_path):
    draw_recording(dataset, "filmed", tmp_path / "a.png", seconds=1.0)
    draw_recording(dataset, "filmed", tmp_path / "b.png", seconds=3.0)
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
    with pytest.raises(UsageError, match=r"at 2\.6 s; there are \[0\.8, 2\.4\), \[2\.8, 4\.8\) s"):
        draw_recording(dataset, "filmed", tmp_path / "c.png", seconds=2.6)
    with pytest.raises(UsageError, match="no segment of 'nobody'; it has filmed, mute"):
        draw_recording(dataset, "nobody", tmp_path / "c.png")


@pytest.mark.parametrize("frame", [0, 1, 60, 124])
def test_the_frame_is_the_one_of_that_moment(frame):
    expected = next(islice(decode_frames(VIDEO), frame, None))
    np.testing.assert_array_equal(frame_of(VIDEO, frame / 25, 25), expected)


def test_a_moment_after_the_end_of_the_video_is_an_error():
    with pytest.raises(DatasetError, match="ends before 9 s"):
        frame_of(VIDEO, 9, 25)


def test_the_best_frame_shows_the_hands():
    layout = topology("openpose67")
    confidence = np.zeros((50, 67), np.float32)
    confidence[:, :25] = 1
    confidence[30:33, layout.left_hand] = 0.9
    confidence[32:40, layout.right_hand] = 0.9
    assert best_frame(Keypoints(np.zeros((50, 67, 2), np.float32), confidence, layout)) == 32
