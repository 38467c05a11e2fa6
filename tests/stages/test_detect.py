import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from avpipe import detectors
from avpipe.config import configure, key_parameters
from avpipe.errors import RecordingFailed, UsageError
from avpipe.keypoints import files, topology
from avpipe.media import decode_frames
from avpipe.media.colour import I420
from avpipe.stages import Job, detect, load
from avpipe.types import Keypoints, Recording

CLIP = Path(__file__).parents[1] / "resources" / "urmp_09_vn_crop.mp4"


def job(folder: Path, frames: int, present: bool = True, **config: object) -> Job:
    video, out = folder / "video", folder / "out"
    video.mkdir()
    out.mkdir()
    (video / "video.json").write_text(json.dumps({"present": present, "frames": frames}))
    if present:
        shutil.copy(CLIP, video / "video.mp4")
    settings = configure(detect.Config, config, "[detect]")
    return Job(Recording("a", "violin"), settings, {"video": video}, out)


def test_every_frame_of_a_real_clip_gets_its_keypoints(tmp_path):
    work = job(tmp_path, frames=125)
    facts = load("detect").run(work)
    summary = files.read_summary(work.out / "detect.json")
    assert (summary.present, summary.frames) == (True, 125)
    assert summary.fields == {"skeleton": "openpose67"}
    skeleton = files.load(work.out, "skeleton", "openpose67")
    assert len(skeleton) == 125
    assert skeleton.xy.dtype == skeleton.confidence.dtype == np.float32
    assert 0 <= skeleton.confidence.min() <= skeleton.confidence.max() <= 1
    assert not skeleton.xy[skeleton.confidence == 0].any()
    assert facts["device"] == "cpu"
    assert facts["frames_per_second"] > 0
    assert facts["hands"]["any"] > 0.9
    origin = np.load(work.out / "hand_origin.npy")
    assert origin.shape == (125, 2)
    seen = skeleton.confidence[:, [skeleton.topology.left_hand[0], skeleton.topology.right_hand[0]]]
    np.testing.assert_array_equal(origin > 0, seen > 0)
    direct = detectors.create("mediapipe", device="cpu").detect(list(decode_frames(CLIP)))
    np.testing.assert_array_equal(skeleton.xy, direct["skeleton"].xy)
    np.testing.assert_array_equal(skeleton.confidence, direct["skeleton"].confidence)
    np.testing.assert_array_equal(origin, direct.notes["hand_origin"])


def test_a_recording_without_video_says_so(tmp_path):
    work = job(tmp_path, frames=77, present=False)
    assert detect.run(work) == {}
    assert [path.name for path in work.out.iterdir()] == ["detect.json"]
    summary = files.read_summary(work.out / "detect.json")
    assert (summary.present, summary.frames, summary.fields) == (False, 77, {})


def test_another_number_of_frames_than_announced_is_a_failure(tmp_path):
    with pytest.raises(RecordingFailed, match="125 frames were decoded, the video has 126"):
        detect.run(job(tmp_path, frames=126))


@pytest.mark.filterwarnings("ignore:.*not by NVDEC")
@pytest.mark.parametrize("decoder", ["cpu", "nvdec"])
def test_a_detector_on_a_gpu_gets_pictures_as_they_are_decoded(tmp_path, monkeypatch, decoder):
    """Where NVDEC is not there the CPU decodes."""
    monkeypatch.setattr("av.codec.hwaccel.hwdevices_available", list)

    class OnDevice:
        planar = True

        def detect(self, frames):
            assert all(isinstance(frame, I420) and frame.shape == (480, 560, 3) for frame in frames)
            nobody = Keypoints(np.zeros((125, 67, 2)), np.zeros((125, 67)), topology("openpose67"))
            return {"skeleton": nobody}

    monkeypatch.setattr(detect.detectors, "create", lambda *given, **options: OnDevice())
    facts = detect.run(job(tmp_path, frames=125, decoder=decoder))
    assert facts["hands"] == {"left": 0, "right": 0, "any": 0}
    assert facts["decoder"] == "cpu"


def test_the_key_holds_every_parameter_of_the_detector_and_no_device(tmp_path):
    plain = configure(detect.Config, {}, "[detect]")
    given = configure(
        detect.Config,
        {"options": {"key_frames": 5, "threads": 3}, "device": "cpu", "decoder": "nvdec"},
        "[detect]",
    )
    assert key_parameters(plain) == key_parameters(given)
    assert key_parameters(plain).keys() == {"detector", "options"}
    assert key_parameters(plain)["options"]
    assert detect.tool(plain) == detect.tool(given)


def test_another_option_is_another_key():
    plain = configure(detect.Config, {"detector": "mediapipe-solutions"}, "[detect]")
    other = configure(
        detect.Config,
        {"detector": "mediapipe-solutions", "options": {"min_tracking_confidence": 0.7}},
        "[detect]",
    )
    assert key_parameters(plain) != key_parameters(other)
    assert detect.tool(plain) != detect.tool(other)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"detector": "nothing"}, "unknown detector 'nothing'"),
        ({"options": {"sharpness": 3}}, "unknown parameter 'sharpness'"),
        ({"options": {"faces": "yes"}}, "must be bool"),
        ({"device": "tpu"}, "must be one of auto, cpu, cuda"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(values, message):
    with pytest.raises(UsageError, match=message):
        configure(detect.Config, values, "[detect]")
