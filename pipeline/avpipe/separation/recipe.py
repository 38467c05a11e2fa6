"""What a training needs but the data: separator, mixtures, optimiser and patience."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from avpipe.config import configure
from avpipe.separation.augment import Augmentation
from avpipe.separation.losses import Loss
from avpipe.separation.mixing import Mixing
from avpipe.separation.schedule import Rules

_LOWEST = {
    "batch": 1,
    "pictures": 1,
    "steps": 1,
    "validate_steps": 1,
    "validation_mixtures": 1,
    "example_steps": 1,
    "clip_gradient": 0,
    "curriculum_steps": 0,
    "drop_steps": 0,
    "minimum_change": 0,
    "stop_steps": 0,
    "warmup_steps": 0,
    "weight_decay": 0,
}
_ABOVE_ZERO = ("drop_factor", "milestone_factor", "picture_seconds", "rate")
_SHARES = ("average", "momentum")


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

    accompanied: bool = False
    """Every mixture has one source more, from a dataset of its own, that is only heard: it must be
    given that dataset."""

    pictures: int = 1
    """Shown of every source, to separators that look at pictures."""
    picture_seconds: float = 3.0
    """From one picture to the next."""
    pictures_from: Literal["middle", "start"] = "middle"
    """Around the middle of the clip, or the first one where it begins."""

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

    def __post_init__(self) -> None:
        for name, lowest in _LOWEST.items():
            if not getattr(self, name) >= lowest:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least {lowest}")
        for name in _ABOVE_ZERO:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)}: must be above 0")
        for name in _SHARES:
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be from 0 to below 1")
        for part, rate in self.rates.items():
            if not rate >= 0:
                raise ValueError(f"rates of {part} = {rate}: must be at least 0")
        if len(self.gain) != 2 or not 0 < self.gain[0] <= self.gain[1]:
            raise ValueError(f"gain = {list(self.gain)}: must be two factors above 0, in order")
        if self.curriculum and not self.curriculum_steps:
            raise ValueError("curriculum_steps = 0: a curriculum needs at least 1")

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

    @property
    def accompanying(self) -> Mixing:
        """How the sources that only accompany are drawn: from any of their categories alike."""
        low, high = self.gain
        return Mixing(fewest=1, most=1, categories="different", gain=(low, high))

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
