"""OpenPose's own code is not here: its binding is played by `pyopenpose_stand_in`."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from avpipe import detectors
from avpipe.detectors import openpose
from avpipe.detectors.openpose import Config
from avpipe.errors import ToolMissing, UsageError

STAND_IN = Path(__file__).with_name("pyopenpose_stand_in.py")


@pytest.fixture
def binding(tmp_path, monkeypatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("pyopenpose", STAND_IN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    library = tmp_path / "pyopenpose.cpython-311-x86_64-linux-gnu.so"
    library.write_bytes(b"\x7fELF\0libopenpose.so.1.7.0\0libcaffe.so.1.0.0\0")
    module.__file__ = str(library)
    monkeypatch.setitem(sys.modules, "pyopenpose", module)
    return module


@pytest.fixture
def models(tmp_path) -> str:
    folder = tmp_path / "models"
    for part in openpose._MODELS.values():
        for name in part:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(name.encode())
    return str(folder)


def picture(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A frame with a person (left, top, right, bottom) in each box; people are red."""
    frame = np.zeros((90, 160, 3), np.uint8)
    frame[..., 2] = 255  # blue: whoever swaps red and blue sees one person that fills the frame
    for left, top, right, bottom in boxes:
        frame[top:bottom, left:right] = (200, 0, 0)
    return frame


def test_body_and_hands_land_in_the_skeleton_in_their_places(binding, models):
    detector = detectors.create("openpose", model_folder=models)
    found = detector.detect([picture((10, 20, 50, 80))])
    assert found.keys() == detector.topologies.keys() == {"skeleton"}
    skeleton = found["skeleton"]
    assert skeleton.topology.name == "openpose67"
    assert skeleton.xy.dtype == skeleton.confidence.dtype == np.float32
    nose, left, right = 0, *(skeleton.topology.index(f"{s}_hand_wrist") for s in ("left", "right"))
    for first in (nose, left, right):
        np.testing.assert_allclose(skeleton.xy[0, first], (10, 20))
    np.testing.assert_allclose(skeleton.xy[0, right + 20], (49, 79))
    assert skeleton.confidence[0, nose] == np.float32(0.8)
    assert (skeleton.confidence[0, skeleton.topology.left_hand] == np.float32(0.3)).all()
    assert (skeleton.confidence[0, skeleton.topology.right_hand] == 1).all()
    missing = skeleton.topology.index("right_heel")
    assert not skeleton.confidence[0, missing]
    assert not skeleton.xy[0, missing].any()


def test_faces_are_given_on_request_without_pupils(binding, models):
    found = detectors.create("openpose", model_folder=models, faces=True).detect(
        [picture((0, 0, 70, 70)), picture()]
    )
    face = found["face_landmarks"]
    assert face.topology.name == "face68"
    np.testing.assert_allclose(face.xy[0, :, 0], np.arange(68))
    assert not face.confidence[1].any()


def test_without_hands_they_are_not_detected(binding, models):
    detector = detectors.create("openpose", model_folder=models, hands=False)
    skeleton = detector.detect([picture((10, 20, 50, 80))])["skeleton"]
    assert not skeleton.confidence[:, 25:].any()
    assert skeleton.confidence[:, 0].all()


def test_flags_of_one_detector_do_not_leak_into_the_next(binding, models):
    detectors.create("openpose", model_folder=models, faces=True, net_resolution="656x368")
    detectors.create("openpose", model_folder=models, hands=False)
    assert binding.flags["face"] == binding.flags["hand"] == "False"
    assert binding.flags["net_resolution"] == "-1x368"
    assert binding.flags["number_people_max"] == "1"
    assert binding.flags["model_folder"] == models + "/"


def test_the_largest_person_over_the_whole_recording_is_followed_in_any_order(binding, models):
    detector = detectors.create("openpose", model_folder=models, number_people_max=-1)
    frames = []
    for t in range(12):
        player, page_turner = (20 + 2 * t, 10, 60 + 2 * t, 80), (100, 40, 115, 80)
        # the page turner is alone in frame 5 and comes close in frames 8 and 9
        close = (100, 0, 159, 89) if t in (8, 9) else page_turner
        frames.append(picture(page_turner) if t == 5 else picture(player, close))
    skeleton = detector.detect(frames)["skeleton"]
    seen = skeleton.confidence[:, 0] > 0
    assert seen.tolist() == [t != 5 for t in range(12)]
    np.testing.assert_allclose(skeleton.xy[seen, 0, 0], [20 + 2 * t for t in range(12) if t != 5])


def test_a_performer_lost_and_found_elsewhere_is_the_same_one(binding, models):
    detector = detectors.create("openpose", model_folder=models, number_people_max=4)
    frames = [picture((10, 10, 40, 80))] * 3 + [picture()] * 30 + [picture((110, 10, 140, 80))] * 3
    seen = detector.detect(frames)["skeleton"].confidence[:, 0] > 0
    assert seen.tolist() == [True] * 3 + [False] * 30 + [True] * 3


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 40, 3)])
def test_tiny_and_strided_and_no_frames_are_no_error(binding, models, shape):
    detector = detectors.create("openpose", model_folder=models)
    assert len(detector.detect([np.zeros(shape, np.uint8)])["skeleton"]) == 1
    assert len(detector.detect(iter([]))["skeleton"]) == 0
    flipped = np.stack([picture((10, 20, 50, 80))])[:, :, ::-1]
    one, other = (detector.detect(frames)["skeleton"] for frames in (flipped, flipped.copy()))
    np.testing.assert_array_equal(one.xy, other.xy)
    assert one.xy[0, 0, 0] == 110


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (4, 4, 1)])
def test_grey_and_transparent_frames_are_refused_in_one_line(binding, models, shape):
    with pytest.raises(UsageError, match=r"^frame 0 is uint8 .*: give \(H, W, 3\) uint8 RGB$"):
        detectors.create("openpose", model_folder=models).detect([np.zeros(shape, np.uint8)])


def test_the_identity_names_version_models_and_parameters(binding, models):
    plain = openpose.identity(Config(model_folder=models))
    assert plain["package"] == "openpose 1.7.0"
    assert len(plain["models"]) == 4
    assert len(openpose.identity(Config(model_folder=models, faces=True))["models"]) == 6
    assert "model_folder" not in plain["parameters"]
    assert plain["parameters"]["number_people_max"] == 1
    (Path(models) / "pose/body_25/pose_iter_584000.caffemodel").write_bytes(b"other weights")
    assert openpose.identity(Config(model_folder=models))["models"] != plain["models"]


def test_a_binding_that_names_no_version_is_known_by_its_bytes(binding, models, tmp_path):
    library = tmp_path / "other.so"
    library.write_bytes(b"\x7fELF")
    binding.__file__ = str(library)
    assert len(openpose.identity(Config(model_folder=models))["package"]) == len("openpose ") + 64


def test_a_missing_binding_is_one_line_with_the_remedy():
    with pytest.raises(ToolMissing, match=r"pyopenpose: build it with docker/openpose.Dockerfile"):
        detectors.create("openpose")


def test_a_binding_that_does_not_load_says_why(tmp_path, monkeypatch):
    (tmp_path / "pyopenpose.py").write_text("raise ImportError('libcaffe.so.1.0.0: no such file')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ToolMissing, match=r"libcaffe.so.1.0.0.*Dockerfile"):
        openpose.identity(Config())


def test_a_missing_model_is_named_with_its_folder(binding, models):
    (Path(models) / "hand/pose_iter_102000.caffemodel").unlink()
    with pytest.raises(ToolMissing, match=r"hand/pose_iter_102000.caffemodel is missing"):
        detectors.create("openpose", model_folder=models)
    assert detectors.create("openpose", model_folder=models, hands=False)


def test_it_runs_on_what_it_was_built_for(binding, models):
    with pytest.raises(ToolMissing, match="openpose finds no CUDA device"):
        detectors.create("openpose", device="cuda", model_folder=models)
    binding.gpus = 1
    with pytest.raises(ToolMissing, match="built for CUDA"):
        detectors.create("openpose", device="cpu", model_folder=models)
    assert detectors.create("openpose", device="auto", model_folder=models)
    assert binding.flags["num_gpu"] == "1"


@pytest.mark.parametrize(
    "options", [{"number_people_max": 0}, {"net_resolution": "360p"}, {"net_resolution": "-1x360"}]
)
def test_what_openpose_cannot_do_is_refused(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        detectors.create("openpose", **options)
