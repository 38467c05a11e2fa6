"""Mixtures: who sounds together, and how it is added up."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avpipe import open_dataset
from avpipe.errors import UsageError
from avpipe.separation import data, mixing
from avpipe.separation.data import AudioBank
from avpipe.separation.mixing import Mixing
from sound_dataset import RATE, pack_sound

WINDOW = 500


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> AudioBank:
    """Four categories of one to three recordings of noise."""
    random = np.random.default_rng(0)
    sound = {
        f"{category}{n}": (
            category,
            "train",
            random.integers(-20_000, 20_000, RATE // 2 * (n + 1)).astype(np.int16),
        )
        for category, count in (("bn", 1), ("cl", 3), ("fl", 2), ("vn", 2))
        for n in range(count)
    }
    dataset = open_dataset(pack_sound(tmp_path_factory.mktemp("noise"), sound))
    return data.load(dataset, "train", (), RATE, WINDOW)


@settings(deadline=None, max_examples=40)
@given(
    fewest=st.integers(1, 3),
    more=st.integers(0, 1),
    categories=st.sampled_from(["different", "any", "same"]),
    seed=st.integers(0, 2**40),
    step=st.integers(0, 10**6),
)
def test_what_is_drawn_lies_inside_segments_of_the_right_class(
    bank: AudioBank, fewest: int, more: int, categories: str, seed: int, step: int
) -> None:
    how = Mixing(fewest=fewest, most=fewest + more, categories=categories)  # type: ignore[arg-type]
    drawn = mixing.draw(bank, how, 8, seed, step)
    sounding = drawn.segments >= 0
    counts = sounding.sum(1)
    assert ((counts >= fewest) & (counts <= fewest + more)).all()
    assert ((drawn.first_samples >= 0) == sounding).all()
    assert ((drawn.classes >= 0) == sounding).all()
    inside = drawn.first_samples[sounding] - bank.starts[drawn.segments[sounding]]
    assert (inside >= 0).all()
    assert (inside + WINDOW <= bank.lengths[drawn.segments[sounding]]).all()
    assert (bank.classes[drawn.segments[sounding]] == drawn.classes[sounding]).all()
    for row, count in zip(drawn.classes, counts, strict=True):
        different = len(set(row[:count].tolist()))
        if categories == "different":
            assert different == count
        if categories == "same":
            assert different == 1


def test_a_batch_is_a_function_of_seed_and_step_alone(bank: AudioBank) -> None:
    how = Mixing(most=3, gain=(0.5, 1.5))

    def one(*numbers: int) -> torch.Tensor:
        drawn = mixing.draw(bank, how, 4, *numbers)
        return mixing.batch(bank, drawn, how, "cpu").mixture

    torch.testing.assert_close(one(1, 7), one(1, 7), rtol=0, atol=0)
    for other in ((2, 7), (1, 8)):
        assert not torch.equal(one(1, 7), one(*other))


def test_every_window_of_a_class_is_equally_likely(bank: AudioBank) -> None:
    drawn = mixing.draw(bank, Mixing(fewest=1, most=1), 20_000, 0, 0)
    clarinet = drawn.segments[drawn.classes == bank.names.index("cl")]
    places = bank.lengths[bank.classes == bank.names.index("cl")] - WINDOW + 1
    found = np.unique(clarinet, return_counts=True)[1] / len(clarinet)
    np.testing.assert_allclose(found, places / places.sum(), atol=0.03)


def test_the_sources_of_a_batch_add_up_to_the_mixture(bank: AudioBank) -> None:
    how = Mixing(fewest=1, most=4, combine="mean", gain=(0.5, 1.5))
    batch = mixing.batch(bank, mixing.draw(bank, how, 16, 3, 0), how, "cpu")
    torch.testing.assert_close(batch.sources.sum(1), batch.mixture)
    assert batch.mixture.abs().max() <= 1
    categories = batch.context.get("categories")
    assert not batch.sources[categories < 0].any()


def clips(*values: list[float]) -> torch.Tensor:
    return torch.tensor([values])


PRESENT = torch.tensor([[True, True, False]])
ONES = torch.ones(1, 3)


def test_mean_divides_by_the_number_of_sources_and_sum_does_not() -> None:
    sound = clips([0.4, -0.2], [0.2, 0.2], [0.0, 0.0])
    mean, sources = mixing.mix(sound, PRESENT, ONES, Mixing(combine="mean"))
    torch.testing.assert_close(mean, torch.tensor([[0.3, 0.0]]))
    torch.testing.assert_close(sources, sound / 2)
    total, _ = mixing.mix(sound, PRESENT, ONES, Mixing(combine="sum"))
    torch.testing.assert_close(total, torch.tensor([[0.6, 0.0]]))


def test_gains_scale_and_clip_every_source() -> None:
    sound = clips([0.8, -0.2], [0.2, 0.2], [0.0, 0.0])
    gains = torch.tensor([[1.5, 0.5, 1.0]])
    _, sources = mixing.mix(sound, PRESENT, gains, Mixing(combine="sum", gain=(0.5, 1.5)))
    torch.testing.assert_close(sources, clips([1.0, -0.3], [0.1, 0.1], [0.0, 0.0]))


def test_peak_brings_every_source_to_full_scale() -> None:
    sound = clips([0.1, -0.2], [0.4, 0.2], [0.0, 0.0])
    _, sources = mixing.mix(sound, PRESENT, ONES, Mixing(combine="sum", peak=True))
    torch.testing.assert_close(sources, clips([0.5, -1.0], [1.0, 0.5], [0.0, 0.0]))


def test_the_two_clipping_rules_of_the_solos_paper_differ() -> None:
    from dataclasses import replace

    from avpipe.separation.spectrogram import FrontEnd

    front_end = FrontEnd(frequency="linear")
    time = torch.arange(8_000) / RATE
    tone = 0.9 * torch.sin(2 * torch.pi * 440 * time)
    sound = torch.stack([tone, tone])[None]
    both = torch.tensor([[True, True]])
    clipped, _ = mixing.mix(sound, both, ONES[:, :2], Mixing(combine="sum", clip="waveform"))
    summed, _ = mixing.mix(sound, both, ONES[:, :2], Mixing(combine="sum", clip="magnitude"))
    assert clipped.abs().max() == 1
    assert summed.abs().max() > 1.7
    of_clipped = front_end.magnitude(front_end.stft(clipped))
    clamped = replace(front_end, clamp=True).magnitude(front_end.stft(summed))
    assert clamped.max() <= 511
    # A clipped sine has its third harmonic; a clamped magnitude has no new frequencies.
    third = round(3 * 440 * 1022 / RATE)
    assert of_clipped[0, third].mean() > 20 * clamped[0, third].mean()


def test_too_few_categories_are_one_clear_line(bank: AudioBank) -> None:
    with pytest.raises(UsageError, match=r"mixtures of 5 different categories.*bn, cl, fl, vn"):
        mixing.draw(bank, Mixing(most=5), 1, 0, 0)
    with pytest.raises(UsageError, match="mixtures of 3 to 2 sources"):
        Mixing(fewest=3, most=2)
