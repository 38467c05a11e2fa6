"""The audio bank: what is in it, what is refused, and windows gathered from it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from avpipe import open_dataset
from avpipe.errors import UsageError
from avpipe.separation import data
from sound_dataset import RATE, pack_sound

WINDOW = 2_000


def ramp(first: int, samples: int = 3 * RATE) -> np.ndarray:
    """Samples that tell where they are from."""
    return (first + np.arange(samples) % 5_000).astype(np.int16)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    return pack_sound(
        tmp_path,
        {
            "b": ("Double Bass", "train", ramp(100)),
            "a": ("violin", "train", ramp(7_000)),
            "c": ("violin", "test", ramp(20_000)),
        },
    )


def test_a_bank_holds_the_segments_of_a_part_sorted_by_class(three: Path) -> None:
    bank = data.load(open_dataset(three), "train", ("Violin", "DoubleBass"), RATE, WINDOW)
    assert bank.recordings == ("a", "b")
    assert bank.classes.tolist() == [0, 1]
    assert bank.samples.dtype == torch.int16
    assert bank.samples[bank.starts].tolist() == [7_000, 100]
    assert bank.positions.tolist() == [0, 31_076, 62_152]


def test_windows_are_the_samples_at_their_places_and_silence_at_minus_one(three: Path) -> None:
    bank = data.load(open_dataset(three), "train", (), RATE, WINDOW)
    clips = bank.windows(np.array([[5, -1], [int(bank.starts[1]), 17]]))
    assert clips.shape == (2, 2, WINDOW)
    assert clips.dtype == torch.float32
    np.testing.assert_array_equal(clips[0, 0] * 32768, ramp(100)[5 : 5 + WINDOW])
    np.testing.assert_array_equal(clips[1, 0] * 32768, ramp(7_000)[:WINDOW])
    assert not clips[0, 1].any()


def test_short_and_silent_segments_are_left_out_and_counted(tmp_path: Path) -> None:
    dataset = open_dataset(
        pack_sound(
            tmp_path,
            {
                "good": ("flute", "train", ramp(1)),
                "short": ("flute", "train", ramp(1, 1_500)),
                "silent": ("flute", "train", np.zeros(2 * RATE, np.int16)),
                "other": ("flute", "validation", ramp(1)),
            },
        )
    )
    bank = data.load(dataset, "train", (), RATE, WINDOW)
    assert bank.recordings == ("good",)
    assert bank.dropped == {"too short": 1, "silent": 1}


def test_what_cannot_be_used_is_one_clear_line(three: Path) -> None:
    dataset = open_dataset(three)
    with pytest.raises(UsageError, match=r"violin of .* no classes of the separator.*Oboe"):
        data.load(dataset, "test", ("Oboe",), RATE, WINDOW)
    with pytest.raises(UsageError, match="11025 Hz, the separator works at 16384 Hz"):
        data.load(dataset, "train", (), 16_384, WINDOW)
    with pytest.raises(UsageError, match=r"no segment for train .* has 9\.07 s of sound \(2 too"):
        data.load(dataset, "train", (), RATE, 100_000)


def test_an_empty_part_is_one_clear_line(tmp_path: Path) -> None:
    dataset = open_dataset(pack_sound(tmp_path, {"a": ("flute", "train", ramp(1))}))
    with pytest.raises(UsageError, match="no recordings for validation: check its split"):
        data.load(dataset, "validation", (), RATE, WINDOW)


def index(split: list[str | None]) -> pd.DataFrame:
    count = len(split)
    return pd.DataFrame(
        {
            "recording": [f"r{i:02d}" for i in range(count)],
            "category": ["oboe", "tuba"] * (count // 2),
            "split": split,
        }
    )


def test_the_manifest_decides_the_parts() -> None:
    table = index(["train", "Training", "val", "valid", "test", "test"])
    assert data.rows_of(table, "train").tolist() == [0, 1]
    assert data.rows_of(table, "validation").tolist() == [2, 3]
    assert data.rows_of(table, "test").tolist() == [4, 5]


def test_without_test_recordings_the_validation_is_the_test() -> None:
    table = index(["train", "train", "val", "val"])
    assert data.rows_of(table, "test").tolist() == [2, 3]
    assert data.rows_of(table, "train").tolist() == [0, 1]


def test_without_a_split_the_last_fifth_of_every_category_is_held_out() -> None:
    table = index([None] * 20)
    held = data.rows_of(table, "validation").tolist()
    assert held == [16, 17, 18, 19]
    assert data.rows_of(table, "test").tolist() == held
    assert data.rows_of(table, "train").tolist() == list(range(16))


def test_a_single_recording_of_a_category_is_for_training() -> None:
    assert data.rows_of(index([None, None]), "train").tolist() == [0, 1]
