"""Decoding what the stages write: colours, order, damage, memory."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from artifacts import ODD, RESOURCES
from avpipe.errors import RecordingFailed
from avpipe.media import decode_frames, decode_planes, read_audio
from avpipe.media.colour import I420, MATRICES
from avpipe.media.decode import _matrix

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


def test_planes_are_converted_as_the_decoder_converts_them() -> None:
    for planes, frame in zip(decode_planes(CLIP), decode_frames(CLIP), strict=True):
        assert isinstance(planes, I420)
        assert planes.shape == frame.shape
        np.testing.assert_array_equal(planes.rgb(), frame)


def test_pictures_that_only_the_decoder_converts_are_rgb() -> None:
    clip = RESOURCES / "asl_hand.25fps.mp4"  # 4:4:4
    np.testing.assert_array_equal(next(decode_planes(clip)), next(decode_frames(clip)))


@pytest.mark.parametrize(
    ("colorspace", "color_range", "expected"),
    [(2, 0, MATRICES[0]), (5, 1, MATRICES[0]), (1, 1, MATRICES[1]), (1, 2, None), (9, 1, None)],
)
def test_the_matrix_is_the_one_that_the_decoder_takes(colorspace, color_range, expected) -> None:
    """Unknown, BT.601, BT.709; full range and BT.2020 are left to the decoder."""
    from av import VideoFrame

    picture = VideoFrame(64, 48, "yuv420p")
    picture.colorspace, picture.color_range = colorspace, color_range
    assert _matrix(picture) == expected


@pytest.mark.parametrize(("width", "height"), [(2, 2), (6, 34), (62, 50), (448, 724)])
@pytest.mark.parametrize("matrix", MATRICES)
def test_every_colour_of_every_size_is_converted_to_the_bit(width, height, matrix) -> None:
    from av import VideoFrame

    noise = np.random.default_rng(width).integers(0, 256, (height // 2 * 3, width), np.uint8)
    picture = VideoFrame.from_ndarray(noise, format="yuv420p")
    picture.colorspace = 1 if matrix == MATRICES[1] else 5
    np.testing.assert_array_equal(I420(noise, matrix).rgb(), picture.to_ndarray(format="rgb24"))


@pytest.mark.parametrize("layout", ["gray", "bgra", "yuva420p"])
def test_grey_and_transparent_video_is_rgb(tmp_path: Path, layout: str) -> None:
    import av

    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    picture = av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format=layout)
    path = tmp_path / "video.mkv"
    with av.open(str(path), "w") as file:
        track = file.add_stream("ffv1", rate=25)
        track.width, track.height, track.pix_fmt = 48, 32, layout
        file.mux([*track.encode(picture), *track.encode()])
    for decode in (decode_frames, decode_planes):
        (frame,) = decode(path)
        np.testing.assert_array_equal(frame, picture.to_ndarray(format="rgb24"))


@pytest.mark.parametrize(("damage", "frames"), [("noise", 125), ("zeros", None)])
def test_a_corrupt_frame_in_the_middle_is_concealed_or_a_failure(
    tmp_path: Path, damage: str, frames: int | None
) -> None:
    import av

    path = tmp_path / "video.mp4"
    with av.open(str(CLIP)) as source, av.open(str(path), "w") as file:
        track = source.streams.video[0]
        copy = file.add_stream_from_template(track)
        for number, packet in enumerate(source.demux(track)):
            if packet.dts is None:
                continue
            if number == 60:
                packet = _damaged(packet, damage)
            packet.stream = copy
            file.mux(packet)
    for decode in (decode_frames, decode_planes):
        if frames is not None:
            assert sum(1 for _ in decode(path)) == frames
            continue
        with pytest.raises(RecordingFailed, match=r"frame \d+ does not decode") as caught:
            list(decode(path))
        assert caught.value.failure == "unreadable"


def _damaged(packet, damage: str):
    """The packet with its slices overwritten, or all of it."""
    import av

    size = packet.size
    noise = np.random.default_rng(0).integers(0, 256, size - 8, np.uint8).tobytes()
    damaged = av.Packet(bytes(packet)[:8] + noise if damage == "noise" else bytes(size))
    damaged.pts, damaged.dts, damaged.time_base = packet.pts, packet.dts, packet.time_base
    return damaged


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
