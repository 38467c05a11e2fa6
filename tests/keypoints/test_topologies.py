import pytest

from avpipe.errors import AvpipeError, UsageError
from avpipe.keypoints import topology
from avpipe.keypoints.topologies import _mapping, _mirror, names

COUNTS = {
    "blazepose33": 33,
    "body25": 25,
    "coco17": 17,
    "coco18": 18,
    "coco23": 23,
    "face68": 68,
    "face468": 468,
    "halpe26": 26,
    "hand21": 21,
    "openpose67": 67,
    "openpose137": 137,
    "solos47": 47,
}


def test_the_names_are_those_of_the_files():
    assert set(names()) == set(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_every_topology_has_as_many_joints_as_its_name_says(name):
    assert len(topology(name)) == COUNTS[name]


@pytest.mark.parametrize("name", COUNTS)
def test_every_tree_is_its_own_mirror_image(name):
    t = topology(name)
    for joint, parent in enumerate(t.parents):
        mirrored = t.mirror[parent] if parent >= 0 else -1
        assert t.parents[t.mirror[joint]] == mirrored, t.joints[joint]


@pytest.mark.parametrize("name", COUNTS)
def test_every_topology_is_one_tree(name):
    assert topology(name).parents.count(-1) == 1


@pytest.mark.parametrize("name", COUNTS)
def test_the_mirror_exchanges_sides_and_hands(name):
    t = topology(name)
    for joint, other in zip(t.joints, (t.joints[m] for m in t.mirror), strict=True):
        if joint.startswith(("left_", "right_")):
            assert other.split("_")[1:] == joint.split("_")[1:]
            assert other != joint
    assert tuple(t.mirror[j] for j in t.left_hand) == t.right_hand


@pytest.mark.parametrize("name", COUNTS)
def test_mappings_name_joints_that_exist(name):
    for other, mapping in topology(name).mappings.items():
        for joint, sources in mapping.items():
            topology(name).index(joint)
            assert sources
            assert all(topology(other).index(s) >= 0 for s in sources)


def test_solos47_has_the_published_bones(solos_algo):
    assert {tuple(bone) for bone in solos_algo["ordered_graph"]} == set(topology("solos47").bones)


def test_solos47_has_the_right_hand_before_the_left():
    t = topology("solos47")
    assert t.right_hand == tuple(range(7, 27))
    assert t.left_hand == tuple(range(27, 47))
    assert t.joints[:7] == (
        "neck",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
    )


def test_openpose67_is_body_then_left_hand_then_right_hand():
    t = topology("openpose67")
    assert t.joints[:25] == topology("body25").joints
    assert t.left_hand == tuple(range(25, 46))
    assert t.right_hand == tuple(range(46, 67))
    assert t.joints[t.parents[t.index("left_hand_wrist")]] == "left_wrist"


@pytest.mark.parametrize(
    ("name", "index", "joint"),
    [
        ("blazepose33", 16, "right_wrist"),
        ("blazepose33", 31, "left_foot_tip"),
        ("body25", 8, "mid_hip"),
        ("body25", 22, "right_big_toe"),
        ("coco18", 17, "left_ear"),
        ("hand21", 8, "index_tip"),
        ("face68", 30, "nose_tip"),
        ("face68", 36, "right_eye_outer"),
        ("face68", 54, "left_mouth_corner"),
        ("openpose137", 24, "right_heel"),
        ("openpose137", 67, "right_jaw_1"),
        ("openpose137", 136, "left_pupil"),
    ],
)
def test_joints_stand_where_their_publishers_put_them(name, index, joint):
    assert topology(name).joints[index] == joint


@pytest.mark.parametrize(("right", "left"), [(33, 263), (61, 291), (133, 362), (234, 454), (1, 1)])
def test_the_face_mesh_mirror_exchanges_known_landmarks(right, left):
    assert topology("face468").mirror[right] == left


def test_an_unknown_topology_is_an_error_that_lists_what_there_is():
    with pytest.raises(UsageError, match=r"unknown topology '\.\./x'.*blazepose33, .*solos47"):
        topology("../x")


def test_a_side_without_its_counterpart_is_an_error_that_names_it():
    with pytest.raises(AvpipeError, match="left_hand has no counterpart right_hand"):
        _mirror("odd", ("nose", "left_hand"), [])


@pytest.mark.parametrize(
    ("joints", "given", "named"),
    [
        (("neck", "tail"), {}, "tail"),
        (("neck",), {"neck": ["left_fin"]}, "neck"),
        (("neck",), {"fin": []}, "fin"),
    ],
)
def test_a_mapping_that_misses_a_joint_is_an_error_that_names_it(joints, given, named):
    with pytest.raises(AvpipeError, match=f"mapping from body25: {named}:"):
        _mapping("odd", joints, "body25", given)
