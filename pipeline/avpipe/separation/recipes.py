"""Named, complete configurations of trainings: those of the papers, and a short one.

Where a paper, the thesis and the released code disagree, the name says which one a recipe follows,
and `follows` what had to be chosen because the source does not say. The numbers are those of Zhao
et al. 2018 (Sound of Pixels), Montesinos et al. 2020 (Solos), Slizovskaia 2020 (thesis), Gan et al.
2020 (Music Gesture), Montesinos et al. 2021 (Y-Net) and Zhu and Rahtu 2020 (single image).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from avpipe.errors import UsageError
from avpipe.separation.losses import Loss
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

THESIS = Recipe(
    follows="thesis, section 5.3.4",
    separator="mhunet",
    options={"conditioning": "film-bottleneck", "frequency": "linear", "mask": "binary"},
    fewest=2,
    most=7,
    combine="sum",
    clip="waveform",
    loss="bce",
    batch=16,
    steps=500_000,
    rate=1e-5,
    curriculum=True,
    curriculum_steps=10_000,
    drop_steps=25_000,
    validate_steps=500,
)

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

YNET = Recipe(
    follows="Y-Net paper, sections 3 and 4: 4 s at 16,384 Hz, SGD 0.01, momentum 0.8, decay 1e-5;"
    " batch 10, sources scaled to a peak of 1 and epochs of 2,000 steps are the code's; neither"
    " states the length (100 epochs here); one voice and one accompaniment",
    separator="ynet",
    fewest=1,
    most=1,
    categories="any",
    combine="mean",
    peak=True,
    accompanied=True,
    loss="mse",
    batch=10,
    steps=200_000,
    optimiser="sgd",
    rate=0.01,
    momentum=0.8,
    weight_decay=1e-5,
    validate_steps=2_000,
    validation_mixtures=500,
    example_steps=10_000,
)

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


def _single_image(number: str, text: str, **options: Any) -> Recipe:
    blind = options.get("embedding") == "category"
    return replace(
        SINGLE_IMAGE,
        follows=f"{SINGLE_IMAGE.follows}; {number}{text}",
        options=options if blind else {**options, "pretrained": "imagenet"},
        rates={} if blind else SINGLE_IMAGE.rates,
    )


_SINGLE_IMAGE_TABLE: dict[str, Recipe] = {
    f"single-image-{frame}{kind}-{sound}": _single_image(
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
    f"single-image-category-{sound}": _single_image(
        f"A(ground category) + S({sound})", "", embedding="category", sound=sound
    )
    for sound in ("unet", "dv3p")
}


def _thesis(number: int, text: str, separator: str, loss: Loss = "bce", **options: Any) -> Recipe:
    more = "" if not text else f"; {text}"
    return replace(
        THESIS,
        follows=f"{THESIS.follows}, experiment {number} of Table A.1{more}",
        separator=separator,
        options={**THESIS.options, **options},
        loss=loss,
    )


_THESIS_TABLE: dict[int, Recipe] = {
    1: _thesis(1, "", "unet", conditioning="none", frequency="log"),
    2: _thesis(2, "", "unet", conditioning="none"),
    3: _thesis(3, "", "mhunet"),
    4: _thesis(4, "the best published row", "mhunet", "smooth-l1", mask="ratio"),
    5: _thesis(5, "weight 5 of the positive class is the code's", "mhunet", positive_weight=5.0),
    6: _thesis(6, "it does not state the noise: 0.1 of the input's range", "mhunet", noise=0.1),
    7: _thesis(7, "logarithmic values", "mhunet", values="log"),
    8: replace(
        _thesis(8, "neither curriculum nor conditioning", "mhunet", conditioning="none"),
        curriculum=False,
        curriculum_steps=0,
    ),
    9: _thesis(9, "", "unet"),
    10: _thesis(10, "", "unet", conditioning="film-encoder"),
    11: _thesis(11, "", "unet", conditioning="film-final"),
    12: _thesis(12, "", "unet", conditioning="label-multiply"),
    13: _thesis(13, "", "unet", conditioning="film-encoder", frequency="log"),
    14: _thesis(14, "", "unet", conditioning="film-bottleneck", frequency="log"),
    15: _thesis(15, "", "unet", conditioning="film-final", frequency="log"),
    16: _thesis(16, "", "unet", conditioning="label-multiply", frequency="log"),
}


def _seen(text: str, **options: Any) -> Recipe:
    """A row of Table 5.5: experiment 14 with pictures for labels."""
    base = _THESIS_TABLE[14]
    return replace(
        base,
        follows=f"{THESIS.follows}, Table 5.5: {text}; its context vectors stand side by side, here"
        " the largest of all sources counts, as in the code",
        options={**base.options, "context": "visual", "pretrained": "imagenet", **options},
        pictures_from="start",
    )


def _moved(frames: int) -> Recipe:
    """A row of Table 5.5 with an LSTM over so many frames of 6 s; the code bounds its gradient."""
    base = _seen(f"FiLM-bottleneck, {frames} frames", context="motion")
    return replace(base, pictures=frames, picture_seconds=6 / frames, clip_gradient=0.5)


def _voice(text: str, separator: str = "ynet", blocks: int = 4, **options: Any) -> Recipe:
    given = {"blocks": blocks} if separator == "ynet" else {}
    return replace(
        YNET,
        follows=f"{YNET.follows}; {text}",
        separator=separator,
        options={**given, **options},
    )


_MOUTHS = _voice("Y-Net-m", visual="mouths", pretrained="kinetics")
_R = "Y-Net-r: two lead voices in half of the mixtures"

_VOICES: dict[str, Recipe] = {
    "ynet-unet-paper": _voice("its audio-only U-Net, 4 blocks", visual="none"),
    "ynet-m-paper": _MOUTHS,
    "ynet-r-paper": replace(_MOUTHS, follows=f"{YNET.follows}; {_R}", most=2),
    "ynet-e-paper": _voice(
        "Y-Net-e; its numbers of a face are learnt, not FaceNet's",
        visual="faces",
        pretrained="imagenet",
    ),
    "llcp-ynet-paper": _voice(
        "LLCP as its baseline; the numbers of a face are learnt, not FaceNet's",
        "llcp",
        pretrained="imagenet",
    ),
    "ynet-m-code": _voice(
        "Y-Net-m with the 7 blocks of the released weights",
        blocks=7,
        visual="mouths",
        pretrained="kinetics",
    ),
    "ynet-g-code": _voice("Y-Net-g of the released code, 7 blocks", blocks=7, visual="keypoints"),
}

RECIPES: Mapping[str, Recipe] = {
    "short": SHORT,
    "few-solos": FEW_SOLOS,
    "sop-music": SOP,
    "sop-solos": replace(
        SOP, follows=f"Solos paper, SoP-Solos: as sop-music, on Solos. {SOP.follows}"
    ),
    "sop-ft": replace(
        SOP,
        follows=f"Solos paper, SoP-ft: sop-music's weights, trained on with Solos. {SOP.follows}",
        starts_from="weights",
    ),
    "solos-paper": SOLOS_PAPER,
    "released-code": RELEASED,
    **{f"thesis-exp-{number}": recipe for number, recipe in _THESIS_TABLE.items()},
    "thesis-visual-film-encoder": _seen("FiLM-encoder, 1 frame", conditioning="film-encoder"),
    "thesis-visual-film-bottleneck": _seen("FiLM-bottleneck, 1 frame"),
    "thesis-visual-film-bottleneck-ft": _seen("FiLM-bottleneck-ft, 1 frame", fine_tune=True),
    "thesis-visual-film-final": _seen("FiLM-final, 1 frame", conditioning="film-final"),
    "thesis-motion-15": _moved(15),
    "thesis-motion-50": _moved(50),
    "sop-unet5-solos": replace(
        SOP,
        follows=f"thesis, Table 5.5, SoP-unet5-Solos: as sop-music, on Solos. {SOP.follows}",
        options={**SOP.options, "sound": "unet5"},
    ),
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
    **_VOICES,
    **_SINGLE_IMAGE_TABLE,
}
"""Name -> recipe."""


def recipe(name: str) -> Recipe:
    """A recipe by name; an unknown one is an error that lists all."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]
