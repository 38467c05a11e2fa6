"""Datasets of sound for the tests of training, evaluation and use."""

from pathlib import Path

import pytest
import soundfile

from sound_dataset import pack_sound


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of three instruments: one real melody each to train on and one held out."""
    folder = Path(__file__).parents[1] / "resources" / "notes"
    sound = {
        path.stem: (
            path.stem.split("_")[0],
            "train" if path.stem.endswith("01") else "validation",
            soundfile.read(path, dtype="int16")[0],
        )
        for path in sorted(folder.glob("*.flac"))
    }
    return pack_sound(tmp_path_factory.mktemp("notes"), sound)
