"""The pictures of every kind of file on the time grid: how many, which ones, how turned."""

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from artifacts import ODD, RESOURCES, run_stage
from avpipe.config import key_parameters
from avpipe.errors import RecordingFailed
from avpipe.media import decode_frames, scan
from avpipe.stages import video

WITH_VIDEO = [
    path.name
    for path in sorted(ODD.iterdir())
    if (found := scan(path)).verdict == "good" and found.video
]


@pytest.mark.parametrize("name", WITH_VIDEO)
def test_every_file_gives_exactly_its_frames_in_the_one_format(name: str, tmp_path: Path) -> None:
    out, facts = run_stage("video", ODD / name, tmp_path)
    frames = scan(ODD / name).frames(25)
    shapes = {frame.shape for frame in decode_frames(out / "video.mp4")}
    written = scan(out / "video.mp4").video
    assert written is not None
    assert sum(1 for _ in decode_frames(out / "video.mp4")) == frames == facts["frames"]
    assert shapes == {(facts["height"], facts["width"], 3)}
    assert video.is_on_grid(written, frames, 25)
    assert json.loads((out / "video.json").read_text()) == {
        "present": True,
        "frames": frames,
        "fps": 25,
        "width": written.width,
        "height": written.height,
    }


# A video in which every frame shows its own number: 8 squares, black or white, are its bits.


def numbered_frame(number: int) -> av.VideoFrame:
    bits = [255 * (number >> bit & 1) for bit in range(8)]
    grey = np.kron(np.array(bits, np.uint8).reshape(2, 4), np.ones((16, 16), np.uint8))
    return av.VideoFrame.from_ndarray(np.repeat(grey[:, :, None], 3, axis=2), format="rgb24")


def number_of(frame: np.ndarray) -> int:
    squares = frame[..., 1].reshape(2, 16, 4, 16).mean(axis=(1, 3)).ravel()
    return sum(1 << bit for bit, value in enumerate(squares) if value > 128)


def write_numbered(path: Path, times: Sequence[Fraction]) -> None:
    """A video that shows number k from `times[k]` seconds on."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 90000)
        for number, time in enumerate(times):
            frame = numbered_frame(number)
            frame.pts, frame.time_base = round(time * 90000), stream.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 200), min_size=2, max_size=40).filter(lambda s: sum(s[:-1]) > 40))
@example([51, 1, 1, 1])
@example([159, 3, 1, 1])
def test_frame_t_is_the_last_one_presented_at_or_before_its_instant(steps: list[int]) -> None:
    times = [Fraction(sum(steps[:k]), 1000) for k in range(len(steps))]
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_numbered(folder / "source.mp4", times)
        out, facts = run_stage("video", folder / "source.mp4", folder / "work")
        shown = [number_of(frame) for frame in decode_frames(out / "video.mp4")]
    expected = [
        max(k for k, time in enumerate(times) if time <= Fraction(t, 25))
        for t in range(facts["frames"])
    ]
    assert shown == expected


def test_a_file_that_is_on_the_grid_is_copied_without_loss(tmp_path: Path) -> None:
    source = RESOURCES / "urmp_09_vn_crop.mp4"
    out, facts = run_stage("video", source, tmp_path)
    assert facts["copied"]
    for before, after in zip(decode_frames(source), decode_frames(out / "video.mp4"), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    "name", ["edit_list.mp4", "rotated_90.mp4", "odd_size_10bit_444.mp4", "vfr.mp4", "fps_60.mp4"]
)
def test_what_only_looks_as_if_it_were_on_the_grid_is_not_copied(name: str, tmp_path: Path) -> None:
    assert not run_stage("video", ODD / name, tmp_path)[1]["copied"]


def test_a_turned_recording_comes_out_upright(tmp_path: Path) -> None:
    plain = ODD / "-näme with späces №1.mp4"  # the same pictures, not turned
    out, facts = run_stage("video", ODD / "rotated_90.mp4", tmp_path)
    assert (facts["width"], facts["height"]) == (136, 160)
    upright, turned = next(decode_frames(plain)), next(decode_frames(out / "video.mp4"))
    assert np.abs(np.rot90(upright).astype(int) - turned).mean() < 5
    assert np.abs(np.rot90(upright, -1).astype(int) - turned).mean() > 20


@pytest.mark.parametrize("fps", [25, 30])
def test_a_picture_that_changes_its_size_keeps_the_first_one(fps: int, tmp_path: Path) -> None:
    out, facts = run_stage("video", ODD / f"size_changes_{fps}.mkv", tmp_path)
    assert (facts["width"], facts["height"]) == (160, 136)
    assert sum(1 for _ in decode_frames(out / "video.mp4")) == facts["frames"]


def test_a_scratched_file_that_is_on_the_grid_is_encoded_with_the_scratch_hidden(
    tmp_path: Path,
) -> None:
    source = RESOURCES / "urmp_09_vn_crop.mp4"
    data = bytearray(source.read_bytes())
    half = len(data) // 2
    data[half : half + 200] = np.random.default_rng(0).bytes(200)
    (tmp_path / "scratched.mp4").write_bytes(data)
    with pytest.raises(RecordingFailed, match="does not decode"):
        list(decode_frames(tmp_path / "scratched.mp4"))
    out, facts = run_stage("video", tmp_path / "scratched.mp4", tmp_path / "work")
    assert not facts["copied"]
    pairs = list(zip(decode_frames(source), decode_frames(out / "video.mp4"), strict=True))
    for before, after in pairs[:40]:  # what comes before the scratch
        assert np.abs(before.astype(int) - after).mean() < 3


def test_odd_sizes_are_padded_and_never_cut(tmp_path: Path) -> None:
    _, facts = run_stage("video", ODD / "odd_size_10bit_444.mp4", tmp_path)
    assert (facts["width"], facts["height"]) == (162, 138)


def test_a_recording_without_video_fails_unless_that_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(RecordingFailed) as caught:
        run_stage("video", ODD / "audio_only.m4a", tmp_path / "a")
    assert caught.value.failure == "no_video"
    out, _ = run_stage("video", ODD / "audio_only.m4a", tmp_path / "b", allow_missing=True)
    assert [path.name for path in out.iterdir()] == ["video.json"]
    assert json.loads((out / "video.json").read_text()) == {
        "present": False,
        "frames": 50,
        "fps": 25,
    }


def test_another_grid_gives_another_number_of_frames(tmp_path: Path) -> None:
    out, facts = run_stage("video", ODD / "fps_60.mp4", tmp_path, fps=29.97)
    assert facts["frames"] == 60
    assert sum(1 for _ in decode_frames(out / "video.mp4")) == 60


def test_a_time_limit_is_in_no_key() -> None:
    assert key_parameters(video.Config()) == {
        "fps": 25.0,
        "crf": 18,
        "preset": "veryfast",
        "allow_missing": False,
    }
    assert {"ffmpeg", "build", "graph"} <= video.tool(video.Config()).keys()
