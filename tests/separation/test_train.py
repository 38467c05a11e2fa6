"""Real, short trainings of a tiny network on real notes: it learns, it resumes, it refuses."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from avpipe import separation
from avpipe.errors import AvpipeError, Locked, ToolMissing, UsageError
from avpipe.separation import journal, recipes, runs, separators
from avpipe.separation.train import Config, Result, train
from sound_dataset import RATE, pack_sound

TINY = {"channels": (8, 16, 32, 64), "conditioning": "label-multiply"}
STEPS: dict[str, Any] = {
    "batch": 2,
    "steps": 6,
    "validate_steps": 3,
    "validation_mixtures": 2,
    "most": 2,
    "example_steps": 3,
}


def config(notes: Path, out: Path, **changes: Any) -> Config:
    return replace(
        Config(data=notes, out=out, changes=STEPS, options=TINY, device="cpu"), **changes
    )


@pytest.fixture(scope="module")
def six_steps(notes: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return train(config(notes, tmp_path_factory.mktemp("run") / "run"))


def weights(run: Path, which: str = "last") -> dict[str, torch.Tensor]:
    return runs.read_checkpoint(run / "checkpoints" / f"{which}.ckpt")["state_dict"]


def test_a_run_holds_what_it_promises(six_steps: Result) -> None:
    run = six_steps.run
    assert six_steps.steps == 6
    assert six_steps.stopped == "steps"
    rows = journal.read_rows(run / "metrics.csv")
    assert [row["step"] for row in rows] == [3, 6]
    assert tuple(rows[0]) == journal.COLUMNS
    for path in ("curves.png", "checkpoints/last.ckpt", "checkpoints/best.ckpt"):
        assert (run / path).stat().st_size > 1000
    example = run / "examples" / "step-0000003"
    assert (example / "spectrograms.png").exists()
    assert len(list(example.glob("*-true.wav"))) == len(list(example.glob("*-estimate.wav"))) == 2
    assert list((run / "tensorboard").glob("events*"))
    facts = json.loads((run / "run.json").read_text())
    assert facts["recipe"]["loss"] == recipes.recipe("short").loss
    assert not list(run.rglob("*.tmp"))


def test_a_resumed_training_has_the_same_losses_and_weights(
    notes: Path, tmp_path: Path, six_steps: Result
) -> None:
    out = tmp_path / "run"
    train(config(notes, out, changes={**STEPS, "steps": 3}))
    resumed = train(config(notes, out, changes={"steps": 6}, resume=True))
    assert resumed.train_loss == six_steps.train_loss
    assert resumed.validation_loss == six_steps.validation_loss
    expected = weights(six_steps.run)
    for name, tensor in weights(out).items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)


def test_averaged_weights_of_changed_clips_are_kept_used_and_resumed(
    notes: Path, tmp_path: Path
) -> None:
    changes = {
        **STEPS,
        "average": 0.9,
        "augment": {"cents": 20.0, "reverb_seconds": 0.1, "noise_db": -40.0},
        "warmup_steps": 2,
    }
    whole = train(config(notes, tmp_path / "whole", changes=changes))
    train(config(notes, tmp_path / "run", changes={**changes, "steps": 3}))
    resumed = train(config(notes, tmp_path / "run", changes={"steps": 6}, resume=True))
    assert resumed.validation_loss == whole.validation_loss
    kept = weights(whole.run)
    for name, tensor in weights(resumed.run).items():
        torch.testing.assert_close(tensor, kept[name], rtol=0, atol=0)
    used = runs.load(whole.run, "last")[0].state_dict()
    for name, tensor in used.items():
        assert torch.equal(tensor, kept[f"average.{name}"])
    assert any(not torch.equal(t, kept[f"separator.{name}"]) for name, t in used.items())


@pytest.mark.parametrize(("steps", "validated"), [(2, [2]), (4, [3, 4])])
def test_a_training_ends_with_a_validation_wherever_it_ends(
    notes: Path, tmp_path: Path, steps: int, validated: list[int]
) -> None:
    result = train(config(notes, tmp_path / "run", changes={**STEPS, "steps": steps}))
    assert result.steps == steps
    rows = journal.read_rows(tmp_path / "run" / "metrics.csv")
    assert [row["step"] for row in rows] == validated


def test_resuming_a_finished_training_changes_nothing(
    notes: Path, tmp_path: Path, six_steps: Result
) -> None:
    shutil.copytree(six_steps.run, tmp_path / "run")
    again = train(config(notes, tmp_path / "run", changes={}, resume=True))
    assert again.steps == 6
    assert again.validation_loss == pytest.approx(six_steps.validation_loss)  # from the file
    expected = weights(six_steps.run)
    for name, tensor in weights(tmp_path / "run").items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "few-solos"}, r"has recipe short, not few-solos: --resume goes on with what"),
        ({"separator": "mhunet"}, r"has separator unet, not mhunet"),
        ({"seed": 3}, r"has seed 0, not 3"),
        ({"weights": Path("/runs/other")}, r"has weights none, not /runs/other"),
        ({"options": {"mask": "binary"}}, r"has separator\.mask ratio, not binary"),
    ],
)
def test_a_training_that_goes_on_stays_what_it_is(
    notes: Path, six_steps: Result, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(config(notes, six_steps.run, resume=True, **changes))


def test_a_training_goes_on_with_the_dataset_that_it_has(
    notes: Path, six_steps: Result, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(six_steps.run, run)
    replace(runs.read(run), data="solos").write(run)
    with pytest.raises(UsageError, match=r"has dataset solos, not \w+: --resume goes on"):
        train(config(notes, run, resume=True))


def test_an_interrupted_training_resumes_in_the_middle_of_an_epoch(
    notes: Path, tmp_path: Path, six_steps: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    from avpipe.separation.loop import Training

    plain = Training.training_step

    def interrupted(self: Training, *args: object) -> torch.Tensor:
        if self.global_step == 4:
            raise KeyboardInterrupt
        return plain(self, *args)

    out = tmp_path / "run"
    monkeypatch.setattr(Training, "training_step", interrupted)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(config(notes, out))
    monkeypatch.setattr(Training, "training_step", plain)
    resumed = train(config(notes, out, changes={}, resume=True))
    assert resumed.steps == 6
    assert resumed.validation_loss == six_steps.validation_loss


def test_a_training_killed_before_it_saved_anything_starts_afresh(
    notes: Path, tmp_path: Path, six_steps: Result, capfd: pytest.CaptureFixture[str]
) -> None:
    out, again = tmp_path / "run", tmp_path / "again"
    command = [sys.executable, "-m", "avpipe", "train", "--data", notes, "--out", out]
    endless = {**STEPS, "steps": 10**6, "validate_steps": 10**6}
    settings = {"recipe": endless, "separator": {**TINY, "channels": list(TINY["channels"])}}
    for table, values in settings.items():
        for name, value in values.items():
            command += ["--set", f"{table}.{name}={json.dumps(value)}"]
    with subprocess.Popen([*command, "--device", "cpu"]) as process:
        while not list(out.glob("tensorboard/events*")):
            assert process.poll() is None
            time.sleep(0.1)
        with pytest.raises(Locked, match=f"is in use by process {process.pid}"):
            train(config(notes, out))
        process.kill()
    shutil.copytree(out, again)
    capfd.readouterr()
    afresh = train(config(notes, out))
    assert "run: its training ended before it saved anything, it starts afresh\n" in (
        capfd.readouterr().err
    )
    assert afresh.validation_loss == six_steps.validation_loss
    resumed = train(config(notes, again, resume=True))
    assert resumed.validation_loss == six_steps.validation_loss


def test_a_training_killed_between_its_checkpoints_keeps_its_best(
    notes: Path, tmp_path: Path, six_steps: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, out = runs.save_checkpoint, tmp_path / "run"

    def killed(path: Path, content: dict[str, Any]) -> None:
        if list(path.parent.glob("*.ckpt")):
            raise KeyboardInterrupt
        plain(path, content)

    monkeypatch.setattr(runs, "save_checkpoint", killed)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(config(notes, out))
    assert signal.getsignal(signal.SIGTERM) == handler
    monkeypatch.setattr(runs, "save_checkpoint", plain)
    resumed = train(config(notes, out, changes={}, resume=True))
    assert resumed.validation_loss == six_steps.validation_loss
    best = weights(six_steps.run, "best")
    for name, tensor in weights(out, "best").items():
        assert torch.equal(tensor, best[name])


def test_training_lowers_the_loss_and_beats_the_mixture_on_held_out_melodies(
    notes: Path, tmp_path: Path
) -> None:
    from avpipe.separation.evaluate import evaluate

    longer = {**STEPS, "batch": 4, "steps": 60, "validate_steps": 20, "example_steps": 1000}
    result = train(config(notes, tmp_path / "run", changes={**longer, "rate": 3e-3}))
    losses = [row["train_loss"] for row in journal.read_rows(tmp_path / "run" / "metrics.csv")]
    assert losses[-1] < 0.9 * losses[0]
    assert result.validation_loss < losses[0]
    report = evaluate(["mixture", tmp_path / "run", "oracle"], notes, mixtures=8, seed=1)
    bound, ours, oracle = (s["all"]["sdr"]["mean"] for s in report.summaries.values())
    assert bound + 1 < ours < oracle
    filtered = evaluate([tmp_path / "run"], notes, mixtures=8, seed=1, wiener=True)
    assert filtered.summaries[f"{tmp_path / 'run'} + Wiener"]["all"]["sdr"]["mean"] > bound + 1
    silent = report.summaries[str(tmp_path / "run")]["all"]["pes"]
    assert silent["count"] == 8 * (13 - 2)
    assert silent["mean"] == pytest.approx(-80)


def test_a_budget_ends_a_training_resumably(notes: Path, tmp_path: Path) -> None:
    changes = {**STEPS, "steps": 1000, "validate_steps": 2}
    stopped = train(config(notes, tmp_path / "run", changes=changes, seconds=0.5))
    assert stopped.stopped == "budget"
    assert stopped.steps < 1000
    again = train(config(notes, tmp_path / "run", changes={}, resume=True, seconds=0.5))
    assert again.steps > stopped.steps


def test_a_loss_that_is_no_number_stops_and_keeps_the_batch(
    notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from avpipe.separation import loop

    plain = loop.loss

    def broken(*args: Any) -> torch.Tensor:
        return plain(*args) * float("nan")

    monkeypatch.setattr(loop, "loss", broken)
    with pytest.raises(AvpipeError, match=r"loss of step 0 is not a number: its batch is in"):
        train(config(notes, tmp_path / "run"))
    batch = torch.load(tmp_path / "run" / "bad-batch-0.pt", weights_only=True)
    assert batch["mixture"].shape == (2, 65_535)
    torch.testing.assert_close(batch["sources"].sum(1), batch["mixture"])


def test_a_training_that_does_not_improve_ends(notes: Path, tmp_path: Path) -> None:
    still = {**STEPS, "steps": 9, "validate_steps": 1, "stop_steps": 2, "minimum_change": 100.0}
    result = train(config(notes, tmp_path / "run", changes=still))
    assert (result.steps, result.stopped) == (3, "no improvement")


def test_without_a_terminal_every_validation_is_one_line_and_no_bar_is_drawn(
    notes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    few = {**STEPS, "steps": 2, "validate_steps": 1, "example_steps": 1_000}
    train(config(notes, tmp_path / "run", changes=few))
    lines = capfd.readouterr().err.splitlines()
    assert [line[:6] for line in lines] == ["step 1", "step 2"]
    assert all(line.endswith(" samples/s") for line in lines)


def test_tensorboard_shows_what_the_table_holds(six_steps: Result) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(six_steps.run / "tensorboard")).Reload()
    rows = journal.read_rows(six_steps.run / "metrics.csv")
    for name in ("train_loss", "validation_loss", "validation_si_sdr"):
        scalars = [(event.step, event.value) for event in shown.Scalars(name)]
        assert scalars == [(row["step"], pytest.approx(row[name], rel=1e-5)) for row in rows]


def test_mixed_precision_keeps_the_loss_and_the_weights_whole(
    notes: Path, tmp_path: Path, six_steps: Result
) -> None:
    mixed = train(config(notes, tmp_path / "run", precision="bf16-mixed"))
    assert mixed.train_loss != six_steps.train_loss
    assert mixed.train_loss == pytest.approx(six_steps.train_loss, rel=0.02)
    assert mixed.validation_loss == pytest.approx(six_steps.validation_loss, rel=0.05)
    assert {t.dtype for t in weights(mixed.run).values() if t.is_floating_point()} == {
        torch.float32
    }


@pytest.mark.slow
def test_a_compiled_network_learns_the_same(notes: Path, tmp_path: Path) -> None:
    same = {"options": {**TINY, "dropout": 0.0}, "changes": {**STEPS, "steps": 3}}
    plain = train(config(notes, tmp_path / "plain", **same))
    compiled = train(config(notes, tmp_path / "compiled", compile=True, **same))
    assert compiled.train_loss == pytest.approx(plain.train_loss, rel=1e-4)
    assert weights(compiled.run).keys() == weights(plain.run).keys()


def test_without_a_compiler_compiling_is_one_clear_line(
    notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    with pytest.raises(ToolMissing, match=r"torch\.compile needs a C"):
        train(config(notes, tmp_path / "run", compile=True))
    assert not (tmp_path / "run").exists()


def test_weights_of_a_run_are_a_start(notes: Path, tmp_path: Path, six_steps: Result) -> None:
    frozen = {**STEPS, "steps": 1, "validate_steps": 1, "rate": 0.5, "rates": {"unet": 1e-12}}
    train(config(notes, tmp_path / "run", changes=frozen, weights=six_steps.run))
    before, after = weights(six_steps.run, "best"), weights(tmp_path / "run")
    name = next(n for n in before if n.endswith("conv.weight"))
    torch.testing.assert_close(after[name], before[name], atol=1e-6, rtol=0)


def test_the_datasets_categories_become_classes_the_separator_does_not_know(
    tmp_path: Path,
) -> None:
    random = np.random.default_rng(0)
    noise = random.integers(-9_000, 9_000, 7 * RATE).astype(np.int16)
    sound = {
        f"{c}-{part}": (c, part, noise)
        for c in ("erhu", "guzheng")
        for part in ("train", "validation")
    }
    dataset = pack_sound(tmp_path / "data", sound)
    few = {**STEPS, "steps": 1, "validate_steps": 1, "example_steps": 1000}
    train(config(dataset, tmp_path / "run", changes=few))
    _, facts = runs.load(tmp_path / "run")
    assert facts.classes == ("erhu", "guzheng")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "thesis-exp-17"}, r"unknown recipe 'thesis-exp-17'; there are short, few-"),
        ({"recipe": "sop-ft"}, r"recipe sop-ft starts from trained weights: name their run"),
        (
            {"separator": "sop", "options": {}, "changes": {**STEPS, "augment": {"cents": 9.0}}},
            r"clips that are seen keep their pace",
        ),
        ({"changes": {"augment": {"cent": 9.0}}}, r"recipe augment: unknown parameter 'cent'; it"),
        ({"changes": {"stepz": 3}}, r"recipe short: unknown parameter 'stepz'; it has .*batch"),
        ({"changes": {"steps": "3"}}, r"recipe short steps = '3': must be int"),
        ({"changes": {"steps": 0}}, r"recipe short: steps = 0: must be at least 1"),
        ({"changes": {"batch": -8}}, r"batch = -8: must be at least 1"),
        ({"changes": {"rate": -1.0}}, r"rate = -1.0: must be above 0"),
        ({"changes": {"rates": {"net": -1.0}}}, r"rates of net = -1.0: must be at least 0"),
        ({"changes": {"average": 1.0}}, r"average = 1.0: must be from 0 to below 1"),
        ({"changes": {"gain": [1.0]}}, r"gain = \[1.0\]: must be two factors above 0, in order"),
        ({"changes": {"curriculum": True}}, r"curriculum_steps = 0: a curriculum needs at least"),
        ({"options": {"depth": 3}}, r"separator unet: unknown parameter 'depth'"),
        ({"options": {"channels": "8,8"}}, r"channels = '8,8': must be a list as in \[8,16\]"),
        (
            {"recipe": "sop-music", "options": {"pretrained": "none"}},
            r"holds no frames: build it with --fields audio,frames",
        ),
        ({"separator": "oracle", "options": {}}, r"unknown parameter|nothing to train"),
        ({"changes": {"most": 4}}, r"mixtures of 4 different categories need as many"),
        ({"device": "cuda", "devices": 64}, r"64 GPUs were asked for, this machine has \d+"),
        (
            {"changes": {**STEPS, "batch": 3}, "devices": 2},
            r"batches of 3 cannot be shared by 2 devices",
        ),
        ({"resume": True}, r"is not a training: it has no run.json"),
        ({"weights": Path("nowhere")}, r"nowhere is not a training: it has no run.json"),
    ],
)
def test_what_is_impossible_is_one_clear_line_and_writes_nothing(
    notes: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        train(config(notes, tmp_path / "run", **changes))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"devices": 0}, r"devices = 0: must be at least 1"),
        ({"seconds": -60.0}, r"a budget of -60 s: must be above 0"),
    ],
)
def test_devices_and_budgets_that_cannot_be_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Config(data=Path(), out=Path(), **changes)


def test_a_category_that_is_validated_and_not_learnt_is_one_clear_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(-9_000, 9_000, 7 * RATE).astype(np.int16)
    parts = {"flute": ("train", "validation"), "oboe": ("train",), "tuba": ("validation",)}
    sound = {f"{c}-{part}": (c, part, noise) for c, held in parts.items() for part in held}
    dataset = pack_sound(tmp_path / "data", sound)
    few = {**STEPS, "steps": 1, "validate_steps": 1, "example_steps": 1000}
    train(config(dataset, tmp_path / "run", changes=few))
    lines = [line for line in capfd.readouterr().err.splitlines() if "not for training" in line]
    assert len(lines) == 1
    assert "has Tuba for validation but not for training" in lines[0]
    recording = tmp_path / "noise.wav"
    soundfile.write(recording, noise, RATE)
    with pytest.raises(UsageError, match="the training heard no Tuba: it learnt Flute, Oboe"):
        separation.separate(recording, tmp_path / "run", ["flute", "tuba"])


def test_a_folder_that_is_not_empty_is_not_overwritten(notes: Path, six_steps: Result) -> None:
    with pytest.raises(UsageError, match="is not empty: choose another folder, or --resume it"):
        train(config(notes, six_steps.run))


def test_damaged_and_foreign_checkpoints_are_one_clear_line(
    tmp_path: Path, six_steps: Result
) -> None:
    run = tmp_path / "run"
    shutil.copytree(six_steps.run, run)
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**facts, "separator": "mhunet"}))
    with pytest.raises(UsageError, match=r"for separator mhunet does not fit: missing"):
        runs.load(run)
    (run / "run.json").write_text(json.dumps(facts))
    (run / "checkpoints" / "best.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(UsageError, match=r"best\.ckpt is damaged") as caught:
        runs.load(run)
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda last: last.write_bytes(last.read_bytes()[:5_000]),
            r"last\.ckpt is damaged: .+; put a copy",
        ),
        (lambda last: last.write_bytes(b""), r"last\.ckpt is damaged: EOFError; put a copy"),
        (
            lambda last: runs.save_checkpoint(last, {"state_dict": {"separator.x": torch.ones(1)}}),
            r"last\.ckpt for separator unet does not fit: missing",
        ),
    ],
    ids=["truncated", "empty", "of another separator"],
)
def test_resuming_from_what_does_not_fit_writes_nothing(
    notes: Path, tmp_path: Path, six_steps: Result, damage: Any, message: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(six_steps.run, run)
    damage(run / "checkpoints" / "last.ckpt")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=message) as caught:
        train(config(notes, run, resume=True, changes={"steps": 8}))
    assert "\n" not in str(caught.value)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_every_recipe_makes_its_separator_and_is_complete() -> None:
    for name, recipe in recipes.RECIPES.items():
        config_class = separators.module(recipe.separator).Config
        chosen = separation.separators.configure(config_class, recipe.options, name)
        assert recipe.follows
        assert recipe.mixing(recipe.rules.first_sources).most <= recipe.most
        if name.startswith("thesis-exp-"):
            assert (recipe.rate, recipe.batch, recipe.steps) == (1e-5, 16, 500_000)
            assert chosen.conditioning == "none" or chosen.context == "labels"


TABLE_A1 = """\
1 log db unet no binary no bce yes none
2 linear db unet no binary no bce yes none
3 linear db mhunet no binary no bce yes film-bottleneck
4 linear db mhunet no ratio no smooth-l1 yes film-bottleneck
5 linear db mhunet no binary yes bce yes film-bottleneck
6 linear db mhunet yes binary yes bce yes film-bottleneck
7 linear log mhunet no binary no bce yes film-bottleneck
8 linear db mhunet no binary yes bce no none
9 linear db unet no binary no bce yes film-bottleneck
10 linear db unet no binary no bce yes film-encoder
11 linear db unet no binary no bce yes film-final
12 linear db unet no binary no bce yes label-multiply
13 log db unet no binary no bce yes film-encoder
14 log db unet no binary no bce yes film-bottleneck
15 log db unet no binary no bce yes film-final
16 log db unet no binary no bce yes label-multiply
"""
"""Of the thesis: experiment, frequency, values, model, noise, mask, bias, loss, curriculum,
conditioning."""


@pytest.mark.parametrize("row", TABLE_A1.splitlines(), ids=lambda row: row.split()[0])
def test_the_thesis_experiments_are_those_of_its_table(row: str) -> None:
    number, frequency, values, model, noise, mask, bias, loss, curriculum, conditioning = (
        row.split()
    )
    recipe = recipes.recipe(f"thesis-exp-{number}")
    chosen = separators.configure(separators.module(model).Config, recipe.options, "recipe")
    assert recipe.separator == model
    assert (chosen.frequency, chosen.values, chosen.mask) == (frequency, values, mask)
    assert (recipe.loss, chosen.conditioning) == (loss, conditioning)
    assert (chosen.noise > 0, chosen.positive_weight > 1) == (noise == "yes", bias == "yes")
    assert recipe.curriculum == (curriculum == "yes")
