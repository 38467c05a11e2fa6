"""Sound of Pixels (Zhao et al. 2018): U-Net, dilated ResNet-18 and a linear synthesizer.

The U-Net splits the mixture's log-magnitude spectrogram into K maps, the ResNet turns the frames
of a player into K weights in [0, 1], the synthesizer adds the weighted maps up to the mask's
logits: one stem per player shown. The papers' SoP, SoP-Solos and SoP-ft are this network with
other training data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from avpipe.separation.interface import Context, MaskSeparator
from avpipe.separation.masks import Mask
from avpipe.separation.separators._visual import DilatedResNet, Pretrained, normalised
from avpipe.separation.spectrogram import FrontEnd, scale_values


@dataclass(frozen=True)
class Config:
    """Parameters of Sound of Pixels."""

    sound: Literal["unet5", "unet6", "unet7"] = "unet7"
    """U-Net with 5, 6 or 7 halvings."""
    frame: Literal["resnet18", "resnet50"] = "resnet18"
    """Appearance network, dilated."""
    channels: int = 32
    """K, maps and weights."""
    mask: Mask = "binary"
    threshold: float = 0.5
    """Of binary masks."""
    energy_weighted: bool = True
    """Louder bins weigh more in the loss."""
    frequency: Literal["log", "linear"] = "log"
    pretrained: Pretrained = "none"
    """Weights that the appearance network starts from."""


class Block(nn.Module):
    """One level of the U-Net around the next: down, inside, up, beside what came in.

    The positions in `model` are the names in the public checkpoints.
    """

    def __init__(
        self, outer: int, inner: int, inside: nn.Module | None, outputs: int | None = None
    ) -> None:
        super().__init__()
        self.outermost = outputs is not None
        down = nn.Conv2d(1 if self.outermost else outer, inner, 4, 2, 1, bias=False)
        before: list[nn.Module] = [down] if self.outermost else [nn.LeakyReLU(0.2), down]
        middle: list[nn.Module] = [] if inside is None else [inside]
        if middle and not self.outermost:
            before.append(nn.BatchNorm2d(inner))
        width = inner if inside is None else 2 * inner
        up = nn.Conv2d(width, outputs or outer, 3, padding=1, bias=self.outermost)
        after = [nn.ReLU(), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), up]
        if not self.outermost:
            after.append(nn.BatchNorm2d(outer))
        self.model = nn.Sequential(*before, *middle, *after)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, T) -> itself and what the inner levels make of it, (B, 2C, F, T)."""
        y: Tensor = self.model(x)
        return y if self.outermost else torch.cat([x, y], 1)


class UNet(nn.Module):
    """Spectrogram (B, 1, F, T) -> maps (B, K, F, T); F and T are multiples of 2 ** downs."""

    def __init__(self, channels: int = 32, downs: int = 7, width: int = 64) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(1)
        block = Block(8 * width, 8 * width, None)
        for _ in range(downs - 5):
            block = Block(8 * width, 8 * width, block)
        for scale in (4, 2, 1):
            block = Block(scale * width, 2 * scale * width, block)
        self.unet_block = Block(width, width, block, channels)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """See the class."""
        maps: Tensor = self.unet_block(self.bn0(spectrogram))
        return maps


class Synthesizer(nn.Module):
    """Weighted sum of the maps: K scales and a bias."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, weights: Tensor, maps: Tensor) -> Tensor:
        """One source: weights (B, K) and maps (B, K, F, T) -> logits (B, 1, F, T)."""
        return self.forward_sources(weights.unsqueeze(1), maps)

    def forward_sources(self, weights: Tensor, maps: Tensor) -> Tensor:
        """S sources: weights (B, S, K) and maps (B, K, F, T) -> logits (B, S, F, T)."""
        return torch.einsum("bsk,bkft->bsft", weights * self.scale, maps) + self.bias

    def forward_pixelwise(self, weights: Tensor, maps: Tensor) -> Tensor:
        """Every pixel a source: weights (B, K, H, W) -> logits (B, H, W, F, T)."""
        pixels = weights.flatten(2).transpose(1, 2)
        logits = self.forward_sources(pixels, maps)
        return logits.reshape(len(logits), *weights.shape[-2:], *maps.shape[-2:])


class SoundOfPixels(MaskSeparator):
    """The separator; `needs` one or more 224 x 224 frames of every source."""

    output = "sources"
    needs = frozenset({"frames"})

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.front_end = FrontEnd(frequency=config.frequency)
        self.mask, self.threshold = config.mask, config.threshold
        self.energy_weighted = config.energy_weighted
        self.sound = UNet(config.channels, int(config.sound[-1]))
        self.frame = DilatedResNet(config.frame, config.channels, config.pretrained)
        self.synthesizer = Synthesizer(config.channels)
        self.sound.apply(_initialise)

    def forward(self, mixture: Tensor, context: Context) -> Tensor:
        """Magnitudes (B, F, T) and frames (B, S, T, 3, H, W) -> logits (B, S, F, T)."""
        frames = normalised(context.get("frames"), mixture)
        embedding = self.frame(frames.flatten(0, 1).transpose(1, 2))
        weights = torch.sigmoid(embedding).reshape(*frames.shape[:2], -1)
        return self.synthesizer.forward_sources(weights, self._maps(mixture))

    @torch.no_grad()
    def pixel_masks(self, mixture: Tensor, frames: Tensor) -> Tensor:
        """Mask of every pixel of one scene, on the network's frequency scale.

        Args:
            mixture: (B, F, T) magnitudes.
            frames: (B, T, 3, H, W), uint8 or float in [0, 1].

        Returns:
            (B, H/16, W/16, F, T) in [0, 1].
        """
        clip = normalised(frames, mixture).transpose(1, 2)
        weights = torch.sigmoid(self.frame(clip, pool=False).amax(2))
        return self.activate(self.synthesizer.forward_pixelwise(weights, self._maps(mixture)))

    def _maps(self, mixture: Tensor) -> Tensor:
        maps: Tensor = self.sound(scale_values(mixture, "log").unsqueeze(1))
        return maps

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """`sound`, `synthesizer`, `frame_head` (the last convolution) and `frame_trunk`."""
        return {
            "sound": list(self.sound.parameters()),
            "synthesizer": list(self.synthesizer.parameters()),
            "frame_head": list(self.frame.fc.parameters()),
            "frame_trunk": list(self.frame.features.parameters()),
        }


def _initialise(layer: nn.Module) -> None:
    """The paper's code starts its own layers so: N(0, 0.001), and N(1, 0.02) for scales."""
    if isinstance(layer, nn.Conv2d):
        nn.init.normal_(layer.weight, 0.0, 0.001)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)


def create(config: Config) -> SoundOfPixels:
    """A fresh separator."""
    return SoundOfPixels(config)


PUBLIC: dict[str, Callable[[], nn.Module]] = {
    "sop-unet5": lambda: UNet(32, 5),
    "sop-unet6": lambda: UNet(32, 6),
    "sop-unet7": lambda: UNet(32, 7),
    "sop-resnet18dilated": lambda: DilatedResNet("resnet18", 32),
    "sop-innerprod": lambda: Synthesizer(32),
}
