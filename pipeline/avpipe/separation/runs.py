"""The folder of a training: what it holds, how it is written and read again.

run.json             separator, options, recipe, data, seed
metrics.csv          a row a validation
curves.png           losses, SI-SDR, learning rate and number of sources over the steps
tensorboard/         the same for TensorBoard
checkpoints/last.ckpt, best.ckpt
examples/step-*/     separations of one validation mixture: wav and picture
"""

import json
import os
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from avpipe.config import configure
from avpipe.errors import UsageError
from avpipe.separation import separators
from avpipe.separation.interface import Separator, Trainable
from avpipe.separation.look import Look
from avpipe.separation.recipe import Recipe

FACTS = "run.json"
CHECKPOINTS = "checkpoints"
PREFIX = "separator."
"""Of the separator's tensors in a checkpoint."""
AVERAGE = "average."
"""Of their averages over the steps, where the recipe keeps them: the ones to use."""


@dataclass(frozen=True)
class Run:
    """What `run.json` says of a training."""

    separator: str
    options: dict[str, Any]
    """Of the separator, as given; the rest are its defaults."""
    classes: tuple[str, ...]
    recipe: dict[str, Any]
    recipe_name: str
    data: str
    """The dataset's name."""
    seed: int
    weights: str = ""
    """Folder of the run that it started from."""
    learnt: tuple[str, ...] = ()
    """Classes that sound in its training mixtures."""

    def look(self, separator: Separator) -> Look:
        """What the separator was shown."""
        return Look.of(separator, configure(Recipe, self.recipe, f"recipe {self.recipe_name}"))

    def write(self, folder: Path) -> None:
        """Makes the folder; it must not be a run yet."""
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / FACTS, json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")


def read(folder: Path) -> Run:
    """The facts of a training.

    Raises:
        UsageError: it is no run, or damaged.
    """
    path = folder / FACTS
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        values["classes"] = tuple(values["classes"])
        values["learnt"] = tuple(values.get("learnt", ()))
        return Run(**values)
    except FileNotFoundError:
        raise UsageError(f"{folder} is not a training: it has no {FACTS}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({error})") from error


def make(run: Run, fresh: bool = False) -> Trainable:
    """The separator of a run, untrained.

    Args:
        run: what it is.
        fresh: with the pretrained weights that its options name; otherwise it will be given all.
    """
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in run.options.items()}
    if not fresh:
        options.pop("pretrained", None)
    separator = separators.create(run.separator, options)
    if not isinstance(separator, Trainable):
        raise UsageError(f"separator {run.separator} has nothing to train")
    apply_recipe(separator, run.recipe["clip"], "noise_db" in run.recipe.get("augment", {}))
    return separator


def apply_recipe(separator: Separator, clip: str, noisy: bool = False) -> None:
    """Tells a mask separator the recipe's clipping rule, and whether mixtures have noise."""
    from dataclasses import replace

    from avpipe.separation.interface import MaskSeparator

    if isinstance(separator, MaskSeparator):
        separator.mixtures_are_sums = clip != "waveform" and not noisy
        if clip == "magnitude":
            separator.front_end = replace(separator.front_end, clamp=True)


def is_free(folder: Path) -> bool:
    """Whether a training may begin there: nothing to lose, only what one left that was killed
    before it had saved anything."""
    if (folder / FACTS).exists():
        return saved(folder) is None
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder: choose another one")
    return not folder.exists() or all(path.name.startswith(".") for path in folder.iterdir())


def saved(folder: Path) -> Path | None:
    """The checkpoint from which a training goes on: the last; of one that was killed before it had
    that, the best."""
    paths = (folder / CHECKPOINTS / f"{name}.ckpt" for name in ("last", "best"))
    return next((path for path in paths if path.exists()), None)


def best(folder: Path) -> Path:
    """The checkpoint to use: the best by validation loss; without one, the last."""
    path = folder / CHECKPOINTS / "best.ckpt"
    return path if path.exists() else folder / CHECKPOINTS / "last.ckpt"


def load(folder: Path, which: str = "best") -> tuple[Trainable, Run]:
    """The trained separator of a run, in eval mode, and its facts.

    Args:
        folder: of the training.
        which: `best` by validation loss, or `last`; without a best one the last is taken.

    Raises:
        UsageError: no run, no checkpoint, a damaged one, or one of another separator.
    """
    run = read(folder)
    path = best(folder) if which == "best" else folder / CHECKPOINTS / f"{which}.ckpt"
    separator = make(run)
    load_weights(separator, path, run.separator)
    return separator.eval(), run


def load_weights(separator: Trainable, path: Path, name: str) -> None:
    """Copies the weights of a checkpoint into a separator of the same kind."""
    from avpipe.separation.checkpoints import load_into

    content = read_checkpoint(path)
    saved = content.get("state_dict", {})
    prefix = AVERAGE if any(key.startswith(AVERAGE) for key in saved) else PREFIX
    tensors = {
        key.removeprefix(prefix): value for key, value in saved.items() if key.startswith(prefix)
    }
    load_into(separator, tensors, f"checkpoint {path} for separator {name}")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of a training, without running code from it."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist: the training has saved nothing yet") from None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        # After its first sentence torch advises to run the code in the file.
        reason = str(error).split("\n")[0].split(". ")[0] or type(error).__name__
        raise UsageError(
            f"checkpoint {path} is damaged: {reason}; put a copy of it back, or train anew"
        ) from error
    if not isinstance(content, dict):
        raise UsageError(f"checkpoint {path} is damaged: it holds a {type(content).__name__}")
    return content


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Writes a checkpoint: the old one stays until the new one is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def replace_file(path: Path, text: str) -> None:
    """Writes a small text file in one step."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def recipe_facts(recipe: Recipe) -> dict[str, Any]:
    """A recipe as JSON holds it."""
    return {key: dict(v) if hasattr(v, "items") else v for key, v in asdict(recipe).items()}
