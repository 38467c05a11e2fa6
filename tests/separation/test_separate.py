"""Separating recordings of any length, rate and number of channels."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avpipe.errors import UsageError
from avpipe.separation import runs, separate, windows
from avpipe.separation.interface import Context, Trainable
from avpipe.separation.sound import read_mono, resample
from avpipe.separation.spectrogram import FrontEnd
from avpipe.separation.wiener import wiener
from sound_dataset import RATE
from untrained_run import CLASSES, make_run


class Echo(Trainable):
    """Gives the window back, scaled by the number of the class."""

    front_end = FrontEnd(samples=1_000)
    output = "classes"
    classes = CLASSES

    def separate(self, mixture_BN: torch.Tensor, context: Context) -> torch.Tensor:
        scale = torch.arange(1.0, 4.0).view(1, 3, 1)
        return mixture_BN.unsqueeze(1) * scale

    example = forward = activate = parts = None  # type: ignore[assignment]


@settings(deadline=None, max_examples=30)
@given(samples=st.integers(1, 5_000))
def test_windows_leave_no_seam_whatever_the_length(samples: int) -> None:
    signal = torch.from_numpy(np.random.default_rng(samples).uniform(-1, 1, samples))
    stems = windows.separate_long(Echo(), signal.float(), Context())
    assert stems.shape == (3, samples)
    torch.testing.assert_close(stems[1], 2 * signal.float(), atol=1e-5, rtol=1e-5)


@given(samples=st.integers(1, 10_000), window=st.integers(1, 1_000))
def test_windows_cover_every_sample_and_end_with_the_signal(samples: int, window: int) -> None:
    starts = windows.window_starts(samples, window)
    covered = np.zeros(max(samples, window), bool)
    for start in starts:
        covered[start : start + window] = True
    assert covered.all()
    assert starts == sorted(starts)
    assert starts[-1] + window == max(samples, window)


def test_stereo_is_averaged_and_the_file_keeps_its_rate(tmp_path: Path) -> None:
    left, right = np.full(800, 0.5), np.full(800, -0.25)
    soundfile.write(tmp_path / "s.wav", np.stack([left, right], 1), 44_100, subtype="FLOAT")
    signal, rate, channels = read_mono(tmp_path / "s.wav")
    assert (rate, channels) == (44_100, 2)
    np.testing.assert_allclose(signal, 0.125)


def test_other_rates_keep_a_tone() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000).astype(np.float32)
    lower = resample(tone, 48_000, RATE)
    assert lower.shape == (RATE,)
    expected = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    np.testing.assert_allclose(lower[200:-200], expected[200:-200], atol=2e-3)
    assert resample(tone, 48_000, 48_000) is tone


@settings(deadline=None, max_examples=20)
@given(samples=st.integers(1, 3_000), sources=st.integers(1, 4))
def test_stems_of_the_wiener_filter_add_up_to_the_mixture(samples: int, sources: int) -> None:
    random = np.random.default_rng(samples)
    mixture = torch.from_numpy(random.uniform(-1, 1, samples))
    stems = torch.from_numpy(random.uniform(-1, 1, (sources, samples)))
    shared = wiener(FrontEnd(), mixture, stems)
    assert shared.shape == (sources, samples)
    torch.testing.assert_close(shared.sum(0), mixture, atol=1e-6, rtol=0)


def test_the_wiener_filter_parts_tones_and_shares_equally_what_nobody_claims() -> None:
    time = torch.arange(8_000) / RATE
    low, high = torch.sin(2 * torch.pi * 300 * time), torch.sin(2 * torch.pi * 2_000 * time)
    rough = torch.stack([0.5 * low + 0.01 * high, 0.02 * low + 0.3 * high])
    shared = wiener(FrontEnd(), low + high, rough)
    torch.testing.assert_close(shared[0][1_000:-1_000], low[1_000:-1_000], atol=0.02, rtol=0)
    silent = wiener(FrontEnd(), low, torch.zeros(2, 8_000))
    torch.testing.assert_close(silent[0], low / 2, atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize(
    ("rate", "channels", "samples"), [(44_100, 2, 50_001), (11_025, 1, 90_000)]
)
def test_stems_have_the_length_and_rate_of_the_recording_and_may_add_up_to_it(
    untrained: Path, tmp_path: Path, rate: int, channels: int, samples: int
) -> None:
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, (samples, channels))
    soundfile.write(tmp_path / "mix.wav", sound, rate, subtype="FLOAT")
    found = separate(
        tmp_path / "mix.wav", untrained, ["Tuba", "viola"], out=tmp_path / "stems", exact_sum=True
    )
    assert list(found.stems) == ["tuba", "viola"]
    shared = separate(tmp_path / "mix.wav", untrained, ["tuba", "viola"], wiener=True)
    if rate == RATE:
        np.testing.assert_allclose(sum(shared.stems.values()), sound.mean(1), atol=1e-5)
    assert (found.sample_rate, found.channels) == (rate, channels)
    total = sum(found.stems.values())
    np.testing.assert_allclose(total, sound.mean(1), atol=1e-6)
    assert [path.name for path in found.files] == ["tuba.wav", "viola.wav", "spectrograms.png"]
    written, written_rate = soundfile.read(tmp_path / "stems" / "tuba.wav", dtype="float32")
    assert written_rate == rate
    np.testing.assert_array_equal(written, found.stems["tuba"])


def test_without_names_all_classes_are_separated_and_nothing_is_written(
    untrained: Path, resources: Path
) -> None:
    found = separate(resources / "urmp_20_tpt_11025.flac", untrained)
    assert tuple(found.stems) == CLASSES
    assert found.files == ()


@pytest.mark.parametrize("samples", [10, 30_000])
def test_silence_and_a_moment_give_finite_stems_of_their_length(
    untrained: Path, tmp_path: Path, samples: int
) -> None:
    soundfile.write(tmp_path / "s.wav", np.zeros(samples), RATE)
    found = separate(tmp_path / "s.wav", untrained, ["tuba"], out=tmp_path / "stems", wiener=True)
    assert found.stems["tuba"].shape == (samples,)
    assert not found.stems["tuba"].any()
    assert (tmp_path / "stems" / "spectrograms.png").exists()


def test_a_checkpoint_of_another_network_or_a_damaged_one_is_one_clear_line(
    untrained: Path, tmp_path: Path, resources: Path
) -> None:
    import shutil

    melody = resources / "urmp_20_tpt_11025.flac"
    shutil.copytree(untrained, tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    other = runs.read_checkpoint(checkpoint)
    del other["state_dict"][next(key for key in other["state_dict"] if key.endswith("weight"))]
    runs.save_checkpoint(checkpoint, other)
    with pytest.raises(UsageError, match="does not fit: missing") as caught:
        separate(melody, tmp_path / "run", out=tmp_path / "stems")
    assert "\n" not in str(caught.value)
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(UsageError, match=r"last\.ckpt is damaged") as caught:
        separate(melody, tmp_path / "run", out=tmp_path / "stems")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "stems").exists()


def test_the_sound_of_a_video_is_separated(untrained: Path, resources: Path) -> None:
    found = separate(resources / "urmp_09_vn_crop.mp4", untrained, ["viola"])
    assert abs(len(found.mixture) / found.sample_rate - 5) < 0.2
    assert len(found.stems["viola"]) == len(found.mixture)


def test_what_is_impossible_is_one_clear_line_and_overwrites_nothing(
    untrained: Path, tmp_path: Path, resources: Path
) -> None:
    melody = resources / "urmp_20_tpt_11025.flac"
    with pytest.raises(UsageError, match="the training knows no harp: it has flute, tuba, viola"):
        separate(melody, untrained, ["tuba", "harp"])
    with pytest.raises(UsageError, match="tuba is named more than once: a label does not tell"):
        separate(melody, untrained, ["tuba", "viola", "Tuba"])
    with pytest.raises(UsageError, match="does not exist"):
        separate(tmp_path / "none.wav", untrained)
    with pytest.raises(UsageError, match="cannot be read as sound"):
        separate(untrained / "run.json", untrained)
    with pytest.raises(UsageError, match=r"is not a training: it has no run\.json"):
        separate(melody, tmp_path)
    with pytest.raises(UsageError, match="is no folder: choose another one"):
        separate(melody, untrained, ["tuba"], out=untrained / "run.json")
    broken = np.linspace(-1, 1, 9_000, dtype=np.float32)
    broken[7_000] = np.nan
    soundfile.write(tmp_path / "broken.wav", broken, RATE, subtype="FLOAT")
    with pytest.raises(UsageError, match=r"broken\.wav has samples that are no numbers"):
        separate(tmp_path / "broken.wav", untrained, ["tuba"])
    (tmp_path / "tuba.wav").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"tuba\.wav exists: choose another folder"):
        separate(melody, untrained, ["tuba"], out=tmp_path)
    assert (tmp_path / "tuba.wav").read_bytes() == b"mine"


def test_a_separator_told_labels_asks_for_them(untrained: Path, tmp_path: Path) -> None:
    import json
    import shutil

    shutil.copytree(untrained, tmp_path / "run")
    facts = json.loads((untrained / "run.json").read_text())
    facts["options"]["conditioning"] = "label-multiply"
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    signal = tmp_path / "s.wav"
    soundfile.write(signal, np.random.default_rng(0).uniform(-0.1, 0.1, 20_000), RATE)
    with pytest.raises(UsageError, match="which instruments are played"):
        separate(signal, tmp_path / "run")
    found = separate(signal, tmp_path / "run", ["flute"])
    assert np.abs(found.stems["flute"]).max() > 0
