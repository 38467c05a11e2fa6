"""The separator around a conditioned U-Net: one stem per instrument, told by label or picture.

Everything that the thesis' Table A.1 varies is a field of `Options`: frequency and value scale,
noise, mask, positive-class weight and conditioning.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from avpipe.separation import masks
from avpipe.separation.interface import Context, MaskSeparator, Need
from avpipe.separation.masks import Mask
from avpipe.separation.separators._conditioned import CHANNELS, ConditionedUNet, Conditioning
from avpipe.separation.separators._visual import FrameVectors, Pretrained, normalised
from avpipe.separation.spectrogram import FrontEnd, Values, scale_values

INSTRUMENTS = (
    "Bassoon",
    "Cello",
    "Clarinet",
    "DoubleBass",
    "Flute",
    "Horn",
    "Oboe",
    "Saxophone",
    "Trombone",
    "Trumpet",
    "Tuba",
    "Viola",
    "Violin",
)
"""Of Solos, in the order of the published masks."""

VISUAL_SIZE = 1024
"""Of the visual and the motion context."""


@dataclass(frozen=True)
class Options:
    """Parameters of a U-Net that separates by instrument."""

    classes: tuple[str, ...] = INSTRUMENTS
    """Instruments, in the order of the masks."""
    channels: tuple[int, ...] = CHANNELS
    """Of the encoder; the Solos paper's text says 32, 64, 128, 256, 512, 512."""
    bias: bool = False
    """Of the convolutions."""
    dropout: float = 0.2
    """Probability, in the decoders."""
    conditioning: Conditioning = "none"
    """Where the context acts: FiLM at the bottleneck, in every encoder block or on the masks, or
    masks multiplied by the labels, so that an absent instrument's stem is silence; pictures give
    every instrument a share of 1 instead of a label."""
    context: Literal["labels", "visual", "motion"] = "labels"
    """What is known: the instruments present; a ResNet-50 vector of the frames of every source;
    or the last state of an LSTM over the vectors of N frames."""
    pretrained: Pretrained = "none"
    """Weights that the ResNet-50 starts from."""
    fine_tune: bool = False
    """Train the ResNet-50 too."""
    frequency: Literal["log", "linear"] = "linear"
    """256 log-spaced or all 512 linear bins."""
    values: Values = "db"
    """Magnitudes in dB stretched to [-1, 1], or their logarithm."""
    activation: Literal["sigmoid", "softmax"] = "sigmoid"
    """Of the masks: each by itself, or as shares of every bin that add up to 1 over the classes,
    with label-multiply over those present."""
    mask: Mask = "binary"
    threshold: float = 0.5
    """Of binary masks."""
    noise: float = 0.0
    """Standard deviation of the normal noise on the network's input while training."""
    positive_weight: float = 1.0
    """Of bins that belong to the stem, in the loss."""
    energy_weighted: bool = False
    """Louder bins weigh more in the loss."""
    energy_law: masks.EnergyLaw = "log"
    """How much more."""
    frames: int = 256
    """Length of a clip, a multiple of 64."""
    legacy: bool = False
    """Everything as released: logits that cannot be negative, and label vectors of ones when
    separating. Only to run the published weights."""


class SourceVectors(nn.Module):
    """Frames of all sources as one context vector (B, 1024): the maximum over the sources.

    Still: each frame's 2048 features are taken in pairs, the larger stays, and so does the
    largest of a source's frames. Motion: the last state of an LSTM over the frames.
    """

    def __init__(self, motion: bool, pretrained: Pretrained, fine_tune: bool) -> None:
        super().__init__()
        self.frames = FrameVectors(pretrained, fine_tune)
        self.lstm = nn.LSTM(FrameVectors.SIZE, VISUAL_SIZE, batch_first=True) if motion else None

    def forward(self, frames: Tensor, present: Tensor) -> Tensor:
        """Normalised frames (B, S, T, 3, H, W) and their (B, S) presence -> (B, 1024)."""
        vectors = self.frames(frames)
        if self.lstm is None:
            source = vectors.reshape(*vectors.shape[:-1], VISUAL_SIZE, -1).amax((2, 4))
        else:
            _, (state, _) = self.lstm(vectors.flatten(0, 1))
            source = state[-1].reshape(*frames.shape[:2], -1)
        # -1 is below ReLU features, and the bound of an LSTM's state.
        return torch.where(present.unsqueeze(-1), source, -1.0).amax(1)


class InstrumentSeparator(MaskSeparator):
    """One mask per instrument from a U-Net with one or with as many decoders."""

    output = "classes"

    def __init__(self, options: Options, decoders: int) -> None:
        super().__init__()
        self.config = options
        self.classes = options.classes
        self.front_end = FrontEnd(samples=options.frames * 256 - 1, frequency=options.frequency)
        self.mask, self.threshold = options.mask, options.threshold
        self.energy_weighted = options.energy_weighted
        self.energy_law = options.energy_law
        self.positive_weight = options.positive_weight
        pictures = options.conditioning != "none" and options.context != "labels"
        self.needs = _needs(options.conditioning, pictures)
        self.visual = (
            SourceVectors(options.context == "motion", options.pretrained, options.fine_tune)
            if pictures
            else None
        )
        recognised = pictures and options.conditioning == "label-multiply"
        self.recognise = (
            nn.Sequential(nn.Linear(VISUAL_SIZE, len(options.classes)), nn.Softmax(1))
            if recognised
            else None
        )
        self.unet = ConditionedUNet(
            len(options.classes),
            decoders,
            options.channels,
            options.bias,
            options.conditioning,
            VISUAL_SIZE if pictures and not recognised else len(options.classes),
            options.dropout,
            options.legacy,
        )

    def forward(self, mixture: Tensor, context: Context) -> Tensor:
        """Magnitudes (B, F, T) -> logits (B, classes, F, T)."""
        x = scale_values(mixture, self.config.values).unsqueeze(1)
        if self.training and self.config.noise:
            x = x + self.config.noise * torch.randn_like(x)
        logits: Tensor = self.unet(x, self._vector(context, x))
        return logits

    def _vector(self, context: Context, like: Tensor) -> Tensor | None:
        if self.config.conditioning == "none":
            return None
        if self.visual is None:
            return context.labels(len(self.classes)).to(like.dtype)
        frames = normalised(context.get("frames"), like)
        vector: Tensor = self.visual(frames, context.present())
        return vector if self.recognise is None else self.recognise(vector)

    def activate(self, logits: Tensor) -> Tensor:
        """Logits as masks in [0, 1]."""
        if self.config.activation == "softmax":
            return torch.softmax(logits, 1)
        return super().activate(logits)

    def separate(self, mixture_BN: Tensor, context: Context) -> Tensor:
        """See `Separator.separate`; the order of the stems is that of `classes`."""
        if self.config.legacy:
            every = torch.arange(len(self.classes), device=mixture_BN.device)
            context = context._replace(categories=every.expand(len(mixture_BN), -1))
        return super().separate(mixture_BN, context)

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """`unet`, with what recognises instruments for it; with pictures also `visual_trunk`
        (frozen or not) and, of motion, `lstm`."""
        named = {"unet": list(self.unet.parameters())}
        if self.recognise is not None:
            named["unet"] += self.recognise.parameters()
        if self.visual is not None:
            named["visual_trunk"] = list(self.visual.frames.parameters())
            if self.visual.lstm is not None:
                named["lstm"] = list(self.visual.lstm.parameters())
        return named


def _needs(conditioning: Conditioning, pictures: bool) -> frozenset[Need]:
    if conditioning == "none":
        return frozenset()
    return frozenset({"frames"}) if pictures else frozenset({"categories"})
