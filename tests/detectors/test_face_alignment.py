"""The package's own code, with weights made here: they find nothing meaningful, but where they find
it, in which order and in which units is checked against the package and by construction."""

import subprocess
import sys
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avpipe import detectors
from avpipe.detectors import _fan, face_alignment
from avpipe.detectors.face_alignment import Config
from avpipe.errors import ToolMissing, UsageError
from pretended_cuda import pretended

torch = pytest.importorskip("torch")
package = pytest.importorskip("face_alignment")

FACES, POINTS = "s3fd-619a316812.pth", "2DFAN4-11f355bf06.pth.tar"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """S3FD that sees a face of 64 px in the middle of any picture of 128 px (and three beside the
    picture); a random FAN."""
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN

    folder = tmp_path_factory.mktemp("weights")
    faces = {name: torch.zeros_like(value) for name, value in s3fd().state_dict().items()}
    for level in ("conv3_3_norm", "conv4_3_norm", "conv5_3_norm", "fc7", "conv6_2", "conv7_2"):
        background = faces[f"{level}_mbox_conf.bias"]
        background[0] = 0 if level == "conv7_2" else 10
    faces["conv7_2_mbox_conf.bias"][1] = 3
    # Boxes of this level are 512 px wide around the middle of each 128 px; e^(-10.4 / 5) = 1/8.
    faces["conv7_2_mbox_loc.bias"][2:] = 5 * np.log(64 / 512)
    torch.save(faces, folder / FACES)
    torch.manual_seed(0)
    torch.save(FAN(4).state_dict(), folder / POINTS)
    return folder


@pytest.fixture(scope="module")
def real(weights) -> detectors.Detector:
    return detectors.create("face-alignment", weights=str(weights))


@pytest.fixture(scope="module")
def detector(real) -> detectors.Detector:
    return varied(real, thin(), batch=2)


def varied(real, network, **options):
    """The same detector with a network that costs nothing, or with other options."""
    other = copy(real)
    other._network, other.config = network, replace(real.config, **options)
    return other


def thin():
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(3, 68, 8, 4, 2)
    return lambda tensor: [convolution(tensor)]


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (3, 128, 128, 3), np.uint8)


@pytest.mark.parametrize(("network", "flip"), [("FAN", False), ("thin", True)])
def test_the_points_are_those_of_the_package_but_for_its_rounding(real, noise, network, flip):
    ours = varied(real, thin() if network == "thin" else real._network, flip=flip)
    found = ours.detect(noise[:1])["face_landmarks"]
    assert found.topology is ours.topologies["face_landmarks"]
    assert found.xy.shape == (1, 68, 2)
    theirs = package.FaceAlignment.__new__(package.FaceAlignment)  # its __init__ downloads
    theirs.device, theirs.dtype, theirs.max_batch_size = "cpu", torch.float32, 1
    theirs.flip_input, theirs.landmarks_type = flip, package.LandmarksType.TWO_D
    theirs.face_detector, theirs.face_alignment_net = ours._boxes, ours._network
    box = min(ours._boxes.detect_from_image(noise[0]), key=lambda box: box[0] + box[1])
    np.testing.assert_allclose(box[:4], (32, 32, 96, 96), atol=0.01)
    (points,), (scores,), _ = theirs.get_landmarks_from_image(
        noise[0], [box], return_landmark_score=True
    )
    positive = scores > 0
    assert positive.any()
    np.testing.assert_array_equal(found.confidence[0] > 0, positive)
    heights = (scores[positive] / (2 if flip else 1)).clip(0, 1)
    np.testing.assert_allclose(found.confidence[0, positive], heights, rtol=1e-4)
    assert np.abs(found.xy[0, positive] - points[positive]).max() <= 1.5


def test_points_do_not_depend_on_the_batch(detector, noise):
    other = varied(detector, detector._network, batch=1)
    one, two = (d.detect(noise)["face_landmarks"] for d in (detector, other))
    np.testing.assert_allclose(one.xy, two.xy, atol=1e-3)
    np.testing.assert_allclose(one.confidence, two.confidence, rtol=1e-3, atol=1e-5)
    assert (one.xy[0] != one.xy[1]).any()


def test_on_a_device_the_points_are_the_cpus_and_no_clock_chooses_kernels(
    real, weights, noise, monkeypatch
):
    expected = varied(real, real._network, flip=False).detect(noise[:1])["face_landmarks"]
    with pretended(monkeypatch):
        there = detectors.create("face-alignment", "cuda", weights=str(weights), flip=False)
        found = there.detect(noise[:1])["face_landmarks"]
    np.testing.assert_allclose(found.xy, expected.xy, atol=1e-3)
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-5)
    assert (
        not torch.backends.cudnn.benchmark
    )  # the package would have set it, for all of the process


def marker(shape: tuple[int, int], x: int, y: int) -> np.ndarray:
    """A picture with a green spot of 3x3 px around (x, y)."""
    frame = np.zeros((*shape, 3), np.uint8)
    frame[y - 1 : y + 2, x - 1 : x + 2, 1] = 255
    return frame


def sees_green(tensor):
    """Stands for FAN: the heat of every point is how green the crop is, 4 px to one of the map."""
    heat = torch.nn.functional.avg_pool2d(tensor[:, 1:2], 4)
    return [heat.expand(-1, 68, -1, -1)]


@pytest.mark.parametrize(("x", "y"), [(64, 60), (45, 80), (90, 41)])
@pytest.mark.parametrize("flip", [False, True])
def test_a_peak_is_mapped_back_to_where_it_is_in_the_frame(real, x, y, flip):
    detector = varied(real, sees_green, flip=flip)
    found = detector.detect([marker((128, 128), x, y)])["face_landmarks"]
    np.testing.assert_allclose(found.xy[0], np.tile((x, y), (68, 1)), atol=0.6)


def test_large_pictures_are_searched_small_and_answered_in_their_own_pixels(real):
    detector = varied(real, sees_green, search_side=128)
    found = detector.detect([marker((1024, 1024), 512, 480)])["face_landmarks"]
    np.testing.assert_allclose(
        found.xy[0], np.tile((512, 480), (68, 1)), atol=8.5
    )  # a pixel of the map


def test_peaks_are_found_as_the_package_finds_them():
    maps = torch.from_numpy(np.random.default_rng(1).random((2, 68, 64, 64), np.float32))
    maps[0, 0, 0, 5] = maps[0, 1, 63, 63] = 2  # on the edge nothing is moved
    theirs, _, heights = package.utils.get_preds_fromhm(maps.numpy().copy(), np.zeros(2), 1.0)
    found = _fan.peaks(maps).numpy()
    np.testing.assert_allclose(found[..., :2], theirs)
    np.testing.assert_allclose(found[..., 2], heights)


def test_the_largest_face_comes_first_and_impossible_boxes_go():
    boxes = [
        (10, 10, 20, 20, 0.9), (5, 5, 45, 45, 0.6), (np.nan, 0, 9, 9, 0.9), (0, 0, 1e9, 9, 0.9),
        (200, 10, 240, 50, 0.9), (30, 30, 30.1, 60, 0.9),
    ]  # fmt: skip
    kept = _fan.plausible([np.array(box) for box in boxes], 100, 100)
    assert [box[0] for box in kept] == [5, 10]


def test_work_is_halved_when_the_memory_of_the_device_runs_out():
    sizes = []

    def work(items: list[int]) -> list[int]:
        sizes.append(len(items))
        if len(items) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return [2 * item for item in items]

    assert _fan.halving(work, list(range(5))) == [0, 2, 4, 6, 8]
    assert sizes == [5, 2, 3, 1, 2]


def test_no_frames_and_tiny_and_strided_frames_are_no_error(detector, noise):
    assert len(detector.detect(iter([]))["face_landmarks"]) == 0
    assert not detector.detect([np.zeros((1, 1, 3), np.uint8)])["face_landmarks"].confidence.any()
    flipped = noise[:1, :, ::-1]
    one, other = (detector.detect(clip)["face_landmarks"] for clip in (flipped, flipped.copy()))
    np.testing.assert_array_equal(one.xy, other.xy)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (4, 4, 1)])
def test_grey_and_transparent_frames_are_refused_in_one_line(detector, shape):
    with pytest.raises(UsageError, match=r"^frame 0 is uint8 .*: give \(H, W, 3\) uint8 RGB$"):
        detector.detect([np.zeros(shape, np.uint8)])


def test_the_identity_names_package_weights_and_parameters_and_loads_nothing(weights):
    identity = face_alignment.identity(Config(weights=str(weights)))
    assert identity["package"].startswith("face-alignment 1.")
    assert identity["models"].keys() == {FACES, POINTS}
    assert identity["parameters"].keys() == {
        "points", "min_face_score", "faces_max", "search_side", "flip",
    }  # fmt: skip
    code = (
        "import sys; from avpipe.detectors import face_alignment as f;"
        f"f.identity(f.Config(weights={str(weights)!r}));"
        "assert not {'torch', 'face_alignment', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_missing_weights_are_named_with_where_they_come_from(tmp_path):
    with pytest.raises(ToolMissing, match=rf"{FACES} is missing: fetch https://.*/{FACES}"):
        detectors.create("face-alignment", weights=str(tmp_path))
    (tmp_path / FACES).write_bytes(b"")
    with pytest.raises(ToolMissing, match=r"3DFAN4-7835d9f11d.pth.tar is missing"):
        face_alignment.identity(Config(weights=str(tmp_path), points="3d"))


def test_the_packages_cache_is_the_default_and_its_files_are_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    with pytest.raises(ToolMissing, match=rf"{cache}/{FACES} is missing"):
        face_alignment.identity(Config())
    cache.mkdir(parents=True)
    (cache / FACES).write_bytes(b"half a download")
    with pytest.raises(ToolMissing, match=r"has sha256 [0-9a-f]{10}\.\.\., not 619a316812"):
        face_alignment.identity(Config())


@pytest.mark.parametrize("content", [b"not weights", None])
def test_files_that_are_not_weights_are_one_line(weights, tmp_path, content):
    (tmp_path / POINTS).hardlink_to(weights / POINTS)
    if content is None:
        torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / FACES)
    else:
        (tmp_path / FACES).write_bytes(content)
    with pytest.raises(ToolMissing, match=rf"{FACES} does not hold the weights of S3FD") as caught:
        detectors.create("face-alignment", weights=str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"points": "4d"}, {"batch": 0}, {"search_side": 10}, {"min_face_score": 2.0}]
)
def test_parameters_out_of_range_are_refused(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        detectors.create("face-alignment", **options)
