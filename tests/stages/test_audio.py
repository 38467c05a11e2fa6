"""The sound of every kind of file on the time grid: how many samples, and which instants."""

import json
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from artifacts import ODD, RESOURCES, run_stage
from avpipe.config import key_parameters
from avpipe.errors import RecordingFailed
from avpipe.media import read_audio, scan
from avpipe.stages import audio
from avpipe.timegrid import sample_count

WITH_AUDIO = [
    path.name
    for path in sorted(ODD.iterdir())
    if (found := scan(path)).verdict == "good" and found.audio
]


@pytest.mark.parametrize("name", WITH_AUDIO)
def test_every_file_gives_exactly_the_samples_of_its_frames(name: str, tmp_path: Path) -> None:
    out, facts = run_stage("audio", ODD / name, tmp_path)
    frames = scan(ODD / name).frames(25)
    header = soundfile.info(str(out / "audio.wav"))
    assert (header.frames, header.samplerate, header.channels) == (441 * frames, 11025, 1)
    assert header.subtype == "PCM_16"
    assert read_audio(out / "audio.wav").shape == (441 * frames,)
    assert json.loads((out / "audio.json").read_text()) == facts
    assert facts == {
        "present": True,
        "frames": frames,
        "samples": 441 * frames,
        "sample_rate": 11025,
    }


RATE = 48000


def write_click(path: Path, video_start: int, audio_start: int, click: int) -> None:
    """Two seconds of picture and sound; times in ms. The click is the sound's only sample."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 32, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = video_start + 40 * number, Fraction(1, 1000)
            picture.codec_context.time_base = Fraction(1, 1000)
            container.mux(picture.encode(frame))
        samples = np.zeros((1, 2 * RATE), np.int16)
        samples[0, click * RATE // 1000] = 30000
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = audio_start * RATE // 1000
        container.mux(sound.encode(frame))
        container.mux(picture.encode())
        container.mux(sound.encode())


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 900), st.integers(0, 900), st.integers(50, 1000))
@example(0, 700, 100)
@example(700, 0, 900)
def test_sample_n_is_the_instant_n_over_the_rate(video: int, sound: int, click: int) -> None:
    with TemporaryDirectory() as name:
        source = Path(name) / "source.mkv"
        write_click(source, video, sound, click)
        out, _ = run_stage("audio", source, Path(name) / "work")
        heard = np.abs(read_audio(out / "audio.wav")).argmax()
    start = min(video, sound)  # t = 0
    assert heard == pytest.approx((sound + click - start) / 1000 * 11025, abs=11)  # 1 ms: mkv's


def test_sound_that_begins_late_is_preceded_by_silence(tmp_path: Path) -> None:
    out, _ = run_stage("audio", ODD / "audio_late.mp4", tmp_path)
    samples = read_audio(out / "audio.wav")
    assert np.abs(samples[: int(0.65 * 11025)]).max() == 0
    assert np.abs(samples[int(0.75 * 11025) : int(1.6 * 11025)]).max() > 0.05
    assert np.abs(samples[int(1.75 * 11025) :]).max() == 0


def test_sound_that_ends_early_is_followed_by_silence(tmp_path: Path) -> None:
    out, _ = run_stage("audio", ODD / "audio_shorter.mp4", tmp_path)
    samples = read_audio(out / "audio.wav")
    assert np.abs(samples[:11025]).max() > 0.05
    assert np.abs(samples[int(1.05 * 11025) :]).max() == 0


def test_the_sound_is_the_one_of_the_source(tmp_path: Path) -> None:
    out, _ = run_stage("audio", RESOURCES / "urmp_09_vn_crop.mp4", tmp_path, sample_rate=44100)
    with av.open(str(RESOURCES / "urmp_09_vn_crop.mp4")) as container:
        chunks = [frame.to_ndarray().mean(axis=0) for frame in container.decode(audio=0)]
    source = np.concatenate(chunks)[: 5 * 44100]
    written = read_audio(out / "audio.wav")[: len(source)]
    assert np.corrcoef(source[: len(written)], written)[0, 1] > 0.999


def test_a_silent_track_stays_and_is_silent(tmp_path: Path) -> None:
    out, facts = run_stage("audio", ODD / "silent_audio.mp4", tmp_path)
    assert facts["present"]
    assert np.abs(read_audio(out / "audio.wav")).max() == 0


def test_of_two_tracks_the_one_that_sounds_is_written(tmp_path: Path) -> None:
    out, _ = run_stage("audio", ODD / "two_audio_tracks.mkv", tmp_path)
    assert np.abs(read_audio(out / "audio.wav")).max() > 0.05


@given(fps=st.sampled_from([24.0, 25.0, 29.97, 30.0]), rate=st.sampled_from([8000, 11025, 16384]))
@settings(max_examples=6, deadline=None)
def test_any_grid_has_its_number_of_samples(fps: float, rate: int) -> None:
    with TemporaryDirectory() as name:
        source = ODD / "clip.webm"
        _, facts = run_stage("audio", source, Path(name), fps=fps, sample_rate=rate)
        assert facts["samples"] == sample_count(scan(source).frames(fps), fps, rate)


def test_a_recording_without_sound_fails_unless_that_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(RecordingFailed) as caught:
        run_stage("audio", ODD / "video_only.mp4", tmp_path / "a")
    assert caught.value.failure == "no_audio"
    out, facts = run_stage("audio", ODD / "video_only.mp4", tmp_path / "b", allow_missing=True)
    assert [path.name for path in out.iterdir()] == ["audio.json"]
    assert facts == {"present": False, "frames": 50, "samples": 22050, "sample_rate": 11025}


def test_a_time_limit_is_in_no_key() -> None:
    assert key_parameters(audio.Config()) == {
        "sample_rate": 11025,
        "fps": 25.0,
        "allow_missing": False,
    }
    assert {"ffmpeg", "build", "graph"} <= audio.tool(audio.Config()).keys()
