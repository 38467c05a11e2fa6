"""The oracle and the mixture as upper and lower bound."""

import numpy as np
import pytest
import torch

from avpipe import separation
from avpipe.errors import UsageError
from avpipe.separation.interface import Context

RATE = 11025


def tones(*hertz, samples=65535):
    t = torch.arange(samples, dtype=torch.float64) / RATE
    return torch.stack([0.3 * torch.sin(2 * np.pi * f * t) for f in hertz]).unsqueeze(0)


def snr(reference, estimate):
    return float(10 * torch.log10(reference.pow(2).sum() / (reference - estimate).pow(2).sum()))


@pytest.mark.parametrize("mask", ["binary", "dominant", "ratio"])
@pytest.mark.parametrize("frequency", ["linear", "log"])
def test_ideal_masks_separate_distant_tones_and_the_mixture_does_not(mask, frequency):
    sources = tones(440, 2500)
    context = Context(torch.tensor([[0, 1]]), references=sources)
    oracle = separation.create("oracle", mask=mask, frequency=frequency)
    ideal = oracle.separate(sources.sum(1), context)
    alike = separation.create("mixture").separate(sources.sum(1), context)
    for source, best, worst in zip(sources[0], ideal[0], alike[0], strict=True):
        assert snr(source, best) > 15
        assert snr(source, worst) == pytest.approx(0, abs=0.1)


def test_ratio_stems_of_the_oracle_add_up_to_the_mixture():
    sources = tones(440, 450, 660)
    oracle = separation.create("oracle", mask="ratio")
    stems = oracle.separate(sources.sum(1), Context(references=sources))
    torch.testing.assert_close(stems.sum(1), sources.sum(1), atol=1e-9, rtol=0)


def test_the_mixture_gives_a_stem_of_its_own_for_every_place():
    mixture = torch.randn(2, 1000)
    stems = separation.create("mixture").separate(
        mixture, Context(categories=torch.tensor([[0, 1, 2], [4, 5, -1]]))
    )
    stems[:, 0] = 0
    assert torch.equal(stems[:, 2], mixture)


def test_the_oracle_needs_references():
    with pytest.raises(UsageError, match="needs references of every source"):
        separation.create("oracle").separate(torch.zeros(1, 2000), Context())
