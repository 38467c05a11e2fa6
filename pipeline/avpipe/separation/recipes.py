"""Named, complete configurations of trainings: those of the papers, and a short one.

Where a paper, the thesis and the released code disagree, the name says which one a recipe follows,
and `follows` what had to be chosen because the source does not say. The numbers are those of Zhao
et al. 2018 (Sound of Pixels), Montesinos et al. 2020 (Solos) and Slizovskaia 2020 (thesis).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from avpipe.config import configure
from avpipe.errors import UsageError
from avpipe.separation.augment import Augmentation
from avpipe.separation.losses import Loss
from avpipe.separation.mixing import Mixing
from avpipe.separation.schedule import Rules


@dataclass(frozen=True)
class Recipe:
    """Everything a training needs but the data. Steps are those of the optimiser."""

    follows: str
    """Source, and what it leaves open."""
    separator: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the separator."""
    starts_from: Literal["scratch", "weights"] = "scratch"
    """`weights`: it must be given the run it starts from."""

    fewest: int = 2
    """Sources in a mixture, and so on: see `Mixing`."""
    most: int = 2
    categories: Literal["different", "any", "same"] = "different"
    combine: Literal["mean", "sum"] = "mean"
    gain: tuple[float, ...] = (1.0, 1.0)
    peak: bool = False
    clip: Literal["none", "waveform", "magnitude"] = "none"

    augment: Mapping[str, Any] = field(default_factory=dict)
    """How clips are changed for training, not for validation: see `Augmentation`."""

    pictures: int = 1
    """Shown of every source, to separators that see; around the middle of the clip."""
    picture_seconds: float = 3.0
    """From one picture to the next."""

    loss: Loss = "bce"
    batch: int = 16
    """Mixtures a step, over all devices."""
    steps: int = 100_000
    optimiser: Literal["adam", "sgd"] = "adam"
    rate: float = 1e-3
    """Learning rate."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Part of the separator -> its own learning rate; 0 freezes it."""
    momentum: float = 0.9
    """Of sgd."""
    weight_decay: float = 0.0
    clip_gradient: float = 0.0
    """Largest norm of the gradient; 0: no bound."""

    curriculum: bool = False
    """Start with `fewest` sources in every mixture and add one whenever the validation loss has
    not improved for `curriculum_steps`, up to `most`."""
    curriculum_steps: int = 0
    drop_steps: int = 0
    drop_factor: float = 0.5
    milestones: tuple[int, ...] = ()
    milestone_factor: float = 0.1
    warmup_steps: int = 0
    """Steps in which the learning rate rises linearly."""
    anneal: bool = False
    """The learning rate falls as a half cosine to 0 at the last step."""
    average: float = 0.0
    """Share of the weights' moving average that a step keeps; the average is what is validated
    and used. 0: no average."""
    stop_steps: int = 0
    minimum_change: float = 0.0

    validate_steps: int = 500
    """Steps between validations."""
    validation_mixtures: int = 256
    """Fixed mixtures of held-out recordings."""
    example_steps: int = 5_000
    """Steps between example separations."""

    @property
    def rules(self) -> Rules:
        """For the schedule."""
        return Rules(
            first_sources=self.fewest if self.curriculum else self.most,
            last_sources=self.most,
            curriculum_steps=self.curriculum_steps,
            drop_steps=self.drop_steps,
            drop_factor=self.drop_factor,
            milestones=self.milestones,
            milestone_factor=self.milestone_factor,
            warmup_steps=self.warmup_steps,
            anneal_steps=self.steps if self.anneal else 0,
            stop_steps=self.stop_steps,
            minimum_change=self.minimum_change,
        )

    @property
    def augmentation(self) -> Augmentation | None:
        """Of the training clips; None: they stay as they are."""
        if not self.augment:
            return None
        how: Augmentation = configure(Augmentation, self.augment, "recipe augment")
        return how

    def mixing(self, sources: int) -> Mixing:
        """How mixtures are made while the schedule is at `sources`."""
        low, high = self.gain
        return Mixing(
            fewest=sources if self.curriculum else self.fewest,
            most=sources,
            categories=self.categories,
            combine=self.combine,
            gain=(low, high),
            peak=self.peak,
            clip=self.clip,
        )


SOP = Recipe(
    follows="Sound of Pixels, released training script: 100 epochs of 670 steps, which is its 100"
    " passes over 536 solo videos in batches of 80; rates fall tenfold after epochs 40 and 80",
    separator="sop",
    options={"sound": "unet7", "mask": "binary", "energy_weighted": True},
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
    steps=3_000,
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
    follows="Separating sounds from a single image, released code: 100 epochs of 4,000 steps, which"
    " is 100 passes over 400 videos in batches of 10; rates fall tenfold after epochs 40 and 80",
    separator="appearance",
    options={},
    pictures=1,
    batch=10,
    steps=400_000,
    milestones=(160_000, 320_000),
    validate_steps=4_000,
)


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
    "single-image": SINGLE_IMAGE,
    "solos-paper": SOLOS_PAPER,
    "released-code": RELEASED,
    **{f"thesis-exp-{number}": recipe for number, recipe in _THESIS_TABLE.items()},
}
"""Name -> recipe."""


def recipe(name: str) -> Recipe:
    """A recipe by name; an unknown one is an error that lists all."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]
