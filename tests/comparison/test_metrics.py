"""Measures of two detections."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from avpipe.comparison.metrics import (
    Spread,
    coverage,
    disagreement,
    distances,
    groups,
    in_one_topology,
    jitter,
    shoulder_width,
    worst_frames,
)
from avpipe.errors import UsageError
from avpipe.keypoints import topology
from avpipe.types import Keypoints

LAYOUT = topology("openpose67")
LEFT, RIGHT = list(LAYOUT.left_hand), list(LAYOUT.right_hand)


def person(frames=10, **changes):
    """Everything detected, the joints in a row, the shoulders 100 px apart."""
    xy = np.zeros((frames, 67, 2), np.float32)
    xy[:, :, 0] = np.arange(67)
    xy[:, LAYOUT.index("left_shoulder")] = (300, 50)
    xy[:, LAYOUT.index("right_shoulder")] = (200, 50)
    confidence = np.full((frames, 67), 0.9, np.float32)
    return Keypoints(changes.get("xy", xy), changes.get("confidence", confidence), LAYOUT)


def moved(keypoints, joints, by):
    xy = keypoints.xy.copy()
    xy[:, joints] += np.float32(by)
    return Keypoints(xy, keypoints.confidence, LAYOUT)


def without(keypoints, joints, frames=slice(None)):
    confidence = keypoints.confidence.copy()
    for joint in joints:
        confidence[frames, joint] = 0
    return Keypoints(keypoints.xy, confidence, LAYOUT)


def test_groups_are_the_body_and_the_hands():
    found = groups(LAYOUT)
    assert {name: len(joints) for name, joints in found.items()} == {
        "body": 25, "left hand": 21, "right hand": 21,
    }  # fmt: skip
    assert list(groups(topology("face468"))) == ["body"]


def test_coverage_counts_frames_by_hand():
    found = coverage(without(without(person(), LEFT, slice(0, 4)), RIGHT, slice(3, 10)))
    assert found == {"left": 6, "right": 3, "any": 9, "both": 0}
    half = without(person(), RIGHT[:11])  # 10 of 21 joints are not a hand
    assert coverage(half)["right"] == 0
    assert coverage(without(person(), RIGHT[:10]))["right"] == 10


def test_distances_are_of_joints_that_both_detect():
    a = person()
    b = without(moved(a, LEFT, (3, 4)), [LEFT[0]])
    found = distances(a, b)
    assert found["left hand"].shape == (10 * 20,)
    np.testing.assert_allclose(found["left hand"], 5, rtol=1e-6)
    assert not found["body"].any()


def test_jitter_is_nothing_for_what_moves_evenly():
    xy = person(20).xy + np.arange(20, dtype=np.float32)[:, None, None] * (3, 1)
    even = person(20, xy=xy.astype(np.float32))
    assert max(values.max() for values in jitter(even).values()) < 1e-3
    shaken = xy.copy()
    shaken[1::2, RIGHT] += (0, 2)
    found = jitter(person(20, xy=shaken.astype(np.float32)))
    np.testing.assert_allclose(found["right hand"], 4, rtol=1e-4)
    assert found["left hand"].max() < 1e-3


def test_jitter_needs_three_frames_in_a_row():
    holes = without(person(9), LEFT, slice(2, 9, 3))
    assert jitter(holes)["left hand"].size == 0
    assert jitter(person(2))["body"].size == 0


def test_shoulder_width_is_that_of_the_first_who_shows_them():
    shoulders = [LAYOUT.index("left_shoulder"), LAYOUT.index("right_shoulder")]
    hidden = without(person(), shoulders)
    assert shoulder_width(person()) == 100
    assert shoulder_width(hidden, moved(person(), shoulders[0], (100, 0))) == 200
    assert shoulder_width(hidden) is None


def test_disagreement_is_the_mean_over_body_and_hands_in_the_given_unit():
    a = person()
    assert not disagreement(a, a, 100).any()
    np.testing.assert_allclose(disagreement(a, moved(a, RIGHT, (60, 0)), 100), 0.6 / 3, rtol=1e-5)
    one_sided = disagreement(a, without(a, LEFT, slice(4, 5)), 100)
    np.testing.assert_allclose(one_sided, np.eye(10)[4] / 3)
    neither = disagreement(without(a, LEFT), without(a, LEFT), 100)
    assert not neither.any()


def test_the_worst_frames_are_apart_from_each_other():
    values = np.array([0, 5, 6, 5, 0, 0, 3, 1, 0])
    assert worst_frames(values, 3, gap=2) == [2, 6]  # 7 is beside 6; the others agree
    assert worst_frames(values, 1, gap=2) == [2]
    assert worst_frames(np.zeros(5), 3, gap=1) == []
    assert worst_frames(np.ones(5), 2, gap=2) == [0, 2]


def test_another_topology_is_viewed_as_one_of_the_two():
    a, b = person(), person().view("solos47")
    one, other = in_one_topology(a, b)
    assert one.topology.name == other.topology.name == "solos47"
    with pytest.raises(UsageError, match="no mapping between"):
        in_one_topology(
            a, Keypoints(np.zeros((10, 468, 2)), np.zeros((10, 468)), topology("face468"))
        )
    with pytest.raises(UsageError, match="9 frames"):
        in_one_topology(person(9), a)


values = arrays(
    np.float64, st.integers(1, 200), elements=st.floats(0, 1e4).map(lambda x: x if x > 1e-3 else 0)
)


@given(values, st.sampled_from([0, 1, 50, 90, 99, 100]))
def test_a_spread_knows_percentiles_to_half_a_percent(found, q):
    exact = np.percentile(found, q, method="inverted_cdf")
    assert Spread.of(found).percentile(q) == pytest.approx(exact, rel=0.0051, abs=0)


@given(values, values)
def test_spreads_add_up(a, b):
    added, whole = Spread.of(a) + Spread.of(b), Spread.of(np.concatenate([a, b]))
    np.testing.assert_array_equal(added.counts, whole.counts)
    assert len(added) == len(a) + len(b)


def test_a_spread_of_nothing_has_no_percentile():
    assert Spread.of(np.zeros(0)).percentile(50) is None
    assert Spread.of(np.array([0.0, 0.0, 1e9])).percentile(50) == 0
