"""The Wave-U-Nets of the thesis (Slizovskaia 2020), and of its released code."""

from dataclasses import replace

from avpipe.separation.recipe import Recipe

WAVE_UNET = Recipe(
    follows="thesis, section 5.2: Adam 1e-4, 200,000 steps; batch 64 is the code's, the attenuation"
    " of 0.7 to 1 the original Wave-U-Net's; duets to quintets, mixed here of solos",
    separator="wave-unet",
    fewest=2,
    most=5,
    categories="any",
    combine="sum",
    gain=(0.7, 1.0),
    loss="mse",
    batch=64,
    steps=200_000,
    rate=1e-4,
    validate_steps=2_000,
)

RECIPES = {
    "wave-unet-thesis": replace(
        WAVE_UNET,
        follows=f"CExp-Wave-U-Net, {WAVE_UNET.follows}",
        options={"conditioning": "outer"},
    ),
    "wave-unet-thesis-exp": replace(
        WAVE_UNET, follows=f"Exp-Wave-U-Net, {WAVE_UNET.follows}", options={"conditioning": "none"}
    ),
    "wave-unet-code": replace(
        WAVE_UNET,
        follows="CExp-Wave-U-Net as the released code is set: rate 1e-5, times 0.96 every 2,000"
        " steps, the last stem what the others leave; labels stay with their mixture, which the"
        " code shuffles",
        options={"conditioning": "outer", "difference": True},
        rate=1e-5,
        milestones=tuple(range(2_000, 200_000, 2_000)),
        milestone_factor=0.96,
    ),
}
