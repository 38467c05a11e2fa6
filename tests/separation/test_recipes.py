"""Every recipe makes its separator, and its optimiser takes a step on it."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from avpipe.separation import recipes, runs
from avpipe.separation.interface import Context, Trainable
from avpipe.separation.loop import Training
from avpipe.separation.losses import loss
from avpipe.separation.material import Material
from avpipe.separation.recipe import Recipe
from avpipe.separation.separators import llcp, wave_unet
from thin_networks import make_thin

OF_ONE_LENGTH = (llcp.LLCPSeparator, wave_unet.WaveUNetSeparator)
FRAMES = 64
"""Of the spectrograms."""
DEEP = ("unet", "unet7")
"""Sound networks that halve them seven times."""


def small(recipe: Recipe) -> dict[str, Any]:
    """The recipe's options, for few classes and few channels."""
    options = dict(recipe.options)
    if recipe.separator in ("unet", "mhunet"):
        options |= {"classes": ("a", "b", "c"), "channels": (2,) * 6}
    return options


def separator(recipe: Recipe) -> Trainable:
    facts = runs.Run(recipe.separator, small(recipe), (), runs.recipe_facts(recipe), "", "none", 0)
    torch.manual_seed(0)
    made = runs.make(facts)
    if not isinstance(made, OF_ONE_LENGTH):
        frames = 128 if recipe.options.get("sound") in DEEP else FRAMES
        made.front_end = replace(made.front_end, samples=frames * made.front_end.hop - 1)
    return made


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_takes_a_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_thin(monkeypatch)
    recipe = recipes.recipe(name)
    net = separator(recipe)
    # Where the sound network pools everything, batch norm needs more than one mixture.
    shape = (2 if recipe.options.get("sound") == "dv3p" else 1, recipe.most)
    places = recipe.most + recipe.accompanied
    sources = 0.1 * torch.randn(shape[0], places, net.front_end.samples)
    context = Context(
        categories=torch.arange(recipe.most).expand(shape) % 3,
        frames=torch.randint(0, 256, (*shape, min(recipe.pictures, 2), 3, 64, 64)).byte(),
        keypoints=torch.rand(*shape, 8, 68 if net.topology == "face68" else 67, 3),
        mouths=torch.randint(0, 256, (*shape, 4, 3, 16, 16)).byte(),
        faces=torch.randint(0, 256, (*shape, 4, 3, 32, 32)).byte(),
    )
    training = Training(net, recipe, Material(None), Material(None), 0)  # type: ignore[arg-type]
    optimiser = training.configure_optimizers()
    assert {group["name"] for group in optimiser.param_groups} <= set(net.parts())
    assert set(recipe.rates) <= set(net.parts())
    example = net.train().example(sources.sum(1), sources, context)
    value = loss(net, net(example.mixture, context), example, context, recipe.loss)
    torch.autograd.backward(value)
    before = [p.detach().clone() for p in net.parameters()]
    optimiser.step()
    assert torch.isfinite(value)
    assert any(not torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True))
