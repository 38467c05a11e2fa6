"""Every separator learns, goes on, is scored and separates, from the shards of a real build.

Networks, pictures and clips are as small as they can be; that the networks give the published
outputs is tested elsewhere.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import players_build
from avpipe import open_dataset, separation
from avpipe.separation import data, journal, recipes, runs
from avpipe.separation.evaluate import evaluate
from avpipe.separation.interface import Trainable
from avpipe.separation.sight import Scene, Sight
from avpipe.separation.train import Config, train
from thin_networks import make_thin

STEPS: dict[str, Any] = {
    "batch": 2,
    "steps": 4,
    "validate_steps": 2,
    "validation_mixtures": 2,
    "example_steps": 1_000,
    "curriculum": False,
    "milestones": (),
}
PAIRS = {"fewest": 2, "most": 2}
VOICE = {"fewest": 1, "most": 1}
ADAM = {"optimiser": "adam", "rate": 3e-3}


@dataclass(frozen=True)
class Case:
    """A recipe made small."""

    recipe: str
    options: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    frames: int | None = 64
    """Of the spectrograms; None: what the network must have."""


SMALL = {"classes": ("trumpet", "violin"), "channels": (8, 8, 8), "dropout": 0.0}
CASES = [
    Case("sop-music", {"sound": "unet5"}, PAIRS),
    Case("solos-paper", SMALL, PAIRS | ADAM),
    Case("thesis-exp-9", SMALL, PAIRS | ADAM),
    Case("thesis-visual-film-bottleneck", SMALL, PAIRS | ADAM),
    Case("thesis-visual-film-bottleneck-ft", SMALL, PAIRS | ADAM),
    Case("thesis-motion-15", SMALL, PAIRS | ADAM | {"pictures": 2}),
    Case("single-image-resnet18-att-unet", {}, PAIRS, frames=128),
    Case("single-image-resnet18-classifier-unet", {}, PAIRS, frames=128),
    Case("single-image-category-unet", {}, PAIRS | {"rate": 0.1}, frames=128),
    Case("music-gesture-paper", {}, PAIRS),
    Case("wave-unet-thesis", {}, PAIRS, frames=None),
    Case("wave-unet-thesis-exp", {}, PAIRS, frames=None),
    Case("ynet-unet-paper", {}, VOICE | ADAM),
    Case("ynet-m-paper", {}, VOICE | ADAM),
    Case("ynet-e-paper", {}, VOICE | ADAM),
    Case("ynet-g-code", {}, VOICE | ADAM),
    Case("llcp-ynet-paper", {}, VOICE | ADAM | {"rate": 3e-4}, frames=None),
]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset."""
    return players_build.make(tmp_path_factory.mktemp("built"))


@pytest.fixture(autouse=True)
def thin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that take no time."""
    make_thin(monkeypatch)


def shorten(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes all runs take short clips at the dataset's rate."""
    whole = runs.make

    def make(*arguments: Any, **options: Any) -> Trainable:
        separator = whole(*arguments, **options)
        front_end = replace(separator.front_end, sample_rate=players_build.RATE)
        if case.frames is not None:
            front_end = replace(front_end, samples=case.frames * front_end.hop - 1)
        separator.front_end = front_end
        return separator

    monkeypatch.setattr(runs, "make", make)


def plan(case: Case, built: Path, out: Path) -> Config:
    recipe = recipes.recipe(case.recipe)
    return Config(
        data=built,
        out=out,
        recipe=case.recipe,
        changes={**STEPS, **case.changes},
        options=case.options | ({"pretrained": "none"} if "pretrained" in recipe.options else {}),
        accompaniment=built if recipe.accompanied else None,
        device="cpu",
    )


def held_out(run: Path, built: Path) -> tuple[Any, Scene | None]:
    """The sound of a recording that was not trained on, and its player as the run sees it."""
    separator, facts = runs.load(run)
    dataset, look = open_dataset(built), facts.look(separator)
    clip = (players_build.RATE, separator.front_end.samples)
    bank = data.load(dataset, "test", facts.classes, *clip, look.fields)
    shown = Sight.load(dataset, bank, look) if look.needs else None
    scene = shown.scene([0], [int(bank.starts[0])]) if shown else None
    clip_of_two_seconds = dataset.clip(
        bank.rows[0], frames=2 * players_build.FPS, fields=("audio",)
    )
    return clip_of_two_seconds.audio, scene


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.recipe)
def test_it_learns_resumes_is_scored_and_separates(
    case: Case, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(case, monkeypatch)
    config = plan(case, built, tmp_path / "whole")
    result = train(config)
    losses = [row["train_loss"] for row in journal.read_rows(config.out / "metrics.csv")]
    assert losses[1] < losses[0]

    half = replace(config, out=tmp_path / "half", changes={**config.changes, "steps": 2})
    train(half)
    resumed = train(replace(half, changes={"steps": 4}, resume=True))
    assert resumed.train_loss == result.train_loss
    assert resumed.validation_loss == result.validation_loss

    report = evaluate([config.out], built, mixtures=1, accompaniment=config.accompaniment)
    found = report.summaries[str(config.out)]["all"]
    assert found["si_sdr"]["count"] + found["eps"]["count"] == 2

    sound, scene = held_out(config.out, built)
    soundfile.write(tmp_path / "clip.wav", sound, players_build.RATE)
    stems = separation.separate(
        tmp_path / "clip.wav", config.out, ["trumpet"], out=tmp_path / "stems", scene=scene
    )
    (name,) = stems.stems
    assert name.lower() == "trumpet"
    assert (tmp_path / "stems" / "locations.png").exists() == ("-att-" in case.recipe)
    assert stems.stems[name].shape == sound.shape
    assert np.isfinite(stems.stems[name]).all()
