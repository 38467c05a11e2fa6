"""Every separator learns, goes on, is scored and separates, from shards of real builds.

Networks, pictures and clips are as small as they can be; that they give the published outputs is
tested elsewhere.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ensemble
from avpipe import separation
from avpipe.separation import journal, recipes, runs, sight
from avpipe.separation.evaluate import evaluate
from avpipe.separation.separators import llcp, music_gesture, wave_unet
from avpipe.separation.train import Config, train

STEPS: dict[str, Any] = {
    "batch": 2,
    "steps": 4,
    "validate_steps": 2,
    "validation_mixtures": 2,
    "example_steps": 1_000,
    "curriculum": False,
    "fewest": 2,
    "most": 2,
}


@dataclass(frozen=True)
class Case:
    """A recipe made small."""

    recipe: str
    data: str
    options: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)


SMALL_UNET = {"classes": ("trumpet", "violin"), "channels": (4, 4, 8)}
VOICE = {"fewest": 1, "most": 1, "rate": 0.05, "momentum": 0.0}
CASES = [
    Case("sop-music", "players", {"sound": "unet5"}),
    Case("solos-paper", "players", SMALL_UNET),
    Case("thesis-exp-9", "players", SMALL_UNET),
    Case("thesis-visual-film-bottleneck", "players", SMALL_UNET),
    Case("thesis-motion-15", "players", SMALL_UNET, {"pictures": 2}),
    Case("single-image-resnet18-att-unet", "players"),
    Case("single-image-resnet18-classifier-dv3p", "players"),
    Case("single-image-category-dv3p", "players"),
    Case("music-gesture-paper", "players"),
    Case("wave-unet-thesis", "melodies"),
    Case("wave-unet-thesis-exp", "melodies"),
    Case("ynet-unet-paper", "singers", changes=VOICE),
    Case("ynet-m-paper", "singers", changes=VOICE),
    Case("ynet-e-paper", "singers", changes=VOICE),
    Case("ynet-g-code", "singers", changes=VOICE),
    Case("llcp-ynet-paper", "singers", changes=VOICE),
]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Players at 11,025 Hz, singers at 16,384 Hz and melodies at 22,050 Hz."""
    folder = tmp_path_factory.mktemp("built")
    faces = ["audio", "faces", "mouths", "face_landmarks"]
    return {
        "players": ensemble.make(
            folder / "players", "players", ["audio", "skeleton", "frames"], 11_025, 6.4
        ),
        "singers": ensemble.make(folder / "singers", "singers", faces, 16_384, 4.4),
        "melodies": ensemble.make_sound(folder / "melodies", "melodies", 22_050),
    }


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Widths, depths and pictures that take no time."""
    monkeypatch.setattr(sight, "SIZE", 64)
    monkeypatch.setattr(music_gesture, "SOUND_WIDTHS", (4, 8, 8, 16))
    monkeypatch.setattr(music_gesture, "GRAPH_WIDTHS", (4,) * 6 + (8,) * 5)
    monkeypatch.setattr(llcp, "WIDTH", 2)
    monkeypatch.setattr(wave_unet, "LEVELS", 4)
    monkeypatch.setattr(wave_unet, "CLIP", 4_096)


def plan(case: Case, built: dict[str, Path], out: Path) -> Config:
    recipe = recipes.recipe(case.recipe)
    options = dict(case.options)
    if "pretrained" in recipe.options:
        options["pretrained"] = "none"
    return Config(
        data=built[case.data],
        out=out,
        recipe=case.recipe,
        changes={**STEPS, **case.changes},
        options=options,
        accompaniment=built["singers"] if recipe.accompanied else None,
        device="cpu",
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.recipe)
def test_it_learns_resumes_is_scored_and_separates(
    case: Case, built: dict[str, Path], tmp_path: Path, resources: Path
) -> None:
    whole = plan(case, built, tmp_path / "whole")
    result = train(whole)
    losses = [row["train_loss"] for row in journal.read_rows(tmp_path / "whole" / "metrics.csv")]
    assert result.steps == 4
    assert losses[1] < losses[0]

    train(replace(whole, out=tmp_path / "half", changes={**whole.changes, "steps": 2}))
    resumed = train(replace(whole, out=tmp_path / "half", changes={"steps": 4}, resume=True))
    assert resumed.train_loss == result.train_loss
    assert resumed.validation_loss == result.validation_loss

    report = evaluate(
        [tmp_path / "whole"], whole.data, mixtures=1, accompaniment=whole.accompaniment
    )
    found = report.summaries[str(tmp_path / "whole")]["all"]
    assert found["si_sdr"]["count"] + found["eps"]["count"] == 2

    separator, facts = runs.load(tmp_path / "whole")
    names = ["voice"] if whole.accompaniment else list(facts.classes[:2])
    video = resources / "urmp_09_vn_crop.mp4"
    stems = separation.separate(video, tmp_path / "whole", names, exact_sum=True)
    assert list(stems.stems) == names
    np.testing.assert_allclose(sum(stems.stems.values()), stems.mixture, atol=1e-6)
