"""Short trainings, which follow no paper: minutes to an hour on one machine."""

from dataclasses import replace

from avpipe.separation.recipe import Recipe

SHORT = Recipe(
    follows="none of the papers: minutes to an hour on one machine, two to four instruments at"
    " levels up to 12 dB apart",
    separator="unet",
    options={"frequency": "log", "mask": "ratio", "energy_weighted": True},
    fewest=2,
    most=4,
    combine="sum",
    gain=(0.25, 1.0),
    loss="bce",
    batch=8,
    steps=1_600,
    rate=1e-3,
    milestones=(1_000, 1_400),
    milestone_factor=0.3,
    validate_steps=200,
    validation_mixtures=32,
    example_steps=800,
)

FEW_SOLOS = replace(
    SHORT,
    follows="none of the papers: under an hour on one core, for some minutes of solos of every"
    " instrument that have to stand for other players and rooms; two to four sources, instruments"
    " may repeat",
    options={
        "channels": (16, 32, 64, 96, 128, 192),
        "frequency": "log",
        "mask": "ratio",
        "activation": "softmax",
        "energy_weighted": True,
        "energy_law": "linear",
        "dropout": 0.0,
        "frames": 64,
    },
    categories="any",
    augment={
        "semitones": 3,
        "cents": 15.0,
        "vibrato_cents": 40.0,
        "equaliser_db": 5.0,
        "reverb_seconds": 0.6,
        "noise_db": -50.0,
    },
    loss="cross-entropy",
    batch=6,
    steps=4_500,
    warmup_steps=200,
    anneal=True,
    average=0.999,
    milestones=(),
    clip_gradient=1.0,
    validate_steps=1_000,
    validation_mixtures=32,
    example_steps=5_000,
)

RECIPES = {"short": SHORT, "few-solos": FEW_SOLOS}
