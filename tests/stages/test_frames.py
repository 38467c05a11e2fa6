import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avpipe import images
from avpipe.media import decode_frames
from avpipe.stages import Job, frames
from avpipe.types import Recording

CLIP = Path(__file__).parents[1] / "resources" / "urmp_09_vn_crop.mp4"


def made(folder: Path, frame_count: int = 125, **config: int) -> tuple[Path, images.Facts]:
    video, out = folder / "video", folder / "out"
    video.mkdir()
    out.mkdir()
    facts = {"present": True, "frames": frame_count, "fps": 25, "width": 560, "height": 480}
    (video / "video.json").write_text(json.dumps(facts))
    shutil.copy(CLIP, video / "video.mp4")
    frames.run(Job(Recording("a", "violin"), frames.Config(**config), {"video": video}, out))
    return out, images.read_facts(out, "frames")


def test_every_third_frame_of_a_real_clip_is_kept_with_a_short_side_of_256(tmp_path):
    out, facts = made(tmp_path)
    assert (facts.frames, facts.images, facts.step) == (125, 42, 3)
    assert (facts.height, facts.width) == (256, 298)
    stream = (out / "frames.mjpeg").read_bytes()
    offsets = np.load(out / "frames_offsets.npy")
    whole = list(decode_frames(CLIP))
    for i in (0, 20, 41):
        picture = images.decode(stream[offsets[i] : offsets[i + 1]]).astype(float)
        errors = [
            np.abs(np.asarray(Image.fromarray(frame).resize((298, 256))) - picture).mean()
            for frame in whole[max(0, 3 * i - 1) : 3 * i + 2]
        ]
        assert min(errors) == errors[1 if i else 0] < 3


def test_side_and_step_are_free(tmp_path):
    out, facts = made(tmp_path, side=64, step=50)
    assert (facts.images, facts.height, facts.width) == (3, 64, 74)
    assert (out / "frames.mjpeg").stat().st_size == facts.bytes


def test_the_same_video_gives_the_same_bytes(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (made(tmp_path / name, side=64)[0] for name in "ab")
    assert (first / "frames.mjpeg").read_bytes() == (second / "frames.mjpeg").read_bytes()


def test_a_recording_without_video_has_no_frames(tmp_path):
    (tmp_path / "video.json").write_text(json.dumps({"present": False, "frames": 80}))
    job = Job(Recording("a", "flute"), frames.Config(), {"video": tmp_path}, tmp_path)
    frames.run(job)
    assert images.read_facts(tmp_path, "frames") == images.Facts(False, 80, step=3)


def test_parameters_out_of_range_are_refused():
    with pytest.raises(ValueError, match="step"):
        frames.Config(step=0)
