import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avpipe.errors import AvpipeError
from avpipe.keypoints import find_segments, hand_visibility, topology
from avpipe.types import Segment

masks = st.lists(st.booleans(), max_size=60).map(lambda v: np.array(v, bool))
stretches = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 9)), max_size=12)
"""Runs of visible and of missed frames: hits the interesting lengths more often than coin flips."""


def mask_of(lengths):
    return np.array([v for on, off in lengths for v in [True] * on + [False] * off], bool)


any_mask = masks | stretches.map(mask_of)


def longest_miss(visible):
    longest = run = 0
    for v in visible:
        run = 0 if v else run + 1
        longest = max(longest, run)
    return longest


def is_segment(visible, start, stop, min_frames, max_gap):
    inside = visible[start:stop]
    return (
        inside[0] and inside[-1] and longest_miss(inside) <= max_gap and inside.sum() >= min_frames
    )


def by_trying_everything(visible, min_frames, max_gap):
    """Every range that is a segment and lies in no longer one."""
    t = len(visible)
    good = [
        (a, b)
        for a in range(t)
        for b in range(a + 1, t + 1)
        if is_segment(visible, a, b, min_frames, max_gap)
    ]
    return [
        Segment(a, b)
        for a, b in good
        if not any((c, d) != (a, b) and c <= a and b <= d for c, d in good)
    ]


@given(any_mask, st.integers(1, 12), st.integers(0, 6))
def test_segments_are_disjoint_visible_at_both_ends_bridge_no_long_gap_and_are_long_enough(
    visible, min_frames, max_gap
):
    found = find_segments(visible, min_frames, max_gap)
    assert found == sorted(found)
    assert all(a.stop < b.start for a, b in pairwise(found))
    assert all(is_segment(visible, s.start, s.stop, min_frames, max_gap) for s in found)


@given(
    st.lists(st.booleans(), max_size=28).map(lambda v: np.array(v, bool)),
    st.integers(1, 8),
    st.integers(0, 4),
)
def test_none_is_missed_and_none_could_be_longer(visible, min_frames, max_gap):
    assert find_segments(visible, min_frames, max_gap) == by_trying_everything(
        visible, min_frames, max_gap
    )


@given(any_mask, st.integers(1, 8), st.integers(0, 4))
def test_time_reversed_the_segments_are_the_same(visible, min_frames, max_gap):
    t = len(visible)
    backwards = find_segments(visible[::-1], min_frames, max_gap)
    expected = sorted(Segment(t - s.stop, t - s.start) for s in backwards)
    assert find_segments(visible, min_frames, max_gap) == expected


@pytest.mark.parametrize(("gap", "count"), [(5, 1), (6, 2)])
def test_five_misses_are_bridged_and_six_are_not(gap, count):
    visible = np.r_[np.ones(150, bool), np.zeros(gap, bool), np.ones(150, bool)]
    assert len(find_segments(visible)) == count


@pytest.mark.parametrize(("frames", "count"), [(149, 0), (150, 1)])
def test_misses_do_not_count_towards_the_least_length(frames, count):
    visible = np.ones(frames + 5, bool)
    visible[50:55] = False
    assert len(find_segments(visible)) == count


def test_no_frames_have_no_segments():
    assert find_segments(np.zeros(0, bool)) == []
    assert find_segments(np.zeros(0, bool), legacy=True) == []


@pytest.mark.parametrize("wrong", [{"min_frames": 0}, {"max_gap": -1}])
def test_limits_that_make_no_sense_are_an_error(wrong):
    with pytest.raises(AvpipeError, match="at least"):
        find_segments(np.ones(3, bool), **wrong)


def test_confidences_are_not_taken_for_visibility():
    with pytest.raises(AvpipeError, match=r"must be \(T,\), not \(9, 47\)"):
        find_segments(np.ones((9, 47)))


@pytest.mark.parametrize(
    "case",
    [
        "one_run",
        "exact150",
        "len151",
        "gap4",
        "gap5",
        "single_frame_runs",
        "three_merge",
        "tail",
        "none",
    ],
)
def test_legacy_gives_what_the_published_code_gives(solos_algo, case):
    expected = solos_algo[f"stamps_{case}"]
    visible = np.zeros(expected["T"], bool)
    for first, last in expected["runs"]:
        visible[first : last + 1] = True
    found = find_segments(visible, 150, 5, legacy=True)
    assert [[s.start, s.stop - 1] for s in found] == expected["out"]


def test_legacy_keeps_a_single_frame_only_at_the_end():
    visible = np.zeros(300, bool)
    visible[:200] = True
    visible[202] = True
    assert find_segments(visible, legacy=True) == [Segment(0, 200)]
    assert find_segments(visible[:203], legacy=True) == [Segment(0, 203)]


def test_a_real_skeleton_has_its_released_timestamps(golden):
    detected = np.load(golden / "solos_OqH9szlahwU_detected.npz")["detected"]
    solos47 = topology("solos47")
    visible = hand_visibility(detected.astype(np.float32), solos47, legacy=True)
    released = find_segments(visible, legacy=True)
    assert [[s.start, s.stop - 1] for s in released] == [[89, 1617]]
    corrected = find_segments(hand_visibility(detected.astype(np.float32), solos47))
    assert [[s.start, s.stop - 1] for s in corrected] == [[89, 1616]]


@pytest.mark.parametrize(("name", "joints"), [("openpose67", 21), ("solos47", 20)])
@pytest.mark.parametrize("side", ["left_hand", "right_hand"])
def test_a_hand_is_detected_when_more_than_half_of_its_joints_are(name, joints, side):
    t = topology(name)
    confidence = np.zeros((joints + 1, len(t)), np.float32)
    for frame in range(joints + 1):
        confidence[frame, list(getattr(t, side))[:frame]] = 0.01
    assert hand_visibility(confidence, t).tolist() == [2 * n > joints for n in range(joints + 1)]


def test_halves_of_two_hands_are_no_hand():
    t = topology("solos47")
    confidence = np.zeros((1, 47), np.float32)
    confidence[0, [*t.left_hand[:10], *t.right_hand[:10]]] = 1
    assert not hand_visibility(confidence, t).any()


def test_a_body_without_hands_shows_no_hand():
    confidence = np.zeros((2, 67), np.float32)
    confidence[:, :25] = 1
    assert not hand_visibility(confidence, topology("openpose67")).any()


def test_legacy_visibility_looks_at_joints_4_and_7():
    confidence = np.eye(47, dtype=np.float32)
    assert np.flatnonzero(hand_visibility(confidence, topology("solos47"), True)).tolist() == [4, 7]


def test_a_topology_without_hands_is_an_error_that_names_it():
    with pytest.raises(AvpipeError, match="body25 has no hands"):
        hand_visibility(np.zeros((3, 25), np.float32), topology("body25"))


def test_confidences_of_another_topology_are_an_error():
    with pytest.raises(AvpipeError, match=r"solos47 needs confidence \(T, 47\), not \(3, 25\)"):
        hand_visibility(np.zeros((3, 25), np.float32), topology("solos47"))


def test_all_of_solos_is_searched_in_no_time():
    visible = np.random.default_rng(0).random(5_976_615) < 0.7
    started = time.process_time()
    assert find_segments(visible, min_frames=2, max_gap=1)
    assert time.process_time() - started < 2
