"""Several processes share every batch, and learn what one process learns of the whole."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from avpipe.separation import runs
from sound_dataset import pack_sound

RATE = 22_050

# The Wave-U-Net has no batch norm, whose statistics are those of each process' share.
SETTINGS = {
    "recipe.loss": "mse",
    "recipe.optimiser": "sgd",
    "recipe.rate": 0.1,
    "recipe.batch": 2,
    "recipe.most": 2,
    "recipe.validate_steps": 1,
    "recipe.validation_mixtures": 2,
    "recipe.example_steps": 1000,
    "recipe.augment.cents": 20.0,
    "recipe.augment.equaliser_db": 3.0,
    "recipe.augment.noise_db": -40.0,
    "separator.context": False,
    "separator.conditioning": "none",
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise of two instruments, at the rate of the Wave-U-Net."""
    random = np.random.default_rng(0)
    recordings = {
        f"{name}-{part}": (name, part, random.integers(-9_000, 9_000, 3 * RATE).astype(np.int16))
        for name in ("flute", "tuba")
        for part in ("train", "validation")
    }
    return pack_sound(tmp_path_factory.mktemp("sound"), recordings, RATE)


def trained(data: Path, out: Path, steps: int, *more: str) -> dict[str, float]:
    """Trains by the command line: every process begins as its copy."""
    command = [sys.executable, "-m", "avpipe", "train", "wave-unet", "--data", str(data)]
    command += ["--out", str(out), "--device", "cpu", "--json", *more]
    for name, value in {**SETTINGS, "recipe.steps": steps}.items():
        if name.startswith("recipe.") or "--resume" not in more:
            command += ["--set", f"{name}={json.dumps(value)}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    return found


def weights(run: Path) -> dict[str, torch.Tensor]:
    return runs.read_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"]


@pytest.fixture(scope="module")
def both(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A run of two steps by two processes."""
    out = tmp_path_factory.mktemp("both") / "run"
    return out, trained(sound, out, 2, "--devices", "2")


def test_two_processes_learn_what_one_does(
    sound: Path, tmp_path: Path, both: tuple[Path, dict[str, float]]
) -> None:
    alone = trained(sound, tmp_path / "alone", 2)
    run, result = both
    assert result["steps"] == alone["steps"] == 2
    for name in ("train_loss", "validation_loss", "validation_si_sdr"):
        assert result[name] == pytest.approx(alone[name], rel=1e-5)
    expected = weights(tmp_path / "alone")
    for name, tensor in weights(run).items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6)


def test_two_processes_resume_to_the_bit(
    sound: Path, tmp_path: Path, both: tuple[Path, dict[str, float]]
) -> None:
    trained(sound, tmp_path / "half", 1, "--devices", "2")
    resumed = trained(sound, tmp_path / "half", 2, "--devices", "2", "--resume")
    run, result = both
    assert resumed["train_loss"] == result["train_loss"]
    assert resumed["validation_loss"] == result["validation_loss"]
    expected = weights(run)
    for name, tensor in weights(tmp_path / "half").items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)
