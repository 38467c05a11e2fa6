"""A skeleton drawn over a picture."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from avpipe.keypoints import topology
from avpipe.report.overlays import (
    FILLED_ALPHA,
    LEFT,
    LEFT_HAND,
    MIDDLE,
    RIGHT,
    RIGHT_HAND,
    colour,
    draw_skeleton,
    opacity,
)
from avpipe.types import Keypoints

LAYOUT = topology("openpose67")


def person(**confidence: float) -> Keypoints:
    """One frame with the named joints at places of their own, 200 px apart at least."""
    xy, trust = np.zeros((1, 67, 2), np.float32), np.zeros((1, 67), np.float32)
    for n, (joint, value) in enumerate(confidence.items()):
        xy[0, LAYOUT.index(joint)] = (100 + 100 * n, 50 + 100 * (n % 2))
        trust[0, LAYOUT.index(joint)] = value
    return Keypoints(xy, trust, LAYOUT)


def drawn(keypoints: Keypoints) -> np.ndarray:
    """(H, W, 3) the person on black, a pixel of the picture a pixel of the skeleton."""
    figure = Figure(figsize=(6, 2), dpi=100, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, 600)
    axes.set_ylim(200, 0)
    draw_skeleton(axes, keypoints, 0)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].astype(int)


def rgb(colour: str) -> list[int]:
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
def test_sides_and_hands_have_colours_of_their_own(joint, expected):
    assert colour(LAYOUT, LAYOUT.index(joint)) == expected
    picture = drawn(person(**{joint: 1.0}))
    np.testing.assert_allclose(picture[50, 100], rgb(expected), atol=2)


def test_a_bone_is_drawn_between_joints_that_are_known():
    both = drawn(person(left_shoulder=1.0, left_elbow=1.0))
    np.testing.assert_allclose(both[100, 150], rgb(LEFT), atol=2)
    assert not drawn(person(left_shoulder=1.0, right_elbow=1.0))[100, 150].any()


def test_what_is_trusted_less_is_fainter_and_what_is_not_known_is_not_drawn():
    sure, unsure = person(neck=1.0), person(neck=0.3)
    assert drawn(sure)[50, 100, 0] > drawn(unsure)[50, 100, 0] > 50
    assert not drawn(person(neck=0.0)).any()


def test_what_was_filled_is_hollow():
    known = person(neck=0.0)
    neck = LAYOUT.index("neck")
    known.xy[0, neck] = (100, 50)
    filled = np.zeros((1, 67), bool)
    filled[0, neck] = True
    keypoints = Keypoints(known.xy, known.confidence, LAYOUT, filled)
    assert opacity(keypoints, 0)[neck] == pytest.approx(FILLED_ALPHA)
    picture = drawn(keypoints)
    assert not picture[50, 100].any()
    assert picture[46:55, 94:107].any()
