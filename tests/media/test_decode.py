"""Decoding what the stages write: colours, order, damage, memory."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from artifacts import ODD, RESOURCES
from avpipe.errors import RecordingFailed
from avpipe.media import decode_frames, read_audio

CLIP = RESOURCES / "urmp_09_vn_crop.mp4"


def test_frames_are_rgb_and_those_of_an_ordinary_decoder() -> None:
    import cv2

    reader = cv2.VideoCapture(str(CLIP))
    for number, frame in enumerate(decode_frames(CLIP)):
        assert frame.shape == (480, 560, 3)
        assert frame.dtype == np.uint8
        if number % 25 == 0:
            reader.set(cv2.CAP_PROP_POS_FRAMES, number)
            other = cv2.cvtColor(reader.read()[1], cv2.COLOR_BGR2RGB)
            assert np.abs(frame.astype(int) - other).max() <= 2
    assert number == 124


def test_more_threads_give_the_same_pictures() -> None:
    for one, four in zip(
        decode_frames(ODD / "fps_60.mp4"), decode_frames(ODD / "fps_60.mp4", 4), strict=True
    ):
        np.testing.assert_array_equal(one, four)


def test_fewer_frames_than_the_header_says_is_unreadable() -> None:
    with pytest.raises(RecordingFailed, match="frame") as caught:
        list(decode_frames(ODD / "truncated_index_first.mp4"))
    assert caught.value.failure == "unreadable"


def test_pictures_of_several_sizes_are_unreadable() -> None:
    with pytest.raises(RecordingFailed, match="change size at frame 25"):
        list(decode_frames(ODD / "size_changes_25.mkv"))


@pytest.mark.parametrize("name", ["zero_bytes.mp4", "random_bytes.mp4", "audio_only.m4a"])
def test_what_has_no_pictures_is_unreadable(name: str) -> None:
    with pytest.raises(RecordingFailed) as caught:
        next(decode_frames(ODD / name))
    assert caught.value.failure == "unreadable"


def test_memory_does_not_grow_with_the_number_of_frames() -> None:
    import tracemalloc

    tracemalloc.start()
    for _ in decode_frames(CLIP):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 480 * 560 * 3  # a few of its 125 frames


def test_an_abandoned_decoder_closes_its_file() -> None:
    opened = Path("/proc/self/fd")
    before = len(list(opened.iterdir()))
    frames = decode_frames(CLIP)
    next(frames)
    frames.close()
    assert len(list(opened.iterdir())) == before


def test_audio_is_float_between_minus_one_and_one(tmp_path: Path) -> None:
    written = np.array([0, 16384, 32767, -32768], np.int16)
    soundfile.write(tmp_path / "audio.wav", written, 11025)
    samples = read_audio(tmp_path / "audio.wav")
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, written / np.float32(32768))
    np.testing.assert_array_equal(read_audio(tmp_path / "audio.wav", 1, 3), samples[1:3])
