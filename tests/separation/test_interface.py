"""What mask separators learn: examples by two kinds of transforms, from sums or from mixtures."""

import pytest
import torch
from torch import Tensor

from avpipe import separation
from avpipe.separation import matrix_stft
from avpipe.separation.interface import Context, Example, MaskSeparator

SAMPLES = 64 * 256 - 1


def made(sources: Tensor, categories: Tensor, mixture: Tensor, **settings: bool) -> Example:
    net = separation.create(
        "unet", channels=(2, 3), frequency="log", mask="ratio", energy_weighted=True
    )
    assert isinstance(net, MaskSeparator)
    for name, value in settings.items():
        setattr(net, name, value)
    return net.example(mixture, sources, Context(categories=categories))


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Sources, categories and mixtures: one full, one with an empty place, one all silent."""
    sources = 0.1 * torch.randn(3, 2, SAMPLES, generator=torch.Generator().manual_seed(0))
    sources[1, 1] = 0
    sources[2] = 0
    return sources, torch.tensor([[3, 1], [4, -1], [0, 2]]), sources.sum(1)


def test_the_spectrum_of_a_sum_is_the_sum_of_the_spectra(
    batch: tuple[Tensor, Tensor, Tensor],
) -> None:
    for own, summed in zip(made(*batch), made(*batch, mixtures_are_sums=True), strict=True):
        torch.testing.assert_close(summed, own, atol=2e-5, rtol=1e-4)


def test_a_clipped_mixture_has_a_spectrum_of_its_own(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    sources, categories, mixture = batch
    clipped = made(sources, categories, mixture.clamp(-0.05, 0.05)).mixture
    assert float((clipped - made(*batch).mixture)[0].abs().max()) > 0.1


def test_examples_by_matrix_products_are_those_by_fourier_transforms(
    batch: tuple[Tensor, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_products = made(*batch)
    monkeypatch.setattr(matrix_stft, "suits", lambda _: False)
    for found, expected in zip(by_products, made(*batch), strict=True):
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
