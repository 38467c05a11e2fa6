"""The skeleton on pixels."""

import numpy as np
import pytest

from avpipe.keypoints import topology
from avpipe.report.overlays import LEFT, LEFT_HAND, MIDDLE, RIGHT, RIGHT_HAND
from avpipe.report.raster import draw_person
from avpipe.types import Keypoints

LAYOUT = topology("openpose67")


def person(confidence=1.0, **places):
    """One frame with the named joints at (x, y)."""
    xy, trust = np.zeros((1, 67, 2), np.float32), np.zeros((1, 67), np.float32)
    for joint, place in places.items():
        xy[0, LAYOUT.index(joint)], trust[0, LAYOUT.index(joint)] = place, confidence
    return Keypoints(xy, trust, LAYOUT)


def drawn(keypoints, shape=(240, 320, 3), scale=3.0):
    image = np.zeros(shape, np.uint8)
    draw_person(image, keypoints, 0, scale)
    return image.astype(int)


def rgb(colour):
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


@pytest.mark.parametrize(
    ("joint", "expected"),
    [
        ("neck", MIDDLE),
        ("left_elbow", LEFT),
        ("right_ankle", RIGHT),
        ("left_hand_thumb_tip", LEFT_HAND),
        ("right_hand_wrist", RIGHT_HAND),
    ],
)
def test_a_joint_is_a_disc_in_the_colour_of_its_side(joint, expected):
    image = drawn(person(**{joint: (100, 50)}))
    np.testing.assert_array_equal(image[50, 100], rgb(expected))
    rows, columns = np.nonzero(image.any(axis=2))
    assert (rows.min() + rows.max(), columns.min() + columns.max()) == (100, 200)


@pytest.mark.parametrize("stop", [(200, 50), (100, 150), (180, 130), (30, 90)])
def test_a_bone_reaches_from_joint_to_joint(stop):
    image = drawn(person(left_shoulder=(100, 50), left_elbow=stop))
    for share in np.linspace(0, 1, 9):
        x, y = np.rint(np.array((100, 50)) * (1 - share) + np.array(stop) * share).astype(int)
        np.testing.assert_allclose(image[y, x], rgb(LEFT), atol=3)


def test_no_bone_leads_to_what_is_not_known_or_not_a_neighbour():
    assert not drawn(person(left_shoulder=(100, 50), right_elbow=(200, 50)))[50, 150].any()


def test_what_is_trusted_less_is_fainter_and_what_is_not_known_is_not_drawn():
    sure, unsure = (drawn(person(trust, neck=(100, 50)))[50, 100, 0] for trust in (1.0, 0.3))
    assert sure > unsure > 50
    assert not drawn(person(0.0, neck=(100, 50))).any()


def test_what_was_filled_is_drawn_faint():
    keypoints = person(0.0, neck=(100, 50))
    filled = np.zeros((1, 67), bool)
    filled[0, LAYOUT.index("neck")] = True
    image = drawn(Keypoints(keypoints.xy, keypoints.confidence, LAYOUT, filled))
    assert 50 < image[50, 100, 0] < rgb(MIDDLE)[0]


@pytest.mark.parametrize(
    "place", [(-5000, 20), (1e9, -1e9), (np.nan, 3), (np.inf, 3), (319, 239), (-2, 100)]
)
def test_what_leaves_the_picture_is_cut_and_hurts_nothing(place):
    keypoints = person(neck=(100, 50), left_shoulder=place)
    assert drawn(keypoints)[50, 100].tolist() == rgb(MIDDLE)
    assert drawn(person(neck=place)).shape == (240, 320, 3)
    assert drawn(keypoints, shape=(1, 1, 3)).shape == (1, 1, 3)


def test_points_of_a_face_are_not_tied_together():
    layout = topology("face468")
    xy = np.zeros((1, 468, 2), np.float32)
    xy[0, 0], xy[0, 7] = (50, 50), (250, 50)
    confidence = np.zeros((1, 468), np.float32)
    confidence[0, [0, 7]] = 1
    image = drawn(Keypoints(xy, confidence, layout))
    assert image[50, 50].any()
    assert image[50, 250].any()
    assert not image[50, 150].any()
