import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avpipe.crops import MEAN_FACE, Placement, Window, crop, place
from avpipe.keypoints import topology
from avpipe.types import Keypoints

FACE = topology("face68")
ANCHORS = [FACE.index(name) for name in MEAN_FACE]
POINTS = np.array([complex(*p) for p in MEAN_FACE.values()])


def face(turn, origin, found=None) -> Keypoints:
    """A rigid face at `turn * p + origin` in every frame; the other joints are anywhere."""
    turn, origin = np.broadcast_arrays(np.atleast_1d(turn), np.atleast_1d(origin))
    at = turn[:, None] * POINTS + origin[:, None]
    xy = np.full((len(turn), 68, 2), 7, np.float32)
    xy[:, ANCHORS] = np.stack([at.real, at.imag], axis=-1)
    confidence = np.ones((len(turn), 68), np.float32)
    if found is not None:
        confidence[~np.asarray(found)] = 0
        xy[~np.asarray(found)] = 0
    return Keypoints(xy, confidence, FACE)


@settings(max_examples=25, deadline=None)
@given(st.floats(2, 30), st.floats(-1.5, 1.5), st.floats(50, 500), st.floats(50, 500))
def test_the_place_of_a_rigid_face_is_found(scale, angle, x, y):
    turn, origin = scale * np.exp(1j * angle), complex(x, y)
    found = place(face(np.full(5, turn), origin))
    np.testing.assert_allclose(found.turn, turn, rtol=1e-4)
    np.testing.assert_allclose(found.origin, origin, rtol=1e-4)
    assert not found.held.any()


def test_a_missed_face_is_held_where_its_neighbours_are():
    found = [False, True, True, False, False, True, False]
    where = place(face(np.full(7, 5.0), 100 + 2j * np.arange(7), found), smoothing_frames=0)
    assert where.held.tolist() == [not f for f in found]
    np.testing.assert_allclose(where.origin.imag, [2, 2, 4, 6, 8, 10, 10], atol=1e-3)
    np.testing.assert_allclose(where.turn, 5, rtol=1e-4)


def test_a_face_that_jumps_for_a_frame_is_none():
    origin = np.full(60, 100 + 100j)
    origin[30] += 4 * 5  # 4 cm
    turn = np.full(60, 5.0)
    turn[40] *= 1.5
    assert np.flatnonzero(place(face(turn, origin)).held).tolist() == [30, 40]


def test_a_recording_without_a_face_has_no_place():
    assert place(face(np.full(3, 5.0), 0, [False] * 3)) is None


def test_smoothing_keeps_a_steady_movement():
    where = place(face(np.full(50, 5.0), np.arange(50) * (1 + 2j)), smoothing_frames=2)
    np.testing.assert_allclose(where.origin[6:-6], (np.arange(50) * (1 + 2j))[6:-6], atol=1e-3)


@pytest.mark.parametrize("scale", [5.0, 8.0, 40.0])
@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_the_anchors_lie_at_the_same_pixels_whatever_the_face(scale, angle):
    """A frame painted with discs at the anchors: in the crop they are where the window has them."""
    size = 1000
    where = place(face(scale * np.exp(1j * angle), 500 + 480j))
    at = scale * np.exp(1j * angle) * POINTS + 500 + 480j
    y, x = np.mgrid[:size, :size]
    window = Window((0.0, -0.6), 22.0, 160)
    frame = np.zeros((size, size, 3), np.uint8)
    for point in at:
        frame[(x - point.real) ** 2 + (y - point.imag) ** 2 < (0.6 * scale) ** 2] = 255
    (picture,) = crop(iter([frame]), where, window)
    shown = np.asarray(picture)[..., 0] > 127
    per_cm = window.size / window.side
    for px, py in MEAN_FACE.values():
        cx = (px - window.centre[0]) * per_cm + window.size / 2 - 0.5
        cy = (py - window.centre[1]) * per_cm + window.size / 2 - 0.5
        near = shown & ((np.mgrid[:160, :160] - np.reshape([cy, cx], (2, 1, 1))) ** 2 < 64).all(0)
        middle = np.argwhere(near).mean(axis=0)
        assert middle == pytest.approx([cy, cx], abs=0.6)


def test_what_lies_outside_the_frame_is_black():
    frame = np.full((100, 100, 3), 200, np.uint8)
    window = Window((0.0, 0.0), 10.0, 20)
    where = Placement(np.full(2, 5 + 0j), np.array([0, 900 + 0j]), np.zeros(2, np.bool_))
    corner, outside = crop(iter([frame, frame]), where, window)
    assert np.asarray(corner)[:9, :9].max() == 0
    assert np.asarray(corner)[12:, 12:].min() == 200
    assert np.asarray(outside).max() == 0


def test_every_frame_needs_a_place():
    where = place(face(np.full(3, 5.0), 50 + 50j))
    frames = iter([np.zeros((100, 100, 3), np.uint8)] * 2)
    with pytest.raises(ValueError, match="zip"):
        list(crop(frames, where, Window((0.0, 0.0), 10.0, 20)))
