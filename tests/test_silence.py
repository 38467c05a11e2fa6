from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from avpipe.errors import AvpipeError
from avpipe.silence import SilenceThresholds, frame_power, sounding

RESOURCES = Path(__file__).parent / "resources"
RATE = 11025
SHORT = SilenceThresholds(min_silence_seconds=0.5, min_sound_seconds=0.2)


def runs(mask, value):
    edges = np.flatnonzero(np.diff(np.r_[not value, mask, not value].astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def read(name):
    audio, rate = soundfile.read(RESOURCES / name, dtype="int16")
    assert rate == RATE
    return audio


def noise(levels_db, seconds=0.2, seed=0):
    """Noise whose level changes every `seconds`."""
    rng = np.random.default_rng(seed)
    gains = np.repeat(10 ** (np.array(levels_db) / 20), round(seconds * RATE))
    return (gains * rng.uniform(-1, 1, len(gains))).astype(np.float32)


def test_the_rests_of_a_saxophone_phrase_are_found():
    heard = sounding(read("sms_sax-phrase_11025.flac"), 25, RATE, SHORT)
    assert len(heard) == 234
    # by ear and by eye: rests 1.2 to 2.2 s and 5.1 to 6.2 s
    rests = runs(heard, False)
    np.testing.assert_allclose(np.array(rests) / 25, [[1.16, 2.16], [5.12, 6.16]], atol=0.1)


def test_a_breath_between_phrases_is_no_silence_by_default():
    assert sounding(read("sms_sax-phrase_11025.flac"), 25, RATE).all()


def test_a_trumpet_that_comes_in_late_is_silent_before_in_spite_of_the_room():
    audio = read("urmp_20_tpt_11025.flac")
    power = frame_power(audio, 25, RATE)
    assert 10 * np.log10(power[:17]).max() > -75  # the rest is not digital silence
    heard = sounding(audio, 25, RATE, SHORT)
    assert runs(heard, True) == [(17, 125)]


def test_three_seconds_cut_out_of_real_music_are_found():
    audio = read("urmp_20_tpt_11025.flac").copy()
    audio = np.concatenate([audio[11025:], np.zeros(3 * RATE, np.int16), audio[11025:]])
    assert runs(sounding(audio, 25, RATE), False) == [(100, 175)]


@pytest.mark.parametrize("gain", [1, 0.3, 0.1, 0.03])
def test_loudness_of_the_recording_does_not_matter(gain):
    audio = read("sms_sax-phrase_11025.flac") / 32768
    np.testing.assert_array_equal(
        sounding(audio * gain, 25, RATE, SHORT), sounding(audio, 25, RATE, SHORT)
    )


def test_integers_and_floats_mean_the_same():
    audio = read("urmp_20_tpt_11025.flac")
    floats = (audio / 32768).astype(np.float32)
    np.testing.assert_array_equal(frame_power(audio, 25, RATE), frame_power(floats, 25, RATE))


def test_digital_silence_is_silent():
    assert not sounding(np.zeros(10 * RATE, np.int16), 25, RATE).any()


def test_the_dither_of_an_empty_recording_is_silent():
    dither = np.random.default_rng(0).integers(-2, 3, 10 * RATE).astype(np.int16)
    assert not sounding(dither, 25, RATE).any()


def test_no_samples_have_no_frames():
    assert sounding(np.zeros(0, np.float32), 25, RATE).shape == (0,)


def test_a_decay_through_the_first_threshold_does_not_flicker():
    heard = sounding(noise([-6, -6, -6, -6, -40, -38, -40, -38, -60, -60, -60]), 25, RATE, SHORT)
    assert runs(heard, True) == [(0, 40)]


levels = st.lists(st.sampled_from([-6, -12, -30, -38, -50, -100]), min_size=1, max_size=30)


@given(levels)
def test_no_silence_and_no_sound_is_shorter_than_the_least(levels_db):
    heard = sounding(noise(levels_db), 25, RATE, SHORT)
    for value, least in ((False, 0.5), (True, 0.2)):
        for start, stop in runs(heard, value):
            assert stop - start == len(heard) or stop - start >= least * 25


@given(levels)
def test_what_is_loud_for_long_sounds_and_what_is_soft_for_long_is_silent(levels_db):
    heard = sounding(noise([*levels_db, *[-6] * 5, *[-100] * 5, *[-6] * 5]), 25, RATE, SHORT)
    assert heard[-25:].all()
    assert not heard[-50:-25].any()
    assert heard[-75:-50].all()


@pytest.mark.parametrize(
    ("fps", "rate", "samples"), [(25, 11025, 44100), (30000 / 1001, 16000, 16016), (24, 8000, 1000)]
)
def test_every_frame_has_the_power_of_its_samples(fps, rate, samples):
    audio = np.random.default_rng(0).uniform(-1, 1, samples)
    power = frame_power(audio, fps, rate)
    assert len(power) == round(samples * fps / rate)
    for t in (0, len(power) // 2, len(power) - 1):
        start, stop = int(t * rate / fps + 1e-6), int((t + 1) * rate / fps + 1e-6)
        stop = samples if t == len(power) - 1 else stop
        assert power[t] == pytest.approx(np.mean(audio[start:stop] ** 2))


def test_long_recordings_are_measured_block_by_block_with_the_same_result():
    audio = np.random.default_rng(0).uniform(-1, 1, 441 * 9000)
    expected = np.square(audio.reshape(-1, 441)).mean(axis=1)
    np.testing.assert_allclose(frame_power(audio, 25, RATE), expected)


@pytest.mark.parametrize("wrong", [{"close_db": -20.0}, {"min_silence_seconds": -1.0}])
def test_thresholds_that_contradict_each_other_are_an_error(wrong):
    with pytest.raises(AvpipeError, match="must not be"):
        SilenceThresholds(**wrong)
