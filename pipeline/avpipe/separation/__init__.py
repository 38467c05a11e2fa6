"""Separators of the papers: made by name, trained, scored, and used on recordings.

    net = separation.create("sop", frame="resnet18")
    unet = separation.load_public_checkpoint("sop-unet7", "sound_best.pth")
    found = separation.separate("duet.mp4", "runs/unet", ["violin", "cello"])

One family a file in `separators/`; the folder is the registry. Nothing here imports torch until a
separator is made. What all of them offer is `interface`; around it stand

    what they hear  `spectrogram` (`matrix_stft` on a CPU), `masks`, `windows`, `stems`, `wiener`
    what they see   `look` says what; `sight` reads it from shards, `players` from `footage`
    mixtures        `data` holds the sound, `mixing` draws and adds it up, `augment` changes it,
                    `transfer` sends it to a device
    training        `train`: a `recipe` of `recipes` on `material`, in the `loop` of a `trainer`,
                    by `losses` and a `schedule`; `journal` writes what `runs` reads; `memory`;
                    `device` says where all of it runs
    evaluation      `evaluate`: `systems` on `testsets` or `mixture_lists`; `metrics` (with `bss`),
                    `scores` and their `tables`
    use             `apply` separates a recording, `player_videos` shows its players
    files           `checkpoints` that were published, `sound`, `plots`, `outputs` that are not lost
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avpipe.separation import separators
from avpipe.separation.apply import separate

if TYPE_CHECKING:
    from torch import Tensor, nn

    from avpipe.separation.interface import Separator

__all__ = ["create", "load_public_checkpoint", "names", "separate"]


def names() -> tuple[str, ...]:
    """All separators."""
    return separators.names()


def create(name: str, **options: Any) -> "Separator":
    """A fresh separator; `options` are the fields of its module's `Config`.

    Raises:
        UsageError: unknown name or option.
        ToolMissing: torch is not installed, or pretrained weights cannot be had.
    """
    return separators.create(name, options)


def load_public_checkpoint(name: str, source: "str | Path | Mapping[str, Tensor]") -> "nn.Module":
    """The network `name` of a published project with its weights, in eval mode.

    Args:
        name: project and network, e.g. `sop-unet7`; an unknown one is an error that lists all.
        source: a checkpoint file, or its tensors under the original project's key names.

    The network takes the floating type of the tensors.

    Raises:
        UsageError: unknown name, or keys and shapes that are not those of `name`.
    """
    from avpipe.separation.checkpoints import load

    return load(name, source)
