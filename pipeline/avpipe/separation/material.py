"""What a training learns from: the sound of one part of its datasets, and what is seen there."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from avpipe.errors import UsageError
from avpipe.separation import data, mixing
from avpipe.separation.data import AudioBank, Part
from avpipe.separation.interface import Trainable
from avpipe.separation.look import Look
from avpipe.separation.recipe import Recipe
from avpipe.separation.sight import Sight

if TYPE_CHECKING:
    from avpipe.dataset import Dataset


class Material(NamedTuple):
    """What one part of the datasets gives a training."""

    bank: AudioBank
    sight: Sight | None = None
    """Of the bank, for separators that see."""
    accompaniment: AudioBank | None = None
    """What sounds in every mixture besides."""


def load(
    part: Part,
    separator: Trainable,
    chosen: Recipe,
    dataset: "Dataset",
    other: "Dataset | None",
    classes: Sequence[str],
    device: torch.device,
) -> Material:
    """A part of a built dataset as a recipe trains a separator on it.

    Args:
        part: which one.
        separator: it says what it has to hear and see.
        chosen: the recipe.
        dataset: what is separated.
        other: a dataset of what accompanies it, if the recipe asks for one.
        classes: of the separator.
        device: of the training.

    Raises:
        UsageError: the dataset cannot give this.
    """
    look = Look.of(separator, chosen)
    rate, window = separator.front_end.sample_rate, separator.front_end.samples
    if part == "train" and (how := chosen.augmentation) is not None:
        if look.needs and how.resamples:
            raise UsageError("clips that are seen keep their pace: augment by no pitch or vibrato")
        window = how.reach(window, rate)
    look.check(dataset)
    clip = (rate, window)
    bank = data.load(dataset, part, classes, *clip, look.fields, on_frames=bool(look.moving))
    mixing.check(bank, chosen.mixing(chosen.most))
    sight = Sight.load(dataset, bank, look) if look.needs else None
    besides = None
    if other is not None:
        besides = data.load(other, part, (), *clip)
        besides = besides.to(data.resident_device(besides, device))
    return Material(bank.to(data.resident_device(bank, device)), sight, besides)
