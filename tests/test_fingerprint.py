"""The same sound is found again however it was treated, and another one is not."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from avpipe.fingerprint import Prints, fingerprint
from avpipe.lists.sound import pack, unpack
from avpipe.media import ffmpeg

RESOURCES = Path(__file__).parent / "resources"
SOUNDS = {
    name: RESOURCES / name
    for name in ("sms_sax-phrase_11025.flac", "urmp_vln1.mp4", "urmp_20_mix_11025.flac")
}


def decoded(source: Path, folder: Path, *treatment: str, rate: int = 11025) -> np.ndarray:
    target = folder / "sound.wav"
    command = [ffmpeg.executable(), "-v", "error", "-y", *treatment[:2], "-i", source]
    command += [*treatment[2:], "-vn", "-ac", "1", "-ar", str(rate), target]
    subprocess.run(command, check=True)
    return soundfile.read(target, dtype="float32")[0]


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> Prints:
    folder = tmp_path_factory.mktemp("known")
    return Prints({n: fingerprint(decoded(p, folder), 11025) for n, p in SOUNDS.items()})


@pytest.mark.parametrize("name", ["sms_sax-phrase_11025.flac", "urmp_vln1.mp4"])
@pytest.mark.parametrize("coding", ["m4a", "mp3"])
def test_a_cut_quieter_and_newly_coded_copy_is_found_where_it_was_cut(
    name, coding, known, tmp_path
):
    copy = tmp_path / f"copy.{coding}"
    decoded_copy = [ffmpeg.executable(), "-v", "error", "-ss", "1.317", "-i", SOUNDS[name]]
    decoded_copy += ["-vn", "-b:a", "64k", "-af", "volume=-9dB", copy]
    subprocess.run(decoded_copy, check=True)
    (match,) = known.matches("copy", fingerprint(decoded(copy, tmp_path), 11025))
    assert match.b == name
    assert match.offset_seconds == pytest.approx(1.317, abs=0.15)
    assert match.seconds > 5
    assert match.bit_errors < 0.3


def test_another_sample_rate_gives_the_same_numbers(known, tmp_path):
    sound = decoded(SOUNDS["urmp_vln1.mp4"], tmp_path, rate=16384)
    (match,) = known.matches("x", fingerprint(sound, 16384))
    assert (match.b, match.offset_seconds) == ("urmp_vln1.mp4", 0)


def test_other_sounds_are_not_found(known, tmp_path):
    other = decoded(RESOURCES / "urmp_09_tpt_crop.mp4", tmp_path)
    noise = np.random.default_rng(1).normal(size=11025 * 60).astype(np.float32)
    for sound in (other, noise, np.zeros(11025 * 20, np.float32)):
        assert known.matches("other", fingerprint(sound, 11025)) == []


def test_sounds_too_short_to_tell_match_nothing(known):
    assert known.matches("short", fingerprint(np.ones(5000, np.float32), 11025)) == []
    assert Prints({}).matches("x", np.arange(1, 300, dtype=np.uint32)) == []


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint32, st.integers(0, 300)))
def test_a_fingerprint_is_read_as_it_was_written(print_):
    assert (unpack(pack(print_)) == print_).all()
