"""Separating sounds from a single image (Zhu and Rahtu 2020).

An appearance network turns a player's frame into one weight per category, a sound network the
mixture into one map per category; the weighted sum of the maps is the mask's logits. An attention
module teaches the appearance network to tell its categories apart, and shows where in the frame
they are; a classifier or the true category can take its place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from avpipe.errors import UsageError
from avpipe.separation.interface import Context, MaskSeparator
from avpipe.separation.masks import Mask
from avpipe.separation.separators._deeplab import DV3P
from avpipe.separation.separators._visual import DilatedResNet, Pretrained, normalised
from avpipe.separation.spectrogram import FrontEnd, scale_values

MUSIC = (
    "accordion",
    "acoustic_guitar",
    "cello",
    "clarinet",
    "erhu",
    "flute",
    "saxophone",
    "trumpet",
    "tuba",
    "violin",
    "xylophone",
)
"""Categories of MUSIC, in the order of the published embeddings."""


@dataclass(frozen=True)
class Config:
    """Parameters of single-image separation: A(frame, ...) + S(sound)."""

    classes: tuple[str, ...] = MUSIC
    """Categories; K, maps and weights."""
    frame: Literal["resnet18", "resnet50"] = "resnet50"
    """Appearance network, dilated."""
    sound: Literal["unet", "dv3p"] = "dv3p"
    embedding: Literal["appearance", "classifier", "category"] = "appearance"
    """Where the weights come from: learnt from the mask's loss; a classifier of the frame (the
    sound network learns with the true category beside it); or the true category."""
    attention: bool = False
    """Add the attention module and its contrastive loss (only with `appearance`)."""
    attention_weight: float = 1.0
    """Of the contrastive loss; 1 in the paper's Eq. 3."""
    mask: Mask = "binary"
    threshold: float = 0.5
    energy_weighted: bool = True
    """Louder bins weigh more in the loss."""
    frequency: Literal["log", "linear"] = "log"
    pretrained: Pretrained = "none"
    """Weights that the appearance network starts from."""


class UNet(nn.Module):
    """Seven halvings with 3 x 3 kernels: (B, 1, F, T) -> (B, K, F, T); multiples of 128."""

    CHANNELS = (1, 64, 128, 256, 512, 512, 512, 512)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(1)
        sizes, depth = self.CHANNELS, len(self.CHANNELS) - 1
        for i in range(1, depth + 1):
            layers: list[nn.Module] = [] if i == 1 else [nn.LeakyReLU(0.2)]
            layers.append(nn.Conv2d(sizes[i - 1], sizes[i], 3, 2, 1, bias=False))
            if 1 < i < depth:
                layers.append(nn.BatchNorm2d(sizes[i]))
            self.add_module(f"audionet_convlayer{i}", nn.Sequential(*layers))
        for i in range(1, depth + 1):
            inputs = sizes[depth] if i == 1 else 2 * sizes[depth - i + 1]
            outputs = channels if i == depth else sizes[depth - i]
            layers = [
                nn.ReLU(),
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=i == depth),
            ]
            if i < depth:
                layers.append(nn.BatchNorm2d(outputs))
            self.add_module(f"audionet_upconvlayer{i}", nn.Sequential(*layers))

    def forward(self, spectrogram: Tensor) -> Tensor:
        """See the class."""
        depth = len(self.CHANNELS) - 1
        skips = [self.bn0(spectrogram)]
        for i in range(1, depth + 1):
            skips.append(self.get_submodule(f"audionet_convlayer{i}")(skips[-1]))
        x: Tensor = skips.pop()
        for i in range(1, depth + 1):
            x = self.get_submodule(f"audionet_upconvlayer{i}")(x)
            if i < depth:
                x = torch.cat([x, skips.pop()], 1)
        return x


class Attention(nn.Module):
    """Where in a frame an embedding is: scalar product with its maps, scaled, in (0, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)

    def forward(self, embeddings: Tensor, maps: Tensor) -> Tensor:
        """Every embedding on every frame: (B, S, K) and (B, S', K, H, W) -> logits of Eq. 2.

        Returns:
            (B, S, S', H, W).
        """
        product = torch.einsum("bnk,bmkhw->bnmhw", embeddings, maps)
        logits: Tensor = self.conv(product.flatten(0, 2).unsqueeze(1))
        return logits.reshape(product.shape)


class Appearance(MaskSeparator):
    """The separator: one stem per frame, or per category if these are given."""

    output = "sources"

    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.attention and config.embedding != "appearance":
            raise UsageError(f"attention trains embedding appearance, not {config.embedding}")
        self.config = config
        self.classes = config.classes
        self.front_end = FrontEnd(frequency=config.frequency)
        self.mask, self.threshold = config.mask, config.threshold
        self.energy_weighted = config.energy_weighted
        kinds = len(config.classes)
        self.sound = UNet(kinds) if config.sound == "unet" else DV3P(kinds)
        self.frame = (
            None
            if config.embedding == "category"
            else DilatedResNet(config.frame, kinds, config.pretrained)
        )
        self.attention = Attention() if config.attention else None
        self.locates = config.attention
        self.needs = frozenset({"categories" if self.frame is None else "frames"})

    def forward(self, mixture: Tensor, context: Context) -> Tensor:
        """Magnitudes (B, F, T) and the context -> logits (B, S, F, T)."""
        maps = self.sound(scale_values(mixture, "log").unsqueeze(1))
        return torch.einsum("bsk,bkft->bsft", self._weights(context, mixture), maps)

    def _weights(self, context: Context, like: Tensor) -> Tensor:
        """(B, S, K) in [0, 1]; sets the auxiliary loss where there is one to learn from."""
        self.auxiliary_loss = None
        if self.frame is None:
            return self._one_hot(context).to(like.dtype)
        maps = self._frame_maps(context.get("frames"), like)
        logits = maps.amax((3, 4))
        if self.config.embedding == "classifier":
            if not self.training:
                return logits.softmax(2)
            truth = self._one_hot(context).to(like.dtype)
            self.auxiliary_loss = functional.cross_entropy(
                logits.flatten(0, 1), truth.flatten(0, 1)
            )
            return truth
        weights = torch.sigmoid(logits)
        if self.attention is not None and self.training:
            loss = _contrast(self.attention(weights, maps), context.categories)
            self.auxiliary_loss = self.config.attention_weight * loss
        return weights

    def _frame_maps(self, frames: Tensor, like: Tensor) -> Tensor:
        """(B, S, K, H/16, W/16), the maximum over the frames of a source."""
        clips = normalised(frames, like).flatten(0, 1).transpose(1, 2)
        assert self.frame is not None
        maps: Tensor = self.frame(clips, pool=False).amax(2)
        return maps.reshape(*frames.shape[:2], *maps.shape[1:])

    def _one_hot(self, context: Context) -> Tensor:
        categories = context.get("categories")
        known = torch.arange(len(self.classes), device=categories.device)
        return categories.unsqueeze(-1) == known

    @torch.no_grad()
    def locations(self, frames: Tensor) -> Tensor:
        """See `Separator.locations`; (B, S, H/16, W/16), of a separator with attention."""
        if self.attention is None:
            raise UsageError("only a separator with attention=True knows locations")
        like = next(self.parameters())
        maps = self._frame_maps(frames, like)
        everywhere = torch.sigmoid(self.attention(torch.sigmoid(maps.amax((3, 4))), maps))
        return everywhere.diagonal(dim1=1, dim2=2).movedim(-1, 1)

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """`sound`; with frames `frame_head` and `frame_trunk`; `attention` if there is one."""
        named = {"sound": list(self.sound.parameters())}
        if self.frame is not None:
            named["frame_head"] = list(self.frame.fc.parameters())
            named["frame_trunk"] = list(self.frame.features.parameters())
        if self.attention is not None:
            named["attention"] = list(self.attention.parameters())
        return named


def _contrast(logits: Tensor, categories: Tensor | None) -> Tensor:
    """Second term of Eq. 3 on the maximum of every map (B, S, S', H, W).

    An embedding is to be found in its own frame and not in one of another category; pairs of two
    sources of one category teach nothing and are left out.
    """
    highest = logits.amax((3, 4))
    own = torch.eye(highest.shape[1], dtype=torch.bool, device=highest.device).expand_as(highest)
    counted = torch.ones_like(own)
    if categories is not None:
        empty = categories < 0
        alike = categories.unsqueeze(2) == categories.unsqueeze(1)
        counted = (own | ~alike) & ~(empty.unsqueeze(2) | empty.unsqueeze(1))
    loss = functional.binary_cross_entropy_with_logits(
        highest, own.to(highest.dtype), reduction="none"
    )
    return (loss * counted).sum() / counted.sum().clamp_min(1)


def create(config: Config) -> Appearance:
    """A fresh separator."""
    return Appearance(config)


PUBLIC: dict[str, Callable[[], nn.Module]] = {
    "lz-unet7": lambda: UNet(len(MUSIC)),
    "lz-dv3p": lambda: DV3P(len(MUSIC)),
    "lz-res50": lambda: DilatedResNet("resnet50", len(MUSIC)),
}
