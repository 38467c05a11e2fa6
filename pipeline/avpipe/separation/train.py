"""Trains a separator from the shards of a built dataset.

    train(Config(data=Path("data/solos"), out=Path("runs/mhunet"), recipe="thesis-exp-4"))

Mixtures are made on the training device (`material`, `mixing`); the loop is Lightning's (`loop`,
`trainer`); what is written is described in `runs`. A run that was stopped goes on with
`resume=True`.
"""

import os
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from avpipe.config import configure
from avpipe.errors import ToolMissing, UsageError
from avpipe.lists import uses
from avpipe.lock import exclusive
from avpipe.separation.recipe import Recipe
from avpipe.separation.recipes import recipe

if TYPE_CHECKING:
    import torch

    from avpipe.dataset import Dataset
    from avpipe.separation.data import AudioBank, Part
    from avpipe.separation.interface import Trainable
    from avpipe.separation.loop import Training
    from avpipe.separation.runs import Run

PARTS: "tuple[Part, Part]" = ("train", "validation")


@dataclass(frozen=True)
class Config:
    """One training."""

    data: Path
    """A built dataset."""
    out: Path
    """Folder of the run; it must hold nothing that was trained, unless `resume`."""
    recipe: str = "short"
    """Name of a recipe."""
    separator: str | None = None
    """Instead of the recipe's."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the recipe that differ from it, or from what the resumed run had."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the separator that differ from the recipe's."""
    accompaniment: Path | None = None
    """A built dataset of sound, for recipes whose mixtures are accompanied."""
    weights: Path | None = None
    """A run whose best weights are the start."""
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    """GPUs (or processes on the CPU) that share every batch."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    compile: bool = False
    """Let torch.compile make kernels for the network; it needs a C++ compiler."""
    seconds: float | None = None
    """Budget: the training ends, resumable, when it is spent."""
    resume: bool = False

    def __post_init__(self) -> None:
        if self.devices < 1:
            raise UsageError(f"devices = {self.devices}: must be at least 1")
        if self.seconds is not None and not self.seconds > 0:
            raise UsageError(f"a budget of {self.seconds:g} s: must be above 0")


@dataclass(frozen=True)
class Result:
    """How a training ended."""

    run: Path
    steps: int
    stopped: str
    """steps, budget or no improvement."""
    train_loss: float
    """Mean since the validation before the last."""
    validation_loss: float
    validation_si_sdr: float
    """dB."""
    samples_per_second: float
    """Mixtures trained on, without validation."""
    dropped: Mapping[str, int]
    """Reason -> segments of the dataset that could not be used."""


def train(config: Config) -> Result:
    """Trains, or goes on training.

    Raises:
        UsageError: what is asked for is impossible or would overwrite something.
        NotANumber: the loss left the numbers; the batch is in the run's folder.
        ToolMissing: torch or lightning is not installed.
    """
    _check_tools(config)
    import torch

    from avpipe import open_dataset
    from avpipe.separation import journal, loop, memory, runs, trainer
    from avpipe.separation.device import pick

    device = pick(config.device, config.devices)
    run = _resumed(config) if config.resume else _new(config)
    saved = runs.saved(config.out)
    chosen = configure(Recipe, run.recipe, f"recipe {run.recipe_name}")
    dataset = open_dataset(config.data)
    with torch.random.fork_rng(devices=()):  # networks begin on the CPU
        torch.manual_seed(run.seed)
        separator = runs.make(run, fresh=saved is None and not run.weights)
    if saved is not None:  # the trainer will; but nothing is written before it is known to fit
        runs.load_weights(separator, saved, run.separator)
    elif run.weights:
        runs.load_weights(separator, runs.best(Path(run.weights)), run.separator)
    if config.compile:
        separator.compile()
    if chosen.batch % config.devices:
        raise UsageError(f"batches of {chosen.batch} cannot be shared by {config.devices} devices")
    other = None if config.accompaniment is None else open_dataset(config.accompaniment)
    own = trainer.own(device, config.devices)
    training = _training(separator, chosen, dataset, other, run, own)
    keeper = journal.Journal(config.out, config.seconds)
    first = first_process()
    alone = exclusive(config.out) if first else nullcontext()
    with alone, trainer.quiet(), trainer.signals_kept():
        if first:
            if saved is None and (config.out / runs.FACTS).exists():
                _say(f"{config.out}: its training ended before it saved anything, it starts afresh")
            heard = training.train_material.bank
            learnt = tuple(heard.names[c] for c in sorted(set(heard.classes.tolist())))
            replace(run, learnt=learnt).write(config.out)
            for used in (dataset, other) if other else (dataset,):
                uses.note(used.path, "checkpoint", config.out, set(used.index["recording"]))
        fit = trainer.make(config.out, keeper, device, config.devices, config.precision).fit
        try:
            with memory.kept() if device == "cpu" else nullcontext():
                fit(training, ckpt_path=saved)
        except loop.NotANumber as error:
            raise _explained(error, training, config.out) from error
    return _result(config.out, keeper, training.train_material.bank.dropped)


def _resumed(config: Config) -> "Run":
    """The facts of a run that goes on, perhaps with another length or learning rate."""
    from avpipe.separation import runs

    run = runs.read(config.out)
    _refuse_another(run, config)
    changed = configure(Recipe, {**run.recipe, **config.changes}, f"recipe of {config.out}")
    return replace(run, recipe=runs.recipe_facts(changed))


def _refuse_another(run: "Run", config: Config) -> None:
    """A training that goes on is the same in all but its recipe's numbers."""
    from avpipe import open_dataset
    from avpipe.separation import separators

    kind = separators.module(run.separator).Config
    where = f"separator {run.separator}"
    options = configure(kind, run.options, where)
    asked = configure(kind, {**run.options, **config.options}, where)
    pairs = [
        ("dataset", run.data, open_dataset(config.data).name),
        ("recipe", run.recipe_name, config.recipe if config.recipe != Config.recipe else None),
        ("separator", run.separator, config.separator),
        ("seed", run.seed, config.seed or None),
        ("weights", run.weights or "none", config.weights and str(config.weights.absolute())),
        *(
            (f"separator.{name}", getattr(options, name), getattr(asked, name))
            for name in config.options
            if name != "pretrained"  # it was the start, and is not asked for again
        ),
    ]
    for name, before, now in pairs:
        if now is not None and now != before:
            raise UsageError(
                f"{config.out} has {name} {before}, not {now}: --resume goes on with what"
                " it has, or choose another folder"
            )


def _new(config: Config) -> "Run":
    """The facts of a run that begins."""
    from avpipe import open_dataset
    from avpipe.separation import runs

    if first_process() and not runs.is_free(config.out):
        raise UsageError(f"{config.out} is not empty: choose another folder, or --resume it")
    base = recipe(config.recipe)
    if base.starts_from == "weights" and config.weights is None:
        raise UsageError(f"recipe {config.recipe} starts from trained weights: name their run")
    if config.weights is not None:
        runs.read(config.weights)
    values = {f.name: getattr(base, f.name) for f in fields(base)}
    chosen: Recipe = configure(Recipe, values | dict(config.changes), f"recipe {config.recipe}")
    separator = config.separator or chosen.separator
    options = {**_meant_for(separator, chosen), **config.options}
    dataset = open_dataset(config.data)
    categories = sorted(set(dataset.index["category"]))
    options |= _classes(separator, options, categories)
    chosen = replace(chosen, separator=separator, options=options)
    run = runs.Run(
        separator=separator,
        options=options,
        classes=(),
        recipe=runs.recipe_facts(chosen),
        recipe_name=config.recipe,
        data=dataset.name,
        seed=config.seed,
        weights="" if config.weights is None else str(config.weights.absolute()),
    )
    return replace(run, classes=runs.make(run).classes or tuple(categories))


def _say(line: str) -> None:
    from rich.console import Console

    Console(stderr=True).print(line, highlight=False, soft_wrap=True)


def _meant_for(separator: str, chosen: Recipe) -> dict[str, Any]:
    """The recipe's options; for another separator than the recipe's, those that it has too."""
    from avpipe.separation import separators

    if separator == chosen.separator:
        return dict(chosen.options)
    known = {f.name for f in fields(separators.module(separator).Config)}
    return {name: value for name, value in chosen.options.items() if name in known}


def _classes(separator: str, options: Mapping[str, Any], categories: list[str]) -> dict[str, Any]:
    """The dataset's categories as the classes of a separator whose own do not hold them all."""
    from avpipe.separation import separators
    from avpipe.separation.data import plain

    config = separators.module(separator).Config()
    if not hasattr(config, "classes") or "classes" in options:
        return {}
    known = {plain(name) for name in config.classes}
    return {} if {plain(c) for c in categories} <= known else {"classes": tuple(categories)}


def _training(
    separator: "Trainable",
    chosen: Recipe,
    dataset: "Dataset",
    other: "Dataset | None",
    run: "Run",
    device: "torch.device",
) -> "Training":
    """What the trainer runs: the separator with what it learns from."""
    from avpipe.separation import material
    from avpipe.separation.loop import Training

    unknown = set(chosen.rates) - set(separator.parts())
    if unknown:
        raise UsageError(
            f"rates for {', '.join(sorted(unknown))}: separator {run.separator} has the parts"
            f" {', '.join(separator.parts())}"
        )
    if chosen.accompanied and other is None:
        raise UsageError(
            f"mixtures of recipe {run.recipe_name} are accompanied: name a built dataset of"
            " accompaniments, or train with --set recipe.accompanied=false"
        )
    if other is not None and not chosen.accompanied:
        raise UsageError(f"mixtures of recipe {run.recipe_name} take no accompaniment")
    train, validation = (
        material.load(part, separator, chosen, dataset, other, run.classes, device)
        for part in PARTS
    )
    if first_process():
        _warn_of_unlearnt(dataset, train.bank, validation.bank)
    return Training(separator, chosen, train, validation, run.seed)


def _warn_of_unlearnt(dataset: "Dataset", train: "AudioBank", validation: "AudioBank") -> None:
    """Says which categories are validated that nothing is learnt of."""
    unlearnt = sorted(set(validation.classes.tolist()) - set(train.classes.tolist()))
    if unlearnt:
        _say(
            f"{dataset.path} has {', '.join(validation.names[c] for c in unlearnt)} for validation"
            " but not for training: nothing is learnt of what is validated there"
        )


def _check_tools(config: Config) -> None:
    try:
        import lightning  # noqa: F401
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise ToolMissing(f"training needs {error.name}: pip install 'avpipe[train]'") from error
    if config.compile and shutil.which(os.environ.get("CXX", "g++")) is None:
        raise ToolMissing("torch.compile needs a C++ compiler: install g++, or do not compile")


def first_process() -> bool:
    """False in the processes that the first one starts for further devices."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    return int(getattr(rank_zero_only, "rank", 0)) == 0


def _explained(error: Any, training: "Training", out: Path) -> Exception:
    """Keeps the batch, which its step's number gives again, and says where it is."""
    import torch

    path = out / f"bad-batch-{error.step}.pt"
    batch = training.make_batch(error.step)
    torch.save(
        {
            "mixture": batch.mixture,
            "sources": batch.sources,
            "categories": batch.context.categories,
        },
        path,
    )
    error.args = (f"{error}: its batch is in {path}; resume with a lower learning rate",)
    return error  # type: ignore[no-any-return]


def _result(out: Path, keeper: Any, dropped: Mapping[str, int]) -> Result:
    row = keeper.rows[-1]
    return Result(
        run=out,
        steps=int(row["step"]),
        stopped=keeper.stopped,
        train_loss=row["train_loss"],
        validation_loss=row["validation_loss"],
        validation_si_sdr=row["validation_si_sdr"],
        samples_per_second=row["samples_per_second"],
        dropped=dict(dropped),
    )
