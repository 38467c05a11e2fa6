"""A video with the skeleton drawn over it."""

from itertools import islice

import av
import numpy as np
import pytest
import soundfile

from avpipe.errors import AvpipeError
from avpipe.media import decode_frames
from avpipe.report.overlay_video import write_overlay
from avpipe.types import Keypoints
from detected_dataset import FRAMES, VIDEO, skeleton


@pytest.fixture(scope="module")
def overlay(tmp_path_factory):
    """The overlay of 5 s with a click at 3 s."""
    folder = tmp_path_factory.mktemp("overlay")
    sound = np.zeros(5 * 44100, np.float32)
    sound[3 * 44100 : 3 * 44100 + 400] = 0.9
    soundfile.write(folder / "sound.wav", sound, 44100)
    write_overlay(folder / "o.mp4", VIDEO, [skeleton()], 25.0, folder / "sound.wav")
    assert {p.name for p in folder.iterdir()} == {"sound.wav", "o.mp4"}
    return folder / "o.mp4"


def test_every_frame_is_there_at_its_time(overlay):
    with av.open(str(overlay)) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    np.testing.assert_allclose(times, np.arange(FRAMES) / 25, atol=1e-6)


def test_the_skeleton_is_drawn_and_the_rest_is_the_picture(overlay):
    after, before = (next(islice(decode_frames(p), 60, None)).astype(int) for p in (overlay, VIDEO))
    changed = np.abs(after - before).max(axis=2)
    shown = skeleton().xy[60, 0]
    near = changed[int(shown[1]) - 3 : int(shown[1]) + 4, int(shown[0]) - 3 : int(shown[0]) + 4]
    assert near.max() > 60
    assert np.median(changed) < 8
    assert changed[:100].mean() < 8


def test_the_sound_is_kept_in_its_place(overlay):
    with av.open(str(overlay)) as container:
        heard = [
            (float(frame.time) + np.arange(frame.samples) / frame.rate, frame.to_ndarray()[0])
            for frame in container.decode(audio=0)
        ]
    seconds, samples = (np.concatenate(parts) for parts in zip(*heard, strict=True))
    loud = seconds[np.abs(samples) > 0.3]
    assert loud.min() == pytest.approx(3.0, abs=0.03)
    assert seconds.max() == pytest.approx(5.0, abs=0.05)


@pytest.mark.parametrize("frames", [3, FRAMES + 2])
def test_keypoints_of_another_video_leave_no_file(tmp_path, frames):
    one = skeleton()
    keypoints = Keypoints(
        np.resize(one.xy, (frames, 67, 2)), np.resize(one.confidence, (frames, 67)), one.topology
    )
    with pytest.raises(AvpipeError, match="125 frames"):
        write_overlay(tmp_path / "o.mp4", VIDEO, [keypoints], 25.0)
    assert not list(tmp_path.iterdir())
