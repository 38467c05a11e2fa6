import json
from pathlib import Path

import numpy as np
import pytest

from avpipe import detectors, images
from avpipe.errors import RecordingFailed, UsageError
from avpipe.keypoints import files, topology
from avpipe.media import decode_frames
from avpipe.stages import Job, faces, mouths
from avpipe.types import Keypoints, Recording

CLIP = Path(__file__).parents[1] / "resources" / "intel_asl_thanks.mkv"
"""A person who mouths a word."""
FRAMES = 51


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, Path]:
    """The artifacts of `video` and `detect`, the landmarks found for real."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "video.mp4").symlink_to(CLIP)
    (folder / "video.json").write_text(json.dumps({"present": True, "frames": FRAMES, "fps": 25}))
    detector = detectors.create("mediapipe", faces=True)
    found = detector.detect(decode_frames(CLIP))["face_landmarks"]
    found.confidence[:12] = 0  # as if the face came into the picture later
    files.save(folder, "face_landmarks", found)
    files.write_summary(folder / "detect.json", FRAMES, {"face_landmarks": found})
    return {"video": folder, "detect": folder}


def crops(stage, inputs: dict[str, Path], out: Path, **config: float) -> images.Images:
    field = stage.__name__.rpartition(".")[2]
    stage.run(Job(Recording("a", "English"), stage.Config(**config), inputs, out))
    facts = images.read_facts(out, field)
    jpeg = np.fromfile(out / f"{field}.mjpeg", np.uint8)
    offsets, held = (np.load(out / f"{field}_{name}.npy") for name in ("offsets", "held"))
    return images.Images(jpeg, offsets, np.arange(facts.images), facts.height, facts.width, held)


@pytest.fixture(scope="module")
def found_mouths(inputs, tmp_path_factory) -> images.Images:
    return crops(mouths, inputs, tmp_path_factory.mktemp("mouths"))


def test_every_frame_has_a_face_of_160_and_a_mouth_of_96_px(inputs, found_mouths, tmp_path):
    whole = crops(faces, inputs, tmp_path)
    assert whole.shape == (FRAMES, 160, 160, 3)
    assert found_mouths.shape == (FRAMES, 96, 96, 3)
    assert (whole.held == found_mouths.held).all()
    assert whole.held[:12].all()
    assert not whole.held[12:].any()


def test_the_face_found_again_in_the_crops_is_always_in_the_same_place(inputs, tmp_path):
    """Large crops of the head and more, and the detector once more: the eyes stay within a tenth of
    their distance, although the head moves by more than that in the video."""
    steady = slice(20, FRAMES)
    large = crops(faces, inputs, tmp_path, size=480, side_cm=44.0)
    again = detectors.create("mediapipe", faces=True).detect(np.asarray(large[steady]))
    eyes = _eyes(again["face_landmarks"])
    per_cm = 480 / 44.0
    expected = (
        np.array([(-4.45, -2.66), (4.45, -2.66)]) * per_cm + 240 + np.array([0, 0.6 * per_cm])
    )
    assert np.abs(eyes - expected).max() < 0.1 * 8.9 * per_cm
    video = files.load(inputs["detect"], "face_landmarks", "face468")
    assert _spread(_eyes(video[steady])) > 1.5 * _spread(eyes)


def test_the_mouth_moves_in_its_crop(found_mouths):
    """The lips open: the middle of the crop changes more than the skin beside the nose."""
    pixels = np.asarray(found_mouths[20:]).astype(float).mean(axis=-1)
    change = np.abs(np.diff(pixels, axis=0)).mean(axis=0)
    assert change[30:60, 28:68].mean() > 1.5 * change[4:20, 4:24].mean()


def test_the_same_frames_give_the_same_bytes(inputs, found_mouths, tmp_path):
    again = crops(mouths, inputs, tmp_path)
    assert (again.jpeg == found_mouths.jpeg).all()


def test_a_recording_without_a_face_has_none(inputs, tmp_path):
    nobody = Keypoints(
        np.zeros((5, 468, 2), np.float32), np.zeros((5, 468), np.float32), topology("face468")
    )
    detect, out = tmp_path / "detect", tmp_path / "out"
    detect.mkdir()
    out.mkdir()
    files.save(detect, "face_landmarks", nobody)
    files.write_summary(detect / "detect.json", 5, {"face_landmarks": nobody})
    job = Job(Recording("a", "x"), faces.Config(), {**inputs, "detect": detect}, out)
    assert faces.run(job) == {"images": 0}
    assert not images.read_facts(out, "faces").present


def test_a_recording_without_video_has_no_face(inputs, tmp_path):
    files.write_summary(tmp_path / "detect.json", FRAMES, None)
    job = Job(Recording("a", "x"), faces.Config(), {**inputs, "detect": tmp_path}, tmp_path)
    assert faces.run(job) == {"images": 0}


def test_a_detector_without_faces_is_named(inputs, tmp_path):
    body = Keypoints(
        np.zeros((3, 25, 2), np.float32), np.zeros((3, 25), np.float32), topology("body25")
    )
    files.write_summary(tmp_path / "detect.json", 3, {"skeleton": body})
    job = Job(Recording("a", "x"), mouths.Config(), {**inputs, "detect": tmp_path}, tmp_path)
    with pytest.raises(UsageError, match="mouths need the field face_landmarks"):
        mouths.run(job)


def test_a_video_with_another_number_of_frames_is_unreadable(inputs, tmp_path):
    whole = files.load(inputs["detect"], "face_landmarks", "face468")
    files.save(tmp_path, "face_landmarks", whole[:40])
    files.write_summary(tmp_path / "detect.json", 40, {"face_landmarks": whole})
    job = Job(Recording("a", "x"), faces.Config(), {**inputs, "detect": tmp_path}, tmp_path)
    with pytest.raises(RecordingFailed, match="does not have"):
        faces.run(job)


def _eyes(face: Keypoints) -> np.ndarray:
    """(T, 2, 2) the outer corners of the eyes, px."""
    points = face.view("face68")
    indices = [points.topology.index(f"{side}_eye_outer") for side in ("right", "left")]
    return points.xy[:, indices]


def _spread(points: np.ndarray) -> float:
    """Movement over time, in distances between the eyes."""
    distance = np.linalg.norm(points[:, 1] - points[:, 0], axis=-1).mean()
    return float(points.std(axis=0).max() / distance)
