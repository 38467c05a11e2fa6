import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from avpipe.errors import AvpipeError
from avpipe.keypoints import interpolate, topology
from avpipe.types import Topology

ARM = Topology("arm", ("shoulder", "elbow", "wrist"), (-1, 0, 1), mirror=(0, 1, 2))
PAIR = Topology(
    "pair",
    ("nose", "left_hand", "right_hand", "left_tip", "right_tip", "buoy"),
    (-1, 0, 0, 1, 2, -1),
    mirror=(0, 2, 1, 4, 3, 5),
)
"""Two roots; the joints stand in mirror order."""


@st.composite
def people(draw, joints=PAIR, frames=40):
    """xy (T, K, 2) and confidence (T, K): walks with gaps of any length."""
    t = draw(st.integers(0, frames))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    xy = rng.normal(0, 5, (t, len(joints), 2)).cumsum(axis=0) + 300
    change = draw(st.sampled_from([0.05, 0.2, 0.5]))
    detected = np.logical_xor.accumulate(rng.random((t, len(joints))) < change, axis=0)
    if draw(st.booleans()):
        detected = ~detected
    return np.where(detected[..., None], xy, 0), detected * rng.uniform(0.05, 1, detected.shape)


def gaps(detected):
    """(start, stop) of the runs of misses of one joint."""
    edges = np.flatnonzero(np.diff(np.r_[1, detected, 1].astype(int)))
    return zip(edges[::2], edges[1::2], strict=True)


@given(people(), st.integers(0, 12))
def test_detected_joints_move_by_exactly_nothing(person, longest):
    xy, confidence = person
    out, filled = interpolate(xy, confidence, PAIR, max_fill_frames=longest)
    np.testing.assert_array_equal(out[confidence > 0], xy[confidence > 0])
    assert not filled[confidence > 0].any()


@given(people(), st.integers(0, 12))
def test_exactly_the_short_gaps_of_joints_that_were_seen_are_filled(person, longest):
    xy, confidence = person
    out, filled = interpolate(xy, confidence, PAIR, max_fill_frames=longest)
    expected = np.zeros_like(filled)
    for j in range(len(PAIR)):
        for start, stop in gaps(confidence[:, j] > 0):
            short = stop - start <= longest and (confidence[:, j] > 0).any()
            expected[start:stop, j] = short
    np.testing.assert_array_equal(filled, expected)
    assert not out[(confidence == 0) & ~filled].any()


@given(people(), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_moving_the_camera_moves_what_is_filled(person, dx, dy):
    xy, confidence = person
    out, filled = interpolate(xy, confidence, PAIR)
    shift = np.array([dx, dy])
    moved, _ = interpolate(xy + shift, confidence, PAIR)
    np.testing.assert_allclose(moved[filled], out[filled] + shift, atol=1e-8)


@given(people())
def test_reflecting_before_or_after_is_the_same(person):
    xy, confidence = person
    order = list(PAIR.mirror)
    out, filled = interpolate(xy, confidence, PAIR)
    other, other_filled = interpolate(xy[:, order] * [-1, 1], confidence[:, order], PAIR)
    np.testing.assert_array_equal(other_filled, filled[:, order])
    np.testing.assert_allclose(other, out[:, order] * [-1, 1], atol=1e-9)


@given(people())
def test_reversing_time_before_or_after_is_the_same(person):
    xy, confidence = person
    out, _ = interpolate(xy, confidence, PAIR)
    back, _ = interpolate(xy[::-1], confidence[::-1], PAIR)
    np.testing.assert_allclose(back[::-1], out, atol=1e-9)


@given(people(), hnp.arrays(np.float64, (40, len(PAIR), 2), elements=st.floats(width=16)))
def test_what_stands_where_nothing_was_detected_does_not_matter(person, rubbish):
    xy, confidence = person
    dirty = np.where(confidence[..., None] > 0, xy, rubbish[: len(xy)])
    one, other = (interpolate(a, confidence, PAIR) for a in (xy, dirty))
    np.testing.assert_array_equal(one[0], other[0])


@given(people(), people())
def test_what_happens_beside_a_tree_does_not_change_it(person, other):
    t = min(len(person[0]), len(other[0]))
    xy, confidence = person[0][:t].copy(), person[1][:t].copy()
    before = interpolate(xy, confidence, PAIR)
    xy[:, 5], confidence[:, 5] = other[0][:t, 5], other[1][:t, 5]
    after = interpolate(xy, confidence, PAIR)
    np.testing.assert_array_equal(before[0][:, :5], after[0][:, :5])


@settings(max_examples=50)
@given(people(), st.integers(0, 12))
def test_filling_equals_a_frame_by_frame_reading_of_the_rules(person, longest):
    xy, confidence = person
    out, _ = interpolate(xy, confidence, PAIR, max_fill_frames=longest)
    np.testing.assert_allclose(out, frame_by_frame(xy, confidence > 0, longest), atol=1e-9)


def frame_by_frame(xy, detected, longest):
    out = np.where(detected[..., None], xy, 0.0)
    known = detected.copy()
    for j in PAIR.order:
        p = PAIR.parents[j]
        own = [t for t in range(len(xy)) if detected[t, j]]
        both = [t for t in own if p >= 0 and detected[t, p]]
        for start, stop in gaps(detected[:, j]):
            if stop - start > longest or not own:
                continue
            on_parent = p >= 0 and both and known[start:stop, p].all()
            for t in range(start, stop):
                if on_parent:
                    out[t, j] = out[t, p] + eq1(t, both, [xy[s, j] - xy[s, p] for s in both])
                else:
                    out[t, j] = eq1(t, own, [xy[s, j] for s in own])
                known[t, j] = True
    return out


def eq1(t, at, values):
    """Solos, Eq. 1: (m J(t-n) + n J(t+m)) / (m + n); held beyond the ends."""
    before = [i for i, s in enumerate(at) if s <= t]
    after = [i for i, s in enumerate(at) if s > t]
    if not before:
        return values[after[0]]
    if not after:
        return values[before[-1]]
    n, m = t - at[before[-1]], at[after[0]] - t
    return (m * values[before[-1]] + n * values[after[0]]) / (m + n)


def arm(frames=7):
    """An arm that swings while the shoulder walks to the right."""
    t = np.arange(frames)[:, None]
    shoulder = np.array([[100.0, 50.0]]) + t * [10.0, 0.0]
    elbow = shoulder + np.array([0.0, 40.0]) + t * [1.0, 0.0]
    wrist = elbow + np.array([30.0, 0.0])
    return np.stack([shoulder, elbow, wrist], axis=1), np.ones((frames, 3))


def test_a_missing_joint_follows_its_parent():
    truth, confidence = arm()
    truth[3:] += [0, 200]  # the person jumps while the elbow is hidden
    hidden = confidence.copy()
    hidden[2:5, 1] = 0
    out, filled = interpolate(truth, hidden, ARM)
    np.testing.assert_allclose(out, truth, atol=1e-9)
    assert np.argwhere(filled).tolist() == [[2, 1], [3, 1], [4, 1]]


def test_a_chain_that_is_missing_as_a_whole_is_filled_from_its_root_on():
    truth, confidence = arm()
    hidden = confidence.copy()
    hidden[2:5] = 0
    out, filled = interpolate(truth, hidden, ARM)
    np.testing.assert_allclose(out, truth, atol=1e-9)
    assert filled[2:5].all()


def test_a_detected_child_stays_where_its_parent_is_missing():
    truth, confidence = arm()
    hidden = confidence.copy()
    hidden[3, 1] = 0
    xy = np.where(hidden[..., None] > 0, truth, 0)
    out, _ = interpolate(xy, hidden, ARM)
    np.testing.assert_array_equal(out[:, 2], truth[:, 2])


def test_before_the_first_and_after_the_last_the_relative_position_is_held():
    truth, confidence = arm()
    hidden = confidence.copy()
    hidden[:2, 2] = hidden[5:, 2] = 0
    out, _ = interpolate(truth, hidden, ARM)
    np.testing.assert_allclose(out[:, 2] - out[:, 1], np.tile([30.0, 0.0], (7, 1)))


@pytest.mark.parametrize(("gap", "is_filled"), [(25, True), (26, False)])
@pytest.mark.parametrize("start", [0, 30, None])
def test_a_gap_beyond_the_limit_stays_missing(gap, is_filled, start):
    truth, confidence = arm(90)
    start = 90 - gap if start is None else start
    confidence[start : start + gap, 1] = 0
    out, filled = interpolate(truth, confidence, ARM)
    assert filled[start : start + gap, 1].all() == is_filled
    assert out[start : start + gap, 1].any() == is_filled
    assert filled.sum() == gap * is_filled


def test_a_hand_without_a_body_is_filled_from_itself():
    truth, confidence = arm()
    confidence[:, :2] = 0
    confidence[2:5, 2] = 0
    out, filled = interpolate(truth, confidence, ARM)
    np.testing.assert_allclose(out[:, 2], truth[:, 2], atol=1e-9)
    assert not filled[:, :2].any()
    assert not out[:, :2].any()


def test_nothing_detected_gives_nothing():
    out, filled = interpolate(np.full((5, 3, 2), 7.0), np.zeros((5, 3)), ARM)
    assert not out.any()
    assert not filled.any()


def test_no_frames_give_no_frames():
    out, filled = interpolate(np.zeros((0, 3, 2), np.float32), np.zeros((0, 3)), ARM)
    assert out.shape == (0, 3, 2)
    assert filled.shape == (0, 3)


@pytest.mark.parametrize("legacy", [False, True])
def test_the_input_is_not_touched_and_its_dtype_is_kept(legacy):
    xy, confidence = (a.astype(np.float32) for a in arm())
    confidence[3, 1] = 0
    before = xy.copy()
    out, _ = interpolate(xy, confidence, ARM, legacy)
    np.testing.assert_array_equal(xy, before)
    assert out.dtype == np.float32


def test_shapes_that_do_not_fit_are_an_error():
    with pytest.raises(AvpipeError, match=r"arm needs xy \(T, 3, 2\) and confidence \(T, 3\)"):
        interpolate(np.zeros((4, 3, 2)), np.zeros((4, 2)), ARM)


def test_legacy_gives_what_the_published_code_gives(golden, solos_algo):
    data = np.load(golden / "solos_interp_golden.npz")
    given_T3K, expected_T3K = data["inp"], data["out"]
    xy = given_T3K[:, :2].transpose(0, 2, 1)
    out, filled = interpolate(xy, given_T3K[:, 2], topology("solos47"), legacy=True)
    np.testing.assert_allclose(out, expected_T3K[:, :2].transpose(0, 2, 1), atol=1e-9)
    assert out.sum() == pytest.approx(solos_algo["interp"]["sum"])
    np.testing.assert_array_equal(filled, given_T3K[:, 2] <= 0.2)


def test_corrected_does_not_displace_what_the_published_code_does(golden):
    given_T3K = np.load(golden / "solos_interp_golden.npz")["inp"]
    xy, confidence = given_T3K[:, :2].transpose(0, 2, 1), given_T3K[:, 2]
    published, _ = interpolate(xy, confidence, topology("solos47"), legacy=True)
    corrected, _ = interpolate(xy, confidence, topology("solos47"))
    detected = confidence > 0
    assert np.abs(published - xy)[detected].max() > 700
    np.testing.assert_array_equal(corrected[detected], xy[detected])
