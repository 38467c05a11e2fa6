"""What is shown of the sources of a mixture to a separator that sees.

A separator says which fields of the context it `needs`, and in which `topology`. A `Look` adds when
pictures are taken; it is all that decides what is read (`avpipe.separation.sight`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from avpipe.errors import AvpipeError, UsageError
from avpipe.separation.interface import Need, Separator
from avpipe.types import Keypoints

if TYPE_CHECKING:
    from avpipe.dataset import Dataset
    from avpipe.separation.recipe import Recipe

FIELDS: Mapping[Need, str] = {
    "frames": "frames",
    "keypoints": "skeleton",
    "mouths": "mouths",
    "faces": "faces",
}
"""What can be seen -> field of a dataset."""
FACE = "face68"
"""Keypoints in this topology are those of the field `face_landmarks`."""


@dataclass(frozen=True)
class Look:
    """What is shown of every source of a clip."""

    needs: frozenset[Need]
    """Keys of `FIELDS`."""
    topology: str = ""
    """Of the keypoints."""
    pictures: int = 1
    """How many there are in `frames`."""
    seconds_apart: float = 3.0
    """From one to the next."""
    pictures_from: Literal["middle", "start"] = "middle"
    """Around the middle of the clip, or the first one where it begins."""

    @classmethod
    def of(cls, separator: Separator, recipe: "Recipe") -> "Look":
        """What the separator is shown when it is trained by a recipe, or was."""
        return cls(
            separator.needs & FIELDS.keys(),
            separator.topology,
            recipe.pictures,
            recipe.picture_seconds,
            recipe.pictures_from,
        )

    @property
    def fields(self) -> tuple[str, ...]:
        """Of the dataset, that are read."""
        return tuple(sorted(self.field_of(need) for need in self.needs))

    @property
    def moving(self) -> frozenset[Need]:
        """What is shown of every frame; clips begin with a frame if there is any."""
        return self.needs - {"frames"}

    def moments(self, seconds: float) -> npt.NDArray[np.float64]:
        """(pictures,) when they are taken, in seconds from the beginning of a clip."""
        steps = np.arange(self.pictures, dtype=np.float64)
        if self.pictures_from == "start":
            return steps * self.seconds_apart
        return seconds / 2 + (steps - (self.pictures - 1) / 2) * self.seconds_apart

    def check(self, dataset: "Dataset") -> None:
        """Raises a UsageError if a built dataset cannot show this; it says how to build it."""
        missing = [field for field in self.fields if field not in dataset.fields]
        if missing:
            fields = ",".join(dict.fromkeys((*dataset.fields, *missing)))
            raise UsageError(
                f"{dataset.path} holds no {', '.join(missing)}: build it with --fields {fields}"
            )
        if "keypoints" in self.needs and (found := dataset.topology_of(self.field_of("keypoints"))):
            nothing = np.zeros((0, len(found), 2), np.float32)
            try:
                Keypoints(nothing, nothing[..., 0], found).view(self.topology)
            except AvpipeError as error:
                raise UsageError(f"the keypoints of {dataset.path}: {error}") from error

    def field_of(self, need: Need) -> str:
        """Of the dataset, in which `need` is found."""
        if need == "keypoints" and self.topology == FACE:
            return "face_landmarks"
        return FIELDS[need]
