"""Every recipe makes its separator, and its optimiser takes a step on it."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from thin_networks import make_thin

from avpipe.separation import recipes, runs
from avpipe.separation.interface import Context, MaskSeparator, Trainable
from avpipe.separation.loop import Material, Training
from avpipe.separation.losses import loss
from avpipe.separation.recipe import Recipe

FRAMES = 128
"""Of the spectrograms."""


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
    if isinstance(made, MaskSeparator):
        made.front_end = replace(made.front_end, samples=FRAMES * made.front_end.hop - 1)
    return made


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_takes_a_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_thin(monkeypatch)
    recipe = recipes.recipe(name)
    net = separator(recipe)
    sources = 0.1 * torch.randn(1, recipe.most + recipe.accompanied, net.front_end.samples)
    shape = (1, recipe.most)
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
