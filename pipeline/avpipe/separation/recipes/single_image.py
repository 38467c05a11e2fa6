"""Separating sounds from a single image (Zhu and Rahtu 2020), Table II."""

from dataclasses import replace
from typing import Any

from avpipe.separation.recipe import Recipe
from avpipe.separation.recipes.sop import SOP

SINGLE_IMAGE = replace(
    SOP,
    follows="Separating sounds from a single image, Table II, as its code trains: 100 epochs of"
    " 4,000 steps, which is 100 passes over 400 videos in batches of 10; rates fall tenfold after"
    " epochs 40 and 80",
    separator="appearance",
    options={},
    categories="different",
    pictures=1,
    batch=10,
    steps=400_000,
    milestones=(160_000, 320_000),
    validate_steps=4_000,
)


def _row(number: str, text: str, **options: Any) -> Recipe:
    """A row of Table II; where only categories are told, no picture network is trained."""
    blind = options.get("embedding") == "category"
    return replace(
        SINGLE_IMAGE,
        follows=f"{SINGLE_IMAGE.follows}; {number}{text}",
        options=options if blind else {**options, "pretrained": "imagenet"},
        rates={} if blind else SINGLE_IMAGE.rates,
    )


RECIPES = {
    f"single-image-{frame}{kind}-{sound}": _row(
        f"A({frame}{kind}) + S({sound})", text, frame=frame, sound=sound, **options
    )
    for sound in ("unet", "dv3p")
    for frame in ("resnet18", "resnet50")
    for kind, text, options in (
        ("", "", {}),
        (
            "-att",
            ", at once as its Eq. 3; its code starts with A + S trained",
            {"attention": True},
        ),
        ("-classifier", "", {"embedding": "classifier"}),
    )
} | {
    f"single-image-category-{sound}": _row(
        f"A(ground category) + S({sound})", "", embedding="category", sound=sound
    )
    for sound in ("unet", "dv3p")
}
