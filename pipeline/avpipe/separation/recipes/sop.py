"""Sound of Pixels (Zhao et al. 2018), and what Solos and the thesis trained of it."""

from dataclasses import replace

from avpipe.separation.recipe import Recipe

SOP = Recipe(
    follows="Sound of Pixels, released training script: 100 epochs of 670 steps, which is its 100"
    " passes over 536 solo videos in batches of 80; rates fall tenfold after epochs 40 and 80",
    separator="sop",
    options={
        "sound": "unet7",
        "mask": "binary",
        "energy_weighted": True,
        "pretrained": "imagenet",
    },
    categories="any",
    combine="mean",
    gain=(0.5, 1.5),
    pictures=3,
    picture_seconds=3.0,
    loss="bce",
    batch=80,
    steps=67_000,
    optimiser="sgd",
    rate=1e-3,
    rates={"frame_trunk": 1e-4},
    momentum=0.9,
    weight_decay=1e-4,
    milestones=(26_800, 53_600),
    validate_steps=670,
)

RECIPES = {
    "sop-music": SOP,
    "sop-solos": replace(
        SOP, follows=f"Solos paper, SoP-Solos: as sop-music, on Solos. {SOP.follows}"
    ),
    "sop-ft": replace(
        SOP,
        follows=f"Solos paper, SoP-ft: sop-music's weights, trained on with Solos. {SOP.follows}",
        starts_from="weights",
    ),
    "sop-unet5-solos": replace(
        SOP,
        follows=f"thesis, Table 5.5, SoP-unet5-Solos: as sop-music, on Solos. {SOP.follows}",
        options={**SOP.options, "sound": "unet5"},
    ),
}
