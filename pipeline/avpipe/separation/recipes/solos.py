"""The multi-head U-Net of Solos (Montesinos et al. 2020): the paper, and the released code."""

from avpipe.separation.recipe import Recipe

SOLOS_PAPER = Recipe(
    follows="Solos paper, section IV: Adam 1e-4, decay 1e-5, MSE of ratio masks, one source more"
    " after a plateau of 160k steps, half the rate after 400k; it states neither batch (16 here)"
    " nor length (it ends after 800k steps without improvement) and says both two to four and two"
    " to seven sources (four here)",
    separator="mhunet",
    options={"channels": (32, 64, 128, 256, 512, 512), "frequency": "log", "mask": "ratio"},
    fewest=2,
    most=4,
    combine="sum",
    clip="magnitude",
    loss="mse",
    batch=16,
    steps=4_000_000,
    rate=1e-4,
    weight_decay=1e-5,
    curriculum=True,
    curriculum_steps=160_000,
    drop_steps=400_000,
    stop_steps=800_000,
    validate_steps=2_000,
)

RELEASED = Recipe(
    follows="conditioned U-Net, defaults of the released code: epochs of 8,000 mixtures; its ratio"
    " masks go through a softmax over instruments, here a sigmoid",
    separator="mhunet",
    options={"frequency": "log", "mask": "ratio"},
    fewest=2,
    most=7,
    combine="mean",
    peak=True,
    loss="mse",
    batch=32,
    steps=250_000,
    rate=1e-4,
    weight_decay=5e-4,
    curriculum=True,
    curriculum_steps=2_500,
    minimum_change=1e-4,
    drop_steps=12_500,
    validate_steps=250,
)

RECIPES = {"solos-paper": SOLOS_PAPER, "released-code": RELEASED}
