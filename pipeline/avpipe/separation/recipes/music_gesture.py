"""Music Gesture (Gan et al. 2020)."""

from dataclasses import replace

from avpipe.separation.recipe import Recipe

MUSIC_GESTURE = Recipe(
    follows="Music Gesture paper, sections 3.4 and 4.2: SGD 0.9, rate 1e-2 of sound and fusion,"
    " 1e-3 of graph and appearance; it states no batch (16 here), no length (100,000 steps), no"
    " weights to start from (ImageNet's), and not how far skeletons are moved (10 px)",
    separator="music-gesture",
    options={"mask": "dominant", "threshold": 0.7, "shift": 10.0, "pretrained": "imagenet"},
    combine="sum",
    pictures=1,
    pictures_from="start",
    loss="bce",
    batch=16,
    steps=100_000,
    optimiser="sgd",
    rate=1e-2,
    rates={"graph": 1e-3, "appearance": 1e-3},
    momentum=0.9,
    validate_steps=1_000,
)

RECIPES = {
    "music-gesture-paper": MUSIC_GESTURE,
    "music-gesture-paper-3mix": replace(
        MUSIC_GESTURE, follows=f"{MUSIC_GESTURE.follows}; three instruments", fewest=3, most=3
    ),
    "music-gesture-paper-homo": replace(
        MUSIC_GESTURE,
        follows=f"{MUSIC_GESTURE.follows}; section 4.4, two of one instrument: the second stage",
        categories="same",
        starts_from="weights",
    ),
}
