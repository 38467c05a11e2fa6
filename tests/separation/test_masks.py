"""Ideal masks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avpipe.separation import masks

SEEDS = st.integers(0, 2**31 - 1)


def magnitudes(seed, sources):
    """Magnitudes (1, S, 6, 5) with some silent bins, and their sum as the mixture's."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(1, sources, 6, 5, generator=generator)
    values[:, :, 0] = 0
    return values, values.sum(1)


@given(SEEDS, st.integers(1, 7))
@settings(max_examples=50, deadline=None)
def test_masks_lie_in_0_1_and_are_0_where_nothing_sounds(seed, count):
    sources, mixture = magnitudes(seed, count)
    for kind in ("binary", "dominant", "ratio"):
        mask = masks.ideal(kind, sources, mixture)
        assert mask.shape == sources.shape
        assert float(mask.min()) >= 0
        assert float(mask.max()) <= 1 + 1e-6
        assert not mask[:, :, 0].any()


@given(SEEDS, st.integers(1, 7))
@settings(max_examples=50, deadline=None)
def test_shares_add_up_and_one_source_dominates(seed, count):
    sources, mixture = magnitudes(seed, count)
    shares = masks.ideal("ratio", sources, mixture)[:, :, 1:].sum(1)
    torch.testing.assert_close(shares, torch.ones_like(shares))
    assert torch.all(masks.ideal("dominant", sources, mixture)[:, :, 1:].sum(1) == 1)


@given(SEEDS)
@settings(max_examples=50, deadline=None)
def test_two_sources_in_phase_have_one_binary_mask_by_both_rules(seed):
    sources, mixture = magnitudes(seed, 2)
    binary = masks.ideal("binary", sources, mixture)
    assert torch.equal(binary, masks.ideal("dominant", sources, mixture))


def test_with_three_even_sources_none_has_half_but_one_dominates():
    sources = torch.tensor([0.3, 0.4, 0.3]).view(1, 3, 1, 1)
    mixture = sources.sum(1)
    assert masks.ideal("binary", sources, mixture).flatten().tolist() == [0, 0, 0]
    assert masks.ideal("dominant", sources, mixture).flatten().tolist() == [0, 1, 0]


@pytest.mark.parametrize(("magnitude", "weight"), [(0.0, 1e-3), (1.0, 0.6931472), (1e9, 10.0)])
def test_energy_weights_are_bounded(magnitude, weight):
    assert float(masks.energy_weight(torch.tensor(magnitude))) == pytest.approx(weight)


def test_linear_energy_weights_are_relative_to_each_mixtures_mean():
    magnitude = torch.tensor([[[1.0, 3.0]], [[10.0, 30.0]], [[0.0, 0.0]]])
    weight = masks.energy_weight(magnitude, "linear")
    assert weight.tolist() == [[[0.5, 1.5]], [[0.5, 1.5]], [[0.0, 0.0]]]


def test_only_binary_kinds_are_decided():
    mask = torch.tensor([0.2, 0.5, 0.8])
    assert masks.decide(mask, "binary", 0.5).tolist() == [0, 0, 1]
    assert masks.decide(mask, "dominant", 0.1).tolist() == [1, 1, 1]
    assert masks.decide(mask, "ratio", 0.5) is mask
