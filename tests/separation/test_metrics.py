"""BSS-eval against mir_eval's published numbers and against plain least squares; the other
metrics against worked figures; and what silence, damage and shapes do."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from avpipe.errors import UsageError
from avpipe.separation import bss, metrics

TESTS = Path(__file__).parents[1]
PARITY_DB = 1e-6


def recordings(kind: str, example: str) -> np.ndarray:
    folder = TESTS / "resources" / "bss_eval" / f"{kind}{example}"
    return np.stack(
        [soundfile.read(path, always_2d=True)[0].mean(1) for path in sorted(folder.glob("*.wav"))]
    )


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def least_squares(references: np.ndarray, estimates: np.ndarray, taps: int) -> np.ndarray:
    """(3, S): the definition, with explicit delayed copies and no shortcut."""
    sources, samples = references.shape
    padded = np.zeros((sources, samples + taps - 1))
    padded[:, :samples] = references
    target = np.zeros_like(padded)
    target[:, :samples] = estimates

    def project(which: list[int], signal: np.ndarray) -> np.ndarray:
        delayed = np.stack([np.roll(padded[j], k) for j in which for k in range(taps)], 1)
        return delayed @ np.linalg.lstsq(delayed, signal, rcond=None)[0]

    def db(part: np.ndarray, rest: np.ndarray) -> float:
        return float(10 * np.log10((part**2).sum() / (rest**2).sum()))

    rows = []
    for j, signal in enumerate(target):
        own, every = project([j], signal), project(list(range(sources)), signal)
        rows.append([db(own, signal - own), db(own, every - own), db(every, signal - every)])
    return np.array(rows).T


@pytest.mark.parametrize("example", ["05", "06"])
def test_bss_eval_agrees_with_the_published_values_of_mir_eval(example: str) -> None:
    published = json.loads(
        (TESTS / "resources" / "bss_eval" / f"sources{example}.json").read_text()
    )
    values = metrics.bss_eval(recordings("ref", example), recordings("est", example))
    for name, expected in published.items():
        np.testing.assert_allclose(values[name], expected, atol=PARITY_DB, rtol=0)


def test_bss_eval_agrees_with_the_golden_file_on_ill_conditioned_signals() -> None:
    golden = np.load(TESTS / "golden" / "bss_eval.npz")
    values = metrics.bss_eval(golden["references"], golden["estimates"])
    for name, value in values.items():
        np.testing.assert_allclose(value, golden[name], atol=PARITY_DB, rtol=0)


def test_running_the_golden_script_changes_nothing() -> None:
    pytest.importorskip("mir_eval")
    made = runpy.run_path(str(TESTS / "golden" / "make_bss_eval.py"))["make"]()
    golden = np.load(TESTS / "golden" / "bss_eval.npz")
    assert set(made) == set(golden)
    for name, value in made.items():
        np.testing.assert_allclose(value, golden[name], rtol=1e-6)


@settings(deadline=None, max_examples=25)
@given(
    sources=st.integers(2, 4),
    samples=st.integers(60, 300),
    taps=st.integers(1, 12),
    seed=st.integers(0, 2**31),
)
def test_bss_eval_is_the_least_squares_definition(
    sources: int, samples: int, taps: int, seed: int
) -> None:
    references = noise(sources, samples, seed=seed)
    estimates = references[::-1] * 0.3 + noise(sources, samples, seed=seed + 1) + references
    values = metrics.bss_eval(references, estimates, filter_length=taps)
    expected = least_squares(references, estimates, taps)
    np.testing.assert_allclose(list(values.values()), expected, atol=PARITY_DB, rtol=0)


def test_a_ratio_of_a_hundred_db_keeps_its_digits() -> None:
    references = noise(2, 400)
    estimates = references + 1e-5 * noise(2, 400, seed=1)
    values = metrics.bss_eval(references, estimates, filter_length=4)
    assert values["sdr"].min() > 95
    expected = least_squares(references, estimates, 4)
    np.testing.assert_allclose(list(values.values()), expected, atol=1e-5, rtol=0)


def test_leading_dimensions_are_a_batch() -> None:
    references, estimates = noise(2, 3, 2, 700), noise(2, 3, 2, 700, seed=1)
    values = metrics.bss_eval(references, estimates, filter_length=8)
    assert values["sdr"].shape == (2, 3, 2)
    single = metrics.bss_eval(references[1, 2], estimates[1, 2], filter_length=8)
    for name, value in values.items():
        np.testing.assert_allclose(value[1, 2], single[name], rtol=1e-12)


def test_tensors_are_evaluated_as_arrays_are() -> None:
    torch = pytest.importorskip("torch")
    references, estimates = noise(2, 2, 900), noise(2, 2, 900, seed=1)
    references[1, 0] = 0
    expected = metrics.bss_eval(references, estimates, filter_length=16)
    given_tensors = metrics.bss_eval(
        torch.tensor(references), torch.tensor(estimates, requires_grad=True), filter_length=16
    )
    on_device = bss.evaluate(torch.tensor(references), torch.tensor(estimates), 16)
    for name, value in expected.items():
        np.testing.assert_array_equal(given_tensors[name], value)
        np.testing.assert_allclose(on_device[name], value, atol=1e-9)


@pytest.mark.gpu
def test_cuda_tensors_are_evaluated_on_their_device() -> None:
    import torch

    references, estimates = noise(3, 4, 9_000), noise(3, 4, 9_000, seed=1)
    expected = metrics.bss_eval(references, estimates)
    on_device = metrics.bss_eval(torch.tensor(references).cuda(), torch.tensor(estimates).cuda())
    for name, value in on_device.items():
        np.testing.assert_allclose(value, expected[name], atol=PARITY_DB, rtol=0)


def test_a_silent_reference_is_nan_and_leaves_the_others_alone() -> None:
    references, estimates = noise(3, 500), noise(3, 500, seed=1)
    references[1] = 0
    values = metrics.bss_eval(references, estimates, filter_length=8)
    others = metrics.bss_eval(references[[0, 2]], estimates[[0, 2]], filter_length=8)
    for name, value in values.items():
        assert np.isnan(value).tolist() == [False, True, False]
        np.testing.assert_allclose(value[[0, 2]], others[name], atol=1e-9)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_silent_or_damaged_estimate_is_nan(bad: float) -> None:
    references, estimates = noise(2, 500), noise(2, 500, seed=1)
    estimates[0] = bad
    values = metrics.bss_eval(references, estimates, filter_length=8)
    for value in values.values():
        assert np.isnan(value).tolist() == [True, False]


def test_no_value_is_infinite_for_perfect_equal_or_single_signals() -> None:
    signal = noise(1, 600)
    twins = np.repeat(signal, 2, 0)
    for references, estimates in ((noise(2, 600), noise(2, 600)), (twins, twins)):
        for value in metrics.bss_eval(references, estimates, filter_length=8).values():
            assert np.isfinite(value).all()
            assert (np.abs(value) <= 300).all()
    alone = metrics.bss_eval(signal, signal + 0.1 * noise(1, 600, seed=1), filter_length=8)
    assert np.isnan(alone["sir"]).all()
    np.testing.assert_allclose(alone["sdr"], alone["sar"])


def test_the_mixture_as_estimate_of_every_source_has_no_artifacts() -> None:
    references = noise(3, 800)
    mixture = np.broadcast_to(references.sum(0), references.shape)
    values = metrics.bss_eval(references, mixture, filter_length=8)
    assert (values["sar"] > 200).all()
    np.testing.assert_allclose(values["sdr"], values["sir"], atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(gain=st.floats(0.01, 100), seed=st.integers(0, 2**31))
def test_bss_eval_and_si_sdr_ignore_the_scale_of_an_estimate(gain: float, seed: int) -> None:
    references = noise(2, 300, seed=seed)
    estimates = references + noise(2, 300, seed=seed + 1)
    for measure in (
        lambda p: metrics.bss_eval(references, p, filter_length=4)["sdr"],
        lambda p: metrics.si_sdr(references, p),
    ):
        np.testing.assert_allclose(measure(estimates * gain), measure(estimates), atol=1e-5)


def test_shapes_that_differ_are_one_clear_line() -> None:
    with pytest.raises(UsageError, match=r"\(2, 9\) and estimates \(3, 9\)"):
        metrics.bss_eval(np.ones((2, 9)), np.ones((3, 9)))
    with pytest.raises(UsageError, match="not finite"):
        metrics.bss_eval(np.full((2, 9), np.nan), np.ones((2, 9)))
    with pytest.raises(UsageError, match="at least one sample"):
        metrics.si_sdr(np.ones((2, 0)), np.ones((2, 0)))


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.RandomState(5)
    target = generator.standard_normal(65_535)
    return target, 0.5 * target + 0.1 * generator.standard_normal(65_535)


def test_the_scale_metrics_have_their_published_values(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    target, prediction = pair
    assert metrics.si_sdr(target, prediction) == pytest.approx(14.030813, abs=1e-6)
    assert metrics.sd_sdr(target, prediction) == pytest.approx(-0.171541, abs=1e-6)
    assert metrics.pes(prediction) == pytest.approx(42.347636, abs=1e-6)


def test_silence_meets_the_floor_of_minus_80_db(pair: tuple[np.ndarray, np.ndarray]) -> None:
    target, _ = pair
    silence = np.zeros_like(target)
    assert metrics.si_sdr(target, silence) == pytest.approx(-80)
    assert metrics.pes(silence) == pytest.approx(-80)
    assert metrics.pes(silence, silence) == pytest.approx(-80)
    assert np.isnan(metrics.pes(silence, silence, published=True))


def test_pes_and_eps_count_only_where_they_are_defined() -> None:
    sound, silence = np.ones(10), np.zeros(10)
    targets = np.stack([silence, sound, sound, silence])
    predictions = np.stack([sound, silence, sound, silence])
    np.testing.assert_allclose(metrics.pes(targets, predictions), [10, np.nan, np.nan, -80])
    np.testing.assert_allclose(
        metrics.pes(targets, predictions, published=True), [10, np.nan, np.nan, np.nan]
    )
    np.testing.assert_allclose(
        metrics.eps(targets, predictions), [np.nan, 10, np.nan, np.nan], rtol=1e-9
    )
    np.testing.assert_allclose(metrics.eps(sound), 10)
