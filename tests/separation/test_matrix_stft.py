"""Magnitudes by matrix products are those of the Fourier transform."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from avpipe.errors import UsageError
from avpipe.separation import matrix_stft
from avpipe.separation.spectrogram import FrontEnd


def sound(*shape: int) -> Tensor:
    """Noise with one silent source."""
    noise = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    noise[-1, -1] = 0
    return noise


def expected(front_end: FrontEnd, waveform: Tensor) -> Tensor:
    return front_end.magnitude(front_end.stft(waveform))


def assert_close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "front_end",
    [
        FrontEnd(),
        FrontEnd(frequency="linear"),
        FrontEnd(clamp=True),
        FrontEnd(window=34, hop=9, log_bins=12),
        FrontEnd(window=4 * 19, hop=100, frequency="linear"),
        FrontEnd(window=2 * 9 * 17, hop=64, log_bins=80),
    ],
    ids=str,
)
@pytest.mark.parametrize("samples", [512, 8 * 256 - 1, 2000])
def test_they_are_those_of_the_fourier_transform(front_end: FrontEnd, samples: int) -> None:
    sources = 3 * sound(2, 3, samples)
    mixtures, found = matrix_stft.magnitudes(front_end, sources)
    assert_close(found, expected(front_end, sources))
    assert_close(mixtures, expected(front_end, sources.sum(1)))
    clipped = sources.sum(1).clamp(-1, 1)
    mixtures, again = matrix_stft.magnitudes(front_end, sources, clipped)
    assert_close(mixtures, expected(front_end, clipped))
    assert torch.equal(again, found)


def test_single_precision_is_as_exact_as_the_transform_s() -> None:
    sources = 0.1 * sound(1, 2, FrontEnd().samples)
    _, found = matrix_stft.magnitudes(FrontEnd(), sources.float())
    exact = expected(FrontEnd(), sources)
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-6 * float(exact.max()))


def test_what_is_no_number_stays_none() -> None:
    sources = sound(1, 2, 600)
    sources[0, 1, 300] = float("nan")
    assert matrix_stft.magnitudes(FrontEnd(), sources)[1][0, 1].isnan().any()


def test_windows_without_a_slow_factor_are_left_to_the_fourier_transform() -> None:
    windows = {1022: True, 1024: False, 1000: False, 511: False, 2 * 511: True}
    for window, wanted in windows.items():
        assert matrix_stft.suits(replace(FrontEnd(), window=window)) == wanted


def test_a_waveform_shorter_than_half_a_window_is_refused() -> None:
    with pytest.raises(UsageError, match="511 samples is shorter than half a window"):
        matrix_stft.magnitudes(FrontEnd(), torch.zeros(1, 1, 511))
