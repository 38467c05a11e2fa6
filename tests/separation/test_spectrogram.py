"""The spectrogram front end: published numbers, exact inversion, torch's own resampling."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from avpipe.errors import UsageError
from avpipe.separation.spectrogram import (
    FrontEnd,
    clamp_magnitude,
    decibels,
    hann,
    scale_values,
    unwarp,
    unwarp_grid,
    warp,
    warp_grid,
)

SAMPLES = FrontEnd().samples


def normal(seed, *shape):
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape))


def test_a_clip_is_512_bins_by_256_frames():
    front_end = FrontEnd()
    assert front_end.stft(torch.zeros(2, 3, SAMPLES)).shape == (2, 3, 512, 256)
    assert front_end.magnitude(front_end.stft(torch.zeros(SAMPLES))).shape == (256, 256)


def test_the_window_is_periodic_hann_and_sums_to_511():
    window = hann(1022, torch.zeros((), dtype=torch.float64))
    assert float(window.sum()) == pytest.approx(511, abs=1e-9)
    n = np.arange(1022)
    np.testing.assert_allclose(window, 0.5 - 0.5 * np.cos(2 * np.pi * n / 1022), atol=1e-14)


def test_frames_are_centred_and_padded_by_reflection():
    signal = normal(0, 4000)
    padded = np.pad(signal.numpy(), 511, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1022) / 1022)
    frames = [padded[i : i + 1022] * window for i in range(0, 4001, 256)]
    expected = np.fft.rfft(frames).T
    np.testing.assert_allclose(FrontEnd().stft(signal), expected, atol=1e-10)


def test_the_inverse_gives_the_waveform_back():
    signal = 0.1 * normal(1, 2, 2, SAMPLES)
    front_end = FrontEnd()
    back = front_end.istft(front_end.stft(signal), SAMPLES)
    assert float((back - signal).abs().max()) < 1e-12


def test_a_waveform_shorter_than_half_a_window_is_refused():
    with pytest.raises(UsageError, match="511 samples is shorter than half a window"):
        FrontEnd().stft(torch.zeros(511))


def test_grids_have_the_published_values():
    like = torch.zeros(1)
    rows = warp_grid(256, like)[[0, 1, 64, 128, 192, 255]]
    published = [-1, -0.99879891, -0.88529056, -0.63899863, -0.11018655, 1]
    np.testing.assert_allclose(rows, published, atol=5e-9)
    rows = unwarp_grid(512, like)[[0, 1, 128, 256, 384, 511]]
    published = [-1, -0.97477937, 0.17810853, 0.57638699, 0.82256609, 1]
    np.testing.assert_allclose(rows, published, atol=5e-9)


def test_the_warp_gives_the_published_values():
    spectrogram = normal(3, 1, 1, 512, 256).abs().float()
    warped = warp(spectrogram)
    assert float(warped.mean()) == pytest.approx(0.79642993, abs=1e-6)
    assert float(warped.std(unbiased=False)) == pytest.approx(0.49522865, abs=1e-6)
    np.testing.assert_allclose(warped[0, 0, 0, :3], [1.78862846, 0.43650994, 0.09649751], atol=1e-6)
    assert float(warped[0, 0, 128, 128]) == pytest.approx(1.62811613, abs=1e-5)
    assert float(unwarp(warped).mean()) == pytest.approx(0.79525268, abs=1e-6)


def test_the_warp_is_grid_sample_with_aligned_corners():
    spectrogram = normal(4, 2, 3, 512, 20)
    y = warp_grid(256, spectrogram)
    x = torch.linspace(-1, 1, 20, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).expand(2, -1, -1, -1)
    expected = nn.functional.grid_sample(spectrogram, grid, align_corners=True)
    torch.testing.assert_close(warp(spectrogram), expected, rtol=1e-9, atol=1e-9)


def test_a_smooth_spectrogram_survives_the_way_there_and_back():
    bins = torch.linspace(0, 1, 512, dtype=torch.float64)[:, None]
    frames = torch.linspace(0, 1, 64, dtype=torch.float64)
    smooth = 1 + torch.sin(6 * bins) * torch.cos(3 * frames)
    assert float((unwarp(warp(smooth)) - smooth).abs().max()) <= 5.3e-4


def test_decibels_have_the_published_values():
    # measured in single precision, where the quietest bin is known to some 1e-6
    magnitude = FrontEnd().stft(0.1 * normal(4, SAMPLES)).abs()
    level = decibels(magnitude)
    assert float(level.min()) == pytest.approx(0.29853004, abs=2e-6)
    assert float(level.max()) == pytest.approx(1.17311120, abs=1e-6)
    scaled = scale_values(magnitude, "db")
    assert float(scaled.mean()) == pytest.approx(0.68192053, abs=1e-6)
    assert float(scaled.min()) == -1
    assert float(scaled.max()) == 1


def test_silence_has_finite_values_on_both_scales():
    silence = torch.zeros(2, 8, 8)
    assert torch.equal(scale_values(silence, "db"), -torch.ones(2, 8, 8))
    torch.testing.assert_close(scale_values(silence, "log"), torch.full((2, 8, 8), np.log(1e-10)))


def test_every_spectrogram_of_a_batch_is_stretched_by_itself():
    batch = torch.stack([torch.rand(8, 8), 1e-3 * torch.rand(8, 8)])
    scaled = scale_values(batch, "db")
    for one, alone in zip(scaled, batch, strict=True):
        torch.testing.assert_close(one, scale_values(alone, "db"))


def test_magnitudes_are_clamped_where_the_setting_says_so():
    loud = 3 * torch.ones(4096)
    assert float(FrontEnd(frequency="linear").stft(loud).abs().max()) > 1500
    clamped = FrontEnd(frequency="linear", clamp=True)
    assert float(clamped.magnitude(clamped.stft(loud)).max()) == 511
    assert float(clamp_magnitude(torch.tensor(512.0), 1022)) == 511


@given(st.integers(2, 64), st.integers(2, 64), st.floats(-5, 5))
@settings(max_examples=50, deadline=None)
def test_resampling_keeps_constants_and_both_ends(bins, wanted, value):
    spectrogram = torch.full((bins, 3), value, dtype=torch.float64)
    spectrogram[0], spectrogram[-1] = value - 1, value + 1
    warped = warp(spectrogram, wanted)
    torch.testing.assert_close(warped[0], spectrogram[0])
    torch.testing.assert_close(warped[-1], spectrogram[-1])
    assert float(warped.min()) >= value - 1 - 1e-9
    assert float(warped.max()) <= value + 1 + 1e-9
