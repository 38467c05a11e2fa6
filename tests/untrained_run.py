"""A run whose network never learnt anything, which separates all the same."""

from pathlib import Path

from avpipe.separation import runs
from avpipe.separation.recipes import recipe

CLASSES = ("flute", "tuba", "viola")


def make_run(folder: Path, knows: tuple[str, ...] = CLASSES) -> Path:
    """A small U-Net of some classes, with the weights that it was born with."""
    options = {"classes": knows, "channels": (4, 4, 4), "mask": "ratio", "frequency": "log"}
    facts = runs.Run("unet", options, knows, runs.recipe_facts(recipe("short")), "short", "none", 0)
    facts.write(folder)
    state = {f"{runs.PREFIX}{k}": v for k, v in runs.make(facts).state_dict().items()}
    runs.save_checkpoint(folder / "checkpoints" / "last.ckpt", {"state_dict": state})
    return folder
