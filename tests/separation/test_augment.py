"""Changed clips: what changes, by how much, and what must not."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avpipe.separation import augment
from avpipe.separation.augment import Augmentation, Change
from sound_dataset import RATE

SAMPLES = 2**14


def changed(how: Augmentation, read: torch.Tensor, seed: int = 0) -> torch.Tensor:
    change = Change(how, SAMPLES, RATE, [np.random.default_rng(seed)])
    return change.clips(read[None])[0]


def sines(how: Augmentation, hertz: float, count: int) -> torch.Tensor:
    time = torch.arange(how.reach(SAMPLES, RATE), dtype=torch.float64) / RATE
    return torch.sin(2 * math.pi * hertz * time).expand(count, -1)


def loudest_hertz(clips: torch.Tensor) -> np.ndarray:
    window = torch.hann_window(clips.shape[-1], dtype=clips.dtype)
    spectrum = torch.fft.rfft(clips * window, n=16 * SAMPLES).abs()
    return (spectrum.argmax(-1) * RATE / (16 * SAMPLES)).numpy()


def test_nothing_asked_for_changes_nothing() -> None:
    read = torch.randn(3, SAMPLES, dtype=torch.float64)
    torch.testing.assert_close(changed(Augmentation(), read), read)


def test_pitches_move_by_whole_semitones() -> None:
    how = Augmentation(semitones=3)
    moved = 12 * np.log2(loudest_hertz(changed(how, sines(how, 440.0, 40))) / 440)
    np.testing.assert_allclose(moved, moved.round(), atol=0.03)
    assert set(moved.round().astype(int)) == set(range(-3, 4))


def test_tuning_has_its_spread() -> None:
    how = Augmentation(cents=20.0)
    cents = 1200 * np.log2(loudest_hertz(changed(how, sines(how, 440.0, 200))) / 440)
    assert np.std(cents) == pytest.approx(20, rel=0.2)
    assert np.abs(cents).max() <= augment.CENTS_BOUND * 20 + 3


def test_every_second_clip_gets_a_vibrato_of_at_most_its_depth() -> None:
    how = Augmentation(vibrato_cents=100.0)
    clips = changed(how, sines(how, 440.0, 60))
    spectrum = torch.fft.fft(clips)
    spectrum[:, SAMPLES // 2 :] = 0
    phase = np.unwrap(np.angle(torch.fft.ifft(spectrum).numpy()))[:, 500:-500]
    cents = 1200 * np.log2(np.diff(phase) * RATE / (2 * math.pi) / 440)
    depth = np.percentile(np.abs(cents), 99, axis=1)
    assert depth.max() <= 105
    assert 15 < (depth < 4).sum() < 45  # what the measurement itself shakes
    assert (depth > 10).sum() > 15


def test_interpolation_is_exact_for_parabolas() -> None:
    at = torch.arange(20, dtype=torch.float64)[None]
    places = torch.tensor([[1.0, 3.25, 7.5, 16.999]], dtype=torch.float64)
    found = augment.interpolate(3 - at + 0.5 * at**2, places)
    torch.testing.assert_close(found, 3 - places + 0.5 * places**2)


@settings(deadline=None, max_examples=25)
@given(
    semitones=st.integers(0, 12),
    cents=st.floats(0, 100),
    vibrato=st.floats(0, 200),
    seed=st.integers(0, 2**32),
)
def test_enough_is_read_for_the_fastest_clip(
    semitones: int, cents: float, vibrato: float, seed: int
) -> None:
    how = Augmentation(semitones=semitones, cents=cents, vibrato_cents=vibrato)
    read = torch.ones(8, how.reach(SAMPLES, RATE), dtype=torch.float64)
    torch.testing.assert_close(changed(how, read, seed), torch.ones(8, SAMPLES).double())


def test_the_equaliser_has_its_spread_and_no_gain_of_its_own() -> None:
    how = Augmentation(equaliser_db=6.0)
    click = torch.zeros(400, SAMPLES, dtype=torch.float64)
    click[:, 100] = 1.0
    gains = 20 * torch.fft.rfft(changed(how, click)).abs().log10()
    at_knots = gains[:, [round(k / RATE * SAMPLES) for k in augment.KNOTS_HZ[:-1]]]
    np.testing.assert_allclose(at_knots.std(0), 6.0, rtol=0.15)
    np.testing.assert_allclose(at_knots.mean(0), 0.0, atol=1.0)
    assert gains.diff(dim=1).abs().max() < 0.5


def test_a_room_keeps_the_direct_sound_and_fades() -> None:
    how = Augmentation(reverb_seconds=0.5)
    click = torch.zeros(50, SAMPLES, dtype=torch.float64)
    click[:, 100] = 1.0
    heard = changed(how, click)
    torch.testing.assert_close(heard[:, 100], torch.ones(50).double())
    tail = heard[:, 101:].square()
    level = 10 * tail.sum(1).log10()
    low, high = augment.REVERB_LEVEL_DB
    assert low <= level.min() < level.max() <= high
    half = RATE // 4
    assert (tail[:, half:].sum(1) < 0.01 * tail[:, :half].sum(1)).all()


def test_noise_has_the_level_asked_for_and_is_in_the_mixture_alone() -> None:
    randoms = [np.random.default_rng(number) for number in range(60)]
    change = Change(Augmentation(noise_db=-30.0), SAMPLES, RATE, randoms)
    level = 10 * change.noise(torch.zeros(60, SAMPLES)).square().mean(1).log10()
    assert level.max() <= -29.8
    assert level.min() >= -30.2 - augment.NOISE_RANGE_DB
    assert level.max() - level.min() > 20
    quiet = Change(Augmentation(), SAMPLES, RATE, randoms[:2])
    assert not quiet.noise(torch.zeros(2, SAMPLES)).any()


def test_a_seed_gives_the_same_again_whoever_shares_the_batch_and_empty_places_stay_empty() -> None:
    how = Augmentation(3, 15.0, 40.0, 5.0, 0.6, -50.0)
    present = torch.tensor([[True, False, True], [True, True, False]])
    read = torch.randn(2, 3, how.reach(SAMPLES, RATE)) * present[..., None]

    def of_seed(seed: int, some: slice) -> torch.Tensor:
        randoms = [np.random.default_rng((seed, mixture)) for mixture in range(2)]
        return Change(how, SAMPLES, RATE, randoms[some]).clips(read[some])

    whole = slice(None)
    once, again, other = of_seed(1, whole), of_seed(1, whole), of_seed(2, whole)
    alone = of_seed(1, slice(1, 2))
    assert torch.equal(alone[0], once[1])
    assert torch.equal(once, again)
    assert not torch.allclose(once, other)
    assert once.shape == (2, 3, SAMPLES)
    assert torch.equal(once.abs().sum(-1) > 0, present)
    assert replace(how, semitones=0, cents=0.0, vibrato_cents=0.0).reach(SAMPLES, RATE) == SAMPLES
