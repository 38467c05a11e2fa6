import numpy as np
import pytest

from avpipe.errors import AvpipeError
from avpipe.keypoints import topology
from avpipe.keypoints.mapping import compose_openpose67, convert
from avpipe.keypoints.topologies import names
from avpipe.types import Keypoints

DECLARED = [(source, target) for target in names() for source in topology(target).mappings]


def person(name, frames=4, seed=0, filled=False):
    rng = np.random.default_rng(seed)
    shape = (frames, len(topology(name)))
    confidence = rng.uniform(0.1, 1, shape).astype(np.float32)
    xy = rng.uniform(0, 500, (*shape, 2)).astype(np.float32)
    return Keypoints(xy, confidence, topology(name), np.zeros(shape, bool) if filled else None)


def mirrored(keypoints, width=640):
    order = list(keypoints.topology.mirror)
    xy = keypoints.xy[:, order] * np.float32([-1, 1]) + np.float32([width, 0])
    return Keypoints(xy, keypoints.confidence[:, order], keypoints.topology)


def joint(keypoints, name):
    j = keypoints.topology.index(name)
    return keypoints.xy[:, j], keypoints.confidence[:, j]


@pytest.mark.parametrize(("source", "target"), DECLARED)
def test_reflecting_before_or_after_a_view_is_the_same(source, target):
    p = person(source)
    one, other = mirrored(convert(p, target)), convert(mirrored(p), target)
    there = one.confidence > 0
    np.testing.assert_allclose(one.xy[there], other.xy[there], atol=1e-3)
    np.testing.assert_array_equal(one.confidence, other.confidence)


@pytest.mark.parametrize(("source", "target"), DECLARED)
def test_a_joint_of_the_same_name_is_the_same_in_every_view(source, target):
    p = person(source)
    view = convert(p, target)
    for name in set(p.topology.joints) & set(view.topology.joints):
        np.testing.assert_array_equal(joint(view, name)[0], joint(p, name)[0])
        np.testing.assert_array_equal(joint(view, name)[1], joint(p, name)[1])


def test_coco18_survives_the_way_through_body25():
    p = person("coco18")
    back = convert(convert(p, "body25"), "coco18")
    np.testing.assert_array_equal(back.xy, p.xy)
    np.testing.assert_array_equal(back.confidence, p.confidence)


def test_a_topology_viewed_as_itself_is_itself():
    p = person("solos47")
    assert p.view("solos47") is p


def test_a_derived_joint_is_the_mean_with_the_least_confidence():
    p = person("blazepose33")
    neck, confidence = joint(convert(p, "body25"), "neck")
    (left, a), (right, b) = joint(p, "left_shoulder"), joint(p, "right_shoulder")
    np.testing.assert_allclose(neck, (left + right) / 2, rtol=1e-6)
    np.testing.assert_array_equal(confidence, np.minimum(a, b))


def test_a_derived_joint_without_all_its_sources_has_no_position():
    p = person("blazepose33")
    p.confidence[1, p.topology.index("left_shoulder")] = 0
    neck, confidence = joint(convert(p, "body25"), "neck")
    assert not neck[1].any()
    assert confidence[1] == 0
    assert neck[0].all()


def test_a_derived_joint_with_a_filled_source_is_filled():
    p = person("blazepose33", filled=True)
    shoulder = p.topology.index("left_shoulder")
    p.confidence[1:, shoulder] = 0
    p.filled[1, shoulder] = True
    view = convert(p, "body25")
    assert view.filled[:, view.topology.index("neck")].tolist() == [False, True, False, False]
    assert joint(view, "neck")[0].all(axis=1).tolist() == [True, True, False, False]


def test_what_the_source_lacks_is_zero_with_confidence_zero():
    view = convert(person("blazepose33"), "body25")
    for toe in ("left_small_toe", "right_small_toe"):
        xy, confidence = joint(view, toe)
        assert not xy.any()
        assert not confidence.any()


def test_no_mapping_is_an_error_that_names_a_missing_joint_and_what_there_is():
    expected = "no mapping from body25 to solos47: it has no right_hand_thumb_cmc; .* coco18"
    with pytest.raises(AvpipeError, match=expected):
        convert(person("body25"), "solos47")


def test_solos47_takes_its_wrists_from_the_body():
    p = person("openpose67")
    np.testing.assert_array_equal(joint(p.view("solos47"), "left_wrist")[0], p.xy[:, 7])
    np.testing.assert_array_equal(p.view("solos47").xy[:, 46], joint(p, "left_hand_little_tip")[0])


@pytest.mark.parametrize("body", ["body25", "blazepose33"])
def test_body_and_hands_are_found_again_in_what_is_composed_of_them(body):
    parts = person(body), person("hand21", seed=1), person("hand21", seed=2)
    whole = compose_openpose67(*parts)
    np.testing.assert_array_equal(whole.view("body25").xy, parts[0].view("body25").xy)
    np.testing.assert_array_equal(whole.xy[:, list(whole.topology.left_hand)], parts[1].xy)
    np.testing.assert_array_equal(whole.xy[:, list(whole.topology.right_hand)], parts[2].xy)
    assert whole.filled is None


def test_a_hand_that_was_never_found_is_missing_in_the_composition():
    whole = compose_openpose67(person("body25"), None, person("hand21"))
    assert not whole.confidence[:, list(whole.topology.left_hand)].any()
    assert whole.confidence[:, list(whole.topology.right_hand)].all()


@pytest.mark.parametrize("hand", [person("hand21", frames=3), person("coco18")])
def test_a_hand_that_does_not_fit_the_body_is_an_error(hand):
    with pytest.raises(AvpipeError, match="a hand must be hand21 of 4 frames"):
        compose_openpose67(person("body25"), hand, None)
