"""Pictures of trainings and separations."""

from pathlib import Path

import numpy as np
from matplotlib.image import imread

from avpipe.separation import plots


def brightness(path: Path) -> float:
    """Mean of the inner half of a picture's width, 0 to 1."""
    picture = imread(path)[..., :3]
    quarter = picture.shape[1] // 4
    return float(picture[:, quarter:-quarter].mean())


def test_silence_is_dark_and_noise_is_bright(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 8_000)
    plots.spectrograms({"mixture": noise}, 8_000, tmp_path / "noise.png")
    plots.spectrograms({"mixture": np.zeros(8_000)}, 8_000, tmp_path / "silence.png")
    assert brightness(tmp_path / "silence.png") < brightness(tmp_path / "noise.png") - 0.2


def test_curves_show_a_curriculum_and_its_rates(tmp_path: Path) -> None:
    columns = ("train_loss", "validation_loss", "validation_si_sdr", "rate", "sources")
    still = [dict.fromkeys(columns, 1.0) | {"step": float(step)} for step in range(3)]
    moved = [row | {"rate": 1 / (row["step"] + 1), "sources": row["step"]} for row in still]
    plots.curves(still, tmp_path / "still.png")
    plots.curves(moved, tmp_path / "moved.png")
    assert not np.array_equal(imread(tmp_path / "still.png"), imread(tmp_path / "moved.png"))
