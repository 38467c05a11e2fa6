import os
import subprocess
import sys

import numpy as np
import pytest

from avpipe import detectors
from avpipe.detectors import mediapipe_solutions
from avpipe.detectors.mediapipe_solutions import Config
from avpipe.errors import ToolMissing, UsageError


@pytest.fixture(scope="module")
def detector() -> detectors.Detector:
    return detectors.create("mediapipe-solutions")


def test_both_hands_and_the_body_of_a_violinist_are_found_in_pixels(detector, violin):
    skeleton = detector.detect(violin)["skeleton"]
    topology = skeleton.topology
    assert topology is detector.topologies["skeleton"]
    assert topology.name == "openpose67"
    assert skeleton.xy.dtype == skeleton.confidence.dtype == np.float32
    for joints in (topology.left_hand, topology.right_hand):
        assert (skeleton.confidence[:, joints] > 0.5).all(axis=1).mean() > 0.5
    seen = skeleton.xy[skeleton.confidence > 0.5]
    assert (seen > 0).all()
    assert (seen < violin.shape[2:0:-1]).all()


def test_each_hand_hangs_on_the_wrist_of_its_side(detector, violin):
    skeleton = detector.detect(violin)["skeleton"]
    topology = skeleton.topology
    wrists = skeleton.xy[:, [topology.index("left_wrist"), topology.index("right_wrist")]]
    for side, joints in enumerate((topology.left_hand, topology.right_hand)):
        gaps = np.linalg.norm(wrists - skeleton.xy[:, joints[0], None], axis=-1)
        seen = skeleton.confidence[:, joints[0]] > 0
        assert seen.any()
        assert (gaps[seen].argmin(axis=1) == side).all()


def test_the_order_of_recordings_does_not_change_their_keypoints(detector, violin, trumpet):
    forward = [detector.detect(clip)["skeleton"] for clip in (violin, trumpet)]
    backward = [detector.detect(clip)["skeleton"] for clip in (trumpet, violin)][::-1]
    for one, other in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(one.xy, other.xy)
        np.testing.assert_array_equal(one.confidence, other.confidence)


def test_nothing_is_detected_on_grey_frames(detector):
    skeleton = detector.detect(np.full((3, 60, 80, 3), 128, np.uint8))["skeleton"]
    assert not skeleton.confidence.any()
    assert not skeleton.xy.any()


def test_faces_are_given_on_request_only(violin):
    with_faces = detectors.create("mediapipe-solutions", faces=True)
    found = with_faces.detect(violin[:2])
    assert found.keys() == with_faces.topologies.keys() == {"skeleton", "face_landmarks"}
    face = found["face_landmarks"]
    assert face.xy.shape == (2, 468, 2)
    assert (face.confidence == 1).all()
    nose = found["skeleton"].xy[:, found["skeleton"].topology.index("nose")]
    assert (np.linalg.norm(face.xy.mean(axis=1) - nose, axis=1) < 50).all()


def test_no_frames_give_empty_keypoints(detector):
    assert len(detector.detect(iter([]))["skeleton"]) == 0


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 40, 3), (7, 5, 3)])
def test_tiny_frames_are_no_error(detector, shape):
    assert len(detector.detect([np.zeros(shape, np.uint8)])["skeleton"]) == 1


def test_a_strided_frame_equals_its_copy(detector, violin):
    flipped = violin[:2, :, ::-1]
    one, other = (detector.detect(clip)["skeleton"] for clip in (flipped, flipped.copy()))
    np.testing.assert_array_equal(one.xy, other.xy)


@pytest.mark.parametrize(
    "frames",
    [
        [np.zeros((4, 4), np.uint8)],
        [np.zeros((4, 4, 4), np.uint8)],
        [np.zeros((4, 4, 3), np.float32)],
        [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)],
    ],
)
def test_what_is_not_rgb_of_one_size_is_refused(detector, frames):
    with pytest.raises(UsageError, match="frame"):
        detector.detect(frames)


def test_the_identity_names_package_models_and_parameters():
    identity = mediapipe_solutions.identity(Config())
    assert identity["package"] == "mediapipe 0.10.21"
    assert identity["models"]["hand_landmark"].startswith("11c272b891e1a99a")
    assert len(identity["models"]) == 4
    assert identity["parameters"]["min_detection_confidence"] == 0.5
    assert len(mediapipe_solutions.identity(Config(faces=True))["models"]) == 6


def test_a_missing_package_is_one_line_with_the_remedy(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolMissing, match="pip install mediapipe"):
        mediapipe_solutions.identity(Config())


def test_a_missing_libgl_is_one_line_with_the_remedy(tmp_path):
    (tmp_path / "cv2.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file')"
    )
    code = "from avpipe import detectors; detectors.create('mediapipe-solutions')"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("avpipe.errors.ToolMissing: MediaPipe needs OpenCV")
    assert "opencv-contrib-python-headless<4.12" in last


def test_it_runs_on_the_cpu_only():
    with pytest.raises(UsageError, match="runs on cpu"):
        detectors.create("mediapipe-solutions", device="cuda")


def test_native_libraries_say_nothing_on_the_terminal(capfd, violin):
    detectors.create("mediapipe-solutions").detect(violin[:2])
    assert capfd.readouterr().err == ""
