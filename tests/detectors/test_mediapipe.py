import json

import numpy as np
import pytest
from PIL import Image

from avpipe import detectors
from avpipe.detectors import mediapipe
from avpipe.detectors._mediapipe import blocks
from avpipe.detectors._mediapipe.torch_runner import TorchRunner
from avpipe.detectors.mediapipe import Config, Mediapipe, _models
from avpipe.errors import ToolMissing, UsageError
from avpipe.keypoints import topology
from avpipe.keypoints.mapping import convert
from avpipe.types import Keypoints
from clips import RESOURCES, picture, rgb_frames

CLIPS = ("urmp_vln1.mp4", "urmp_09_tpt_crop.mp4", "urmp_09_vn_crop.mp4")


@pytest.fixture(scope="module")
def performer() -> detectors.Detector:
    return detectors.create("mediapipe", threads=2)


@pytest.fixture(scope="module")
def per_frame() -> detectors.Detector:
    return detectors.create("mediapipe", recipe="per-frame", threads=2)


def hands_of(skeleton) -> dict[str, np.ndarray]:
    hands = {"left": skeleton.topology.left_hand, "right": skeleton.topology.right_hand}
    return {side: (skeleton.confidence[:, j] > 0).all(axis=1) for side, j in hands.items()}


def distances(one, other) -> np.ndarray:
    both = (one.confidence > 0) & (other.confidence > 0)
    return np.linalg.norm(one.xy - other.xy, axis=-1)[both]


@pytest.mark.parametrize("clip", CLIPS)
def test_per_frame_agrees_with_the_official_solutions_in_static_mode(per_frame, clip):
    pytest.importorskip("mediapipe")
    frames = rgb_frames(clip, 8, step=15)
    official = detectors.create("mediapipe-solutions", tracking=False).detect(frames)["skeleton"]
    found = per_frame.detect(frames)["skeleton"]
    for side, joints in (("left", found.topology.left_hand), ("right", found.topology.right_hand)):
        np.testing.assert_array_equal(hands_of(found)[side], hands_of(official)[side])
        if hands_of(found)[side].any():
            gaps = np.linalg.norm(found.xy - official.xy, axis=-1)[:, joints][hands_of(found)[side]]
            assert np.median(gaps) <= 0.01
            assert np.percentile(gaps, 95) <= 0.1
    body = found.topology.left_hand[0]
    np.testing.assert_allclose(found.confidence[:, :body], official.confidence[:, :body], atol=5e-3)
    gaps = np.linalg.norm(found.xy - official.xy, axis=-1)[:, :body]
    assert np.median(gaps) <= 0.05
    assert np.percentile(gaps, 95) <= 0.3


@pytest.mark.parametrize(
    ("clip", "either", "both"),
    [(CLIPS[0], 0.99, 0.95), (CLIPS[1], 0.99, None), (CLIPS[2], 0.99, 0.97)],
)
def test_the_performers_hands_are_found_and_hidden_ones_are_not(performer, clip, either, both):
    hands = hands_of(performer.detect(rgb_frames(clip, 100))["skeleton"])
    assert (hands["left"] | hands["right"]).mean() >= either
    if both is None:
        assert (hands["left"] & hands["right"]).mean() <= 0.02
    else:
        assert (hands["left"] & hands["right"]).mean() >= both


def test_hands_are_found_in_an_eighth_of_the_light(performer):
    """Also the fingering hand, of which at most 30 grey levels are left."""
    hands = hands_of(performer.detect(rgb_frames(CLIPS[0], 16) // 8)["skeleton"])
    assert (hands["left"] & hands["right"]).mean() >= 0.9


def test_somebody_small_in_a_wide_picture_is_found(performer):
    """The violinist, whose head and body take a sixth of the height."""
    frames = rgb_frames(CLIPS[0], 6)
    known = performer.detect(frames)["skeleton"]
    small = frames[:, 1::3, 1::3]
    left, top = 500, 720 - small.shape[1]
    wide = np.pad(small, [(0, 0), (top, 0), (left, 1280 - left - small.shape[2]), (0, 0)], "edge")
    skeleton = performer.detect(wide)["skeleton"]
    joints = [skeleton.topology.index(name) for name in ("nose", "neck", "right_elbow")]
    assert (skeleton.confidence[:, joints] > 0).all()
    gaps = skeleton.xy[:, joints] - (known.xy[:, joints] / 3 + (left, top))
    assert np.linalg.norm(gaps, axis=-1).max() < 8


def test_frame_by_frame_the_pictures_are_seen_as_they_are(monkeypatch, per_frame):
    def refused(frames):
        raise AssertionError

    monkeypatch.setattr(mediapipe, "stretched", refused)
    assert len(per_frame.detect(rgb_frames(CLIPS[0], 1) // 8)["skeleton"]) == 1


def same(one: detectors.Detected, other: detectors.Detected) -> bool:
    keypoints = all(
        np.array_equal(one[field].xy, other[field].xy)
        and np.array_equal(one[field].confidence, other[field].confidence)
        for field in one
    )
    return keypoints and all(np.array_equal(one.notes[n], other.notes[n]) for n in one.notes)


@pytest.mark.parametrize("recipe", ["performer", "ensemble"])
def test_keypoints_do_not_depend_on_the_length_of_blocks(monkeypatch, recipe):
    """With hands followed both ways and in close-up, frames without anybody, dark ones, faces."""
    nobody = np.zeros((3, 480, 560, 3), np.uint8)
    hand = rgb_frames("asl_hand.25fps.mp4", 12)[:, 300:780, 30:590]
    violinist = rgb_frames("urmp_vln1.mp4", 24)[:, 150:630]
    violinist = np.pad(violinist, [(0, 0), (0, 0), (0, 112), (0, 0)])
    frames = np.concatenate([nobody, hand, violinist, violinist[:5] // 7])
    detector = detectors.create("mediapipe", recipe=recipe, faces=True, threads=2)
    expected = detector.detect(frames)
    if recipe == "performer":
        assert set(np.unique(expected.notes["hand_origin"])) >= {0, 1, 2, 4}
    for length in (1, 7, 64):
        monkeypatch.setattr(blocks, "_LONGEST", length)
        monkeypatch.setattr(blocks, "_SHORTEST", 1)
        assert same(detector.detect(iter(frames)), expected)


def test_keypoints_do_not_depend_on_threads_or_on_how_frames_arrive(performer, violin):
    frames = np.concatenate([violin, violin[::-1]])
    expected = performer.detect(frames)
    single = detectors.create("mediapipe", threads=1)
    for found in (single.detect(frame for frame in frames), performer.detect(list(frames))):
        np.testing.assert_array_equal(found["skeleton"].xy, expected["skeleton"].xy)
        np.testing.assert_array_equal(found["skeleton"].confidence, expected["skeleton"].confidence)
        np.testing.assert_array_equal(found.notes["hand_origin"], expected.notes["hand_origin"])


def test_the_order_of_recordings_does_not_change_their_keypoints(performer, violin, trumpet):
    forward = [performer.detect(clip)["skeleton"].xy for clip in (violin, trumpet)]
    backward = [performer.detect(clip)["skeleton"].xy for clip in (trumpet, violin)][::-1]
    for one, other in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(one, other)


def test_torch_and_litert_agree(performer, violin):
    config, frames = Config(), violin[:3]
    expected = performer.detect(frames)["skeleton"]
    found = Mediapipe(config, TorchRunner(_models(config), "cpu", 16)).detect(frames)["skeleton"]
    np.testing.assert_array_equal(found.confidence > 0, expected.confidence > 0)
    assert distances(found, expected).max() < 0.02


def test_a_steady_body_trembles_less_than_frame_by_frame(performer, per_frame, violin):
    def jitter(found) -> float:
        body = found["skeleton"].xy[:, :15]
        return float(np.median(np.linalg.norm(np.diff(body, n=2, axis=0), axis=-1)))

    assert jitter(performer.detect(violin)) < jitter(per_frame.detect(violin))


def test_a_signing_hand_in_close_up_is_found_where_it_is_known_to_be(performer):
    """On all frames; the source of the known positions allows 26 px."""
    known = json.loads((RESOURCES / "asl_hand.full.json").read_text())
    skeleton = performer.detect(rgb_frames("asl_hand.25fps.mp4", len(known)))["skeleton"]
    assert hands_of(skeleton)["right"].all()
    assert not hands_of(skeleton)["left"].any()
    gaps = skeleton.xy[:, skeleton.topology.right_hand] - np.array(known)[..., :2]
    gaps = np.linalg.norm(gaps, axis=-1)
    assert np.median(gaps) < 1
    assert gaps.max() < 16


def test_two_hands_without_a_body_are_found_where_they_are_known_to_be(performer):
    known = json.loads((RESOURCES / "hands_and_pose.json").read_text())["hands.jpg"]
    skeleton = performer.detect(picture("hands.jpg")[None])["skeleton"]
    joints = [list(skeleton.topology.left_hand), list(skeleton.topology.right_hand)]
    found = skeleton.xy[0, joints]
    for expected in np.array(known["hands_21xy"]):
        gaps = np.linalg.norm(found - expected, axis=-1).max(axis=1)
        assert gaps.min() < known["tolerance_px"]


@pytest.mark.parametrize("kind", ["black", "noise", "slope"])
def test_nothing_is_found_where_nobody_is(performer, kind):
    pictures = {
        "black": np.zeros((2, 200, 300, 3), np.uint8),
        "noise": np.random.default_rng(0).integers(0, 256, (2, 200, 300, 3), np.uint8),
        "slope": np.broadcast_to(np.linspace(0, 255, 300)[:, None], (2, 200, 300, 3)),
    }
    skeleton = performer.detect(pictures[kind].astype(np.uint8))["skeleton"]
    assert not skeleton.confidence.any()
    assert not skeleton.xy.any()


def test_faces_are_given_on_request_where_the_nose_is(violin):
    detector = detectors.create("mediapipe", faces=True)
    found = detector.detect(violin[:3])
    assert found.keys() == detector.topologies.keys() == {"skeleton", "face_landmarks"}
    face, skeleton = found["face_landmarks"], found["skeleton"]
    assert (face.confidence == 1).all()
    tip, nose = face.xy[:, 4], skeleton.xy[:, skeleton.topology.index("nose")]
    assert (np.linalg.norm(tip - nose, axis=1) < 8).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 64, 3), (9, 7, 3)])
def test_tiny_frames_are_no_error(performer, shape):
    assert len(performer.detect([np.full(shape, 99, np.uint8)])["skeleton"]) == 1


def test_no_frames_give_empty_keypoints(performer):
    found = performer.detect(iter([]))
    assert len(found["skeleton"]) == len(found.notes["hand_origin"]) == 0


def test_a_very_large_frame_is_detected_like_any_other(performer, violin):
    large = np.zeros((4320, 7680, 3), np.uint8)
    large[1000:1480, 3000:3560] = violin[0]
    assert len(performer.detect([large])["skeleton"]) == 1


def test_strided_frames_equal_their_copies(performer, violin):
    flipped = violin[:2, :, ::-1]
    np.testing.assert_array_equal(
        performer.detect(flipped)["skeleton"].xy, performer.detect(flipped.copy())["skeleton"].xy
    )


def test_left_and_right_change_places_in_a_mirror(performer, violin):
    straight = performer.detect(violin[:6])["skeleton"]
    mirrored = performer.detect(violin[:6, :, ::-1])["skeleton"]
    width = violin.shape[2] - 1
    bow = straight.xy[:, straight.topology.index("right_wrist")]
    other = mirrored.xy[:, straight.topology.index("left_wrist")]
    assert np.linalg.norm(bow - ([width, 0] + other * [-1, 1]), axis=1).max() < 25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": -3}, "threads = -3: must be at least 0"),
        ({"wrist_gate": -1}, "wrist_gate = -1.0: must be above 0"),
        ({"wrist_gate": float("nan")}, "wrist_gate = nan: must be above 0"),
        ({"heat_map_window": 8}, "heat_map_window = 8: must be odd"),
        ({"players": 0}, "players = 0: must be at least 1"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_in_one_line(options, message):
    with pytest.raises(UsageError, match=f"mediapipe: {message}$"):
        detectors.create("mediapipe", **options)


def test_the_identity_changes_with_what_shapes_the_output_only():
    plain = mediapipe.identity(Config())
    assert plain == mediapipe.identity(Config(threads=3, batch=5))
    assert plain != mediapipe.identity(Config(fidelity="fast"))
    assert plain != mediapipe.identity(Config(recipe="per-frame"))
    assert len(plain["models"]) == 5
    assert plain["models"]["hand"].startswith("11c272b891e1a99a")


def test_cuda_asked_for_and_absent_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(detectors, "_has_cuda", lambda: False)
    with pytest.raises(ToolMissing, match="no CUDA device: use device cpu"):
        detectors.create("mediapipe", device="cuda")


@pytest.mark.parametrize("options", [{"key_frames": 0}, {"recipe": "magic"}, {"batch": -1}])
def test_parameters_out_of_range_are_refused(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        detectors.create("mediapipe", **options)


@pytest.mark.gpu
def test_cuda_and_cpu_agree(performer, violin):
    on_cuda = detectors.create("mediapipe", device="cuda").detect(violin)["skeleton"]
    on_cpu = performer.detect(violin)["skeleton"]
    np.testing.assert_array_equal(on_cuda.confidence > 0, on_cpu.confidence > 0)
    assert (distances(on_cuda, on_cpu) <= 1 / 8).mean() >= 0.999


@pytest.mark.gpu
@pytest.mark.parametrize("fidelity", ["exact", "fast"])
def test_on_cuda_the_batch_changes_no_bit(violin, fidelity):
    one, other = (
        detectors.create("mediapipe", device="cuda", fidelity=fidelity, batch=batch).detect(violin)
        for batch in (16, 128)
    )
    np.testing.assert_array_equal(one["skeleton"].xy, other["skeleton"].xy)


@pytest.mark.gpu
def test_half_precision_on_cuda_stays_near_single(violin):
    exact, fast = (
        detectors.create("mediapipe", device="cuda", fidelity=f).detect(violin)["skeleton"]
        for f in ("exact", "fast")
    )
    body = exact.topology.left_hand[0]
    gaps = np.linalg.norm(exact.xy - fast.xy, axis=-1)
    assert np.median(gaps[:, :body]) <= 1
    assert np.percentile(gaps[:, :body], 95) <= 6
    assert np.median(gaps[:, body:]) <= 0.1
    assert np.percentile(gaps[:, body:], 95) <= 0.5


def test_the_performer_is_chosen_over_the_whole_recording(performer, violin, trumpet):
    """The trumpeter is there before the violinist, who stays longer; she comes between key frames
    and is found on the next one."""
    nobody = np.zeros_like(violin)
    empty = np.concatenate([trumpet, nobody], axis=2)
    both = np.concatenate([trumpet, violin], axis=2)
    late = np.concatenate([nobody, violin], axis=2)
    frames = np.concatenate([empty[:6], both[:6], *[late] * 2])
    for recording in (frames, frames[::-1]):
        skeleton = performer.detect(recording)["skeleton"]
        necks = skeleton.xy[:, skeleton.topology.index("neck"), 0]
        seen = necks[skeleton.confidence[:, skeleton.topology.index("neck")] > 0]
        assert len(seen) >= 26
        assert (seen > violin.shape[2]).all()


def test_of_two_players_side_by_side_one_is_followed_throughout(performer):
    players = [rgb_frames(clip, 24, step=5) for clip in CLIPS[1:]]
    skeleton = performer.detect(np.concatenate(players, axis=2))["skeleton"]
    neck = skeleton.xy[:, skeleton.topology.index("neck"), 0]
    assert np.ptp(neck) < 60


@pytest.mark.parametrize("recipe", ["performer", "per-frame"])
def test_a_body_is_found_where_it_is_known_to_be(recipe):
    known = json.loads((RESOURCES / "hands_and_pose.json").read_text())["pose.jpg"]
    xy = np.array(known["keypoints_33"], np.float32)[None, :, :2]
    blazepose = Keypoints(xy, np.ones((1, 33), np.float32), topology("blazepose33"))
    expected = convert(blazepose, "body25")
    detector = detectors.create("mediapipe", recipe=recipe)
    skeleton = detector.detect(picture("pose.jpg")[None])["skeleton"]
    joints = np.flatnonzero(expected.confidence[0])
    assert len(joints) == 23
    gaps = np.linalg.norm(skeleton.xy[0, joints] - expected.xy[0, joints], axis=-1)
    assert gaps.max() < 10


@pytest.mark.parametrize("recipe", ["performer", "per-frame"])
@pytest.mark.parametrize("close_up", [False, True])
def test_a_face_is_found_where_it_is_known_to_be(recipe, close_up):
    """Also where it fills the picture, which the detector for faces far away does not see."""
    known = json.loads((RESOURCES / "hands_and_pose.json").read_text())["portrait.jpg"]
    frame, corner = picture("portrait.jpg"), np.zeros(2)
    if close_up:
        frame, corner = frame[100:360, 270:530], np.array([270, 100])
    found = detectors.create("mediapipe", recipe=recipe, faces=True).detect([frame])
    mesh = {int(j): xy for j, xy in known["facemesh_index_to_xy"].items() if int(j) < 468}
    gaps = found["face_landmarks"].xy[0, list(mesh)] + corner - list(mesh.values())
    assert np.linalg.norm(gaps, axis=1).max() < known["tolerance_px"]


def test_four_players_in_a_row_get_a_skeleton_each_from_left_to_right():
    names = ["urmp_09_tpt_crop.mp4", "urmp_09_vn_crop.mp4"]
    two = [rgb_frames(name, 6) for name in names]
    four = np.concatenate([*two, *(clip[:, :, ::-1] for clip in two)], axis=2)
    detector = detectors.create("mediapipe", recipe="ensemble", players=4)
    found = detector.detect(four)
    neck, width = found["skeleton"].topology.index("neck"), two[0].shape[2]
    for index, field in enumerate(detector.topologies):
        player = found[field]
        assert (player.confidence[:, neck] > 0).all()
        assert (player.xy[:, neck, 0] // width == index).all()
        sides = hands_of(player)
        assert sides["right" if index < 2 else "left"].all()
        assert (sides["left"] & sides["right"]).mean() == index % 2


def test_players_who_come_and_go_keep_their_places(violin, trumpet):
    nobody = np.zeros_like(violin)
    scenes = [(trumpet, violin), (trumpet, nobody), (trumpet, violin), (nobody, violin)]
    pairs = [np.concatenate(scene, axis=2) for scene in scenes]
    frames = np.concatenate([pair for pair in pairs for _ in range(3)])
    found = detectors.create("mediapipe", recipe="ensemble").detect(frames)
    neck, width = found["skeleton"].topology.index("neck"), violin.shape[2]
    left, right = (found[field].xy[:, neck, 0] for field in ("skeleton", "skeleton_2"))
    assert (left[left > 0] < width).all()
    assert (right[right > 0] > width).all()
    assert ((left > 0).reshape(4, 36).mean(axis=1) > 0.9).tolist() == [True, True, True, False]
    assert ((right > 0).reshape(4, 36).mean(axis=1) > 0.9).tolist() == [True, False, True, True]


def test_a_neighbour_in_reach_lends_no_player_an_arm():
    trumpeter, violinist = (rgb_frames(clip, 12, step=6) for clip in CLIPS[1:])
    close = np.concatenate([violinist[:, :, 80:470], trumpeter[:, :, 80:440]], axis=2)
    found = detectors.create("mediapipe", recipe="ensemble", players=2).detect(close)
    left, right = found["skeleton"], found["skeleton_2"]
    assert (hands_of(left)["left"] & hands_of(left)["right"]).mean() >= 0.9
    assert hands_of(right)["right"].mean() >= 0.9
    assert hands_of(right)["left"].mean() <= 0.1


@pytest.mark.parametrize("size", [(854, 480), (426, 240)])
def test_one_player_in_a_stretched_picture_is_not_two(size):
    """Between the whole and its squares, which all see her, and the hips of none where they are."""
    frames = [Image.fromarray(frame).resize(size) for frame in rgb_frames(CLIPS[2], 10)]
    found = detectors.create("mediapipe", recipe="ensemble").detect(map(np.asarray, frames))
    neck = found["skeleton"].topology.index("neck")
    assert (found["skeleton"].confidence[:, neck] > 0).mean() >= 0.9
    assert not found["skeleton_2"].confidence.any()


def test_two_players_side_by_side_get_a_skeleton_each_from_left_to_right():
    trumpeter, violinist = (rgb_frames(clip, 40, step=3) for clip in CLIPS[1:])
    detector = detectors.create("mediapipe", recipe="ensemble", players=2)
    assert set(detector.topologies) == {"skeleton", "skeleton_2"}
    found = detector.detect(np.concatenate([trumpeter, violinist], axis=2))
    left, right = found["skeleton"], found["skeleton_2"]
    neck, border = left.topology.index("neck"), trumpeter.shape[2]
    seen = [player.confidence[:, neck] > 0 for player in (left, right)]
    assert min(frames.mean() for frames in seen) >= 0.9
    assert (left.xy[seen[0], neck, 0] < border).all()
    assert (right.xy[seen[1], neck, 0] > border).all()
    assert hands_of(left)["right"].mean() >= 0.9
    assert hands_of(left)["left"].mean() <= 0.02
    assert (hands_of(right)["left"] & hands_of(right)["right"]).mean() >= 0.9
    assert found.notes["hand_origin_2"].shape == (40, 2)
