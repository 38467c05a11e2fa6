"""Named, complete configurations of trainings: those of the papers, and short ones.

A module a paper, each with its `RECIPES`. Where a paper, the thesis and the released code disagree,
the name says which one a recipe follows, and `follows` what had to be chosen because the source
does not say.
"""

from collections.abc import Mapping

from avpipe.errors import UsageError
from avpipe.separation.recipe import Recipe
from avpipe.separation.recipes import (
    music_gesture,
    short,
    single_image,
    solos,
    sop,
    thesis,
    wave_unet,
    ynet,
)

RECIPES: Mapping[str, Recipe] = {
    **short.RECIPES,
    **sop.RECIPES,
    **solos.RECIPES,
    **thesis.RECIPES,
    **wave_unet.RECIPES,
    **music_gesture.RECIPES,
    **ynet.RECIPES,
    **single_image.RECIPES,
}
"""Name -> recipe."""


def recipe(name: str) -> Recipe:
    """A recipe by name; an unknown one is an error that lists all."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]
