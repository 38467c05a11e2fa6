"""AlphaPose's JSON, in all its layouts."""

import numpy as np
import pytest

from avpipe.errors import RecordingFailed
from imported_keypoints import ID, load, write_alphapose


@pytest.mark.parametrize("joints", [17, 26, 68, 133, 136])
def test_layouts_land_in_the_same_field(tmp_path, rows, joints):
    write_alphapose(tmp_path / f"{ID}.json", rows, joints)
    skeleton = load("alphapose", tmp_path)["skeleton"]
    assert skeleton.topology.name == "openpose67"
    view = skeleton.view("solos47")
    np.testing.assert_array_equal(view.xy[:, 1:7], rows[:, 1:7, :2])
    neck = rows[..., :2][:, 0] if joints in (26, 68, 136) else rows[:, [1, 4], :2].mean(axis=1)
    np.testing.assert_allclose(view.xy[:, 0], neck, atol=1e-3)
    if joints in (17, 26):
        assert not view.confidence[:, 7:].any()
    else:
        np.testing.assert_array_equal(view.xy[:, 7:], rows[:, 7:, :2])


def test_faces_are_given_on_request(tmp_path, rows):
    write_alphapose(tmp_path / ID / "alphapose-results.json", rows, 136)
    face = load("alphapose", tmp_path, faces=True)["face_landmarks"]
    np.testing.assert_array_equal(
        face.xy[30], np.stack([np.arange(68) + 50, np.arange(68) + 60], 1)
    )
    write_alphapose(tmp_path / ID / "alphapose-results.json", rows, 26)
    with pytest.raises(RecordingFailed, match="hold no face"):
        load("alphapose", tmp_path, faces=True)


def test_frames_are_counted_from_the_first_as_told(tmp_path, rows):
    write_alphapose(tmp_path / "Saxophone" / f"{ID}.json", rows, 136, first=1)
    one = load("alphapose", tmp_path, first_frame=1)["skeleton"].view("solos47")
    np.testing.assert_array_equal(one.xy[:, 1:], rows[:, 1:, :2])
    with pytest.raises(RecordingFailed, match="comes before first_frame 20"):
        load("alphapose", tmp_path, first_frame=20)


def test_confidence_above_one_counts_as_one(tmp_path, rows):
    higher = rows.copy()
    higher[..., 2] *= 6
    write_alphapose(tmp_path / f"{ID}.json", higher, 136)
    skeleton = load("alphapose", tmp_path)["skeleton"]
    assert skeleton.confidence.max() == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"people": []}', "not a list of people"),
        ('[{"image_id": "frame.jpg", "keypoints": []}]', "holds no frame number"),
        ('[{"image_id": "1.jpg", "keypoints": [1, 2, 3]}]', r"people have \[1\] joints"),
        (
            '[{"image_id": "1.jpg", "keypoints": [0, 0, 0]},'
            ' {"image_id": "2.jpg", "keypoints": {"0": 1}}]',
            r"\[1\]\.keypoints \(2\.jpg\) must be numbers",
        ),
    ],
)
def test_what_alphapose_did_not_write_is_a_failure(tmp_path, content, message):
    (tmp_path / f"{ID}.json").write_text(content)
    with pytest.raises(RecordingFailed, match=message):
        load("alphapose", tmp_path)


def test_a_picture_named_by_its_date_is_no_frame_and_takes_no_time(tmp_path, rows):
    write_alphapose(tmp_path / f"{ID}.json", rows, 26, first=20_231_105_120_000)
    with pytest.raises(RecordingFailed, match="20231105120060 frames for a video of 60"):
        load("alphapose", tmp_path)
