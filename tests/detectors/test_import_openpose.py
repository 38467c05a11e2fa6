"""OpenPose's JSON files."""

import json

import numpy as np
import pytest

from avpipe.errors import RecordingFailed
from imported_keypoints import ID, load, person, write_openpose


@pytest.mark.parametrize("place", [ID, f"Saxophone/{ID}"])
@pytest.mark.parametrize("first", [0, 1])
def test_files_give_back_the_keypoints_they_hold(tmp_path, rows, place, first):
    write_openpose(tmp_path / place, [[person(row)] for row in rows], first)
    found = load("openpose", tmp_path)
    assert found.keys() == {"skeleton"}
    assert found["skeleton"].topology.name == "openpose67"
    view = found["skeleton"].view("solos47")
    np.testing.assert_array_equal(view.xy, rows[..., :2])
    np.testing.assert_array_equal(view.confidence, rows[..., 2])


def test_faces_are_given_on_request(tmp_path, rows):
    face = np.stack([np.arange(70) + 10, np.arange(70) + 20, np.full(70, 0.5)], axis=1)
    with_face = person(rows[20]) | {"face_keypoints_2d": face.ravel().tolist()}
    write_openpose(tmp_path / ID, [[with_face], [person(rows[20])]])
    found = load("openpose", tmp_path, 2, faces=True)["face_landmarks"]
    assert found.topology.name == "face68"
    np.testing.assert_array_equal(found.xy[0], face[:68, :2])
    assert not found.confidence[1].any()


def test_the_performer_is_followed_whatever_the_order_of_people(tmp_path, rows):
    smaller = rows.copy()
    smaller[..., :2] = smaller[..., :2] / 3 + 10
    both = [[person(a), person(b)] for a, b in zip(rows, smaller, strict=True)]
    write_openpose(tmp_path / ID, [two[:: -1 if t % 3 else 1] for t, two in enumerate(both)])
    view = load("openpose", tmp_path)["skeleton"].view("solos47")
    np.testing.assert_array_equal(view.xy, rows[..., :2])


def test_the_older_coco_body_lands_in_the_same_field(tmp_path, rows):
    body = np.zeros((18, 3))
    body[1:8] = rows[20, :7]
    people = [[{"pose_keypoints_2d": body.ravel().tolist()}]]
    write_openpose(tmp_path / ID, people)
    skeleton = load("openpose", tmp_path, 1)["skeleton"]
    view = skeleton.view("solos47")
    np.testing.assert_array_equal(view.xy[0, :7], rows[20, :7, :2])
    assert not view.confidence[0, 7:].any()


def test_frames_without_anybody_are_not_detected(tmp_path):
    write_openpose(tmp_path / ID, [[]] * 5)
    skeleton = load("openpose", tmp_path, 5)["skeleton"]
    assert len(skeleton) == 5
    assert not skeleton.confidence.any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "no list of people"),
        ('{"people": [[]]}', "no list of people"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', r"people\[0\]\.pose_k.* three a joint"),
        ('{"people": [{"pose_keypoints_2d": ["a", "b", "c"]}]}', "must be numbers"),
        ('{"people": [{"pose_keypoints_2d": [9, 9, 1]}]}', "a body has 1 joints, not 25 or 18"),
        (json.dumps({"people": [{"pose_keypoints_2d": [0.5] * 75}]}), "--keypoint_scale 0"),
        (
            json.dumps({"people": [{"pose_keypoints_2d": [5] * n} for n in (75, 54)]}),
            r"bodies of \[18, 25\] joints",
        ),
        (
            json.dumps(
                {"people": [{"pose_keypoints_2d": [5] * 75, "hand_left_keypoints_2d": [1, 2, 3]}]}
            ),
            r"people\[0\]\.hand_left_keypoints_2d has 1 joints, not 21",
        ),
        (
            json.dumps({"people": [{"pose_keypoints_2d": n * [5]} for n in (75, 2)]}),
            r"people\[1\]\.pose_keypoints_2d must be numbers",
        ),
    ],
)
def test_what_openpose_did_not_write_is_a_failure_that_names_the_file(tmp_path, content, message):
    write_openpose(tmp_path / ID, [[]])
    next((tmp_path / ID).iterdir()).write_text(content)
    with pytest.raises(RecordingFailed, match=message) as caught:
        load("openpose", tmp_path, 1)
    assert ID in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_frame_that_is_missing_is_named(tmp_path, rows):
    write_openpose(tmp_path / ID, [[person(row)] for row in rows[:10]])
    (tmp_path / ID / f"{ID}_{4:012d}_keypoints.json").unlink()
    with pytest.raises(RecordingFailed, match="frame 4 should come before it"):
        load("openpose", tmp_path, 10)
