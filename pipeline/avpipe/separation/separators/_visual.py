"""Image networks shared by the families: torchvision's ResNets, dilated or as feature vectors."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from avpipe.errors import ToolMissing

Pretrained = Literal["none", "imagenet"]

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
"""RGB statistics of ImageNet, which torchvision's weights expect to be taken out."""


def normalised(
    frames: Tensor,
    like: Tensor,
    mean: tuple[float, ...] = IMAGE_MEAN,
    std: tuple[float, ...] = IMAGE_STD,
) -> Tensor:
    """Frames (..., 3, H, W), uint8 or float in [0, 1], as networks read them, typed as `like`."""
    scaled = frames.to(like.dtype)
    if frames.dtype == torch.uint8:
        scaled = scaled / 255
    return (scaled - _by_channel(mean, scaled)) / _by_channel(std, scaled)


def _by_channel(values: tuple[float, ...], like: Tensor) -> Tensor:
    """(C, 1, 1) made on the device: a copy to CUDA would wait for what is at work there."""
    return torch.stack([like.new_full((1, 1), value) for value in values])


def torchvision_model(name: str, weights: str | None) -> Any:
    """torchvision's network `name` with its weights of that name, or untrained.

    Raises:
        ToolMissing: the weights cannot be downloaded.
    """
    from torchvision.models import get_model

    if weights is None:
        return get_model(name, weights=None)
    try:
        return get_model(name, weights=weights)
    except (OSError, RuntimeError) as error:  # no network, or a file of another checksum
        raise ToolMissing(
            f"weights {weights} of {name} cannot be downloaded ({error}): go online once,"
            " or start without them (--pretrained none)"
        ) from error


def resnet(name: str, pretrained: Pretrained) -> Any:
    """ResNet `name` (`resnet18`, `resnet50`) with the asked weights."""
    return torchvision_model(name, "IMAGENET1K_V1" if pretrained == "imagenet" else None)


class DilatedResNet(nn.Module):
    """Appearance network: a ResNet at a sixteenth of the frame's size and `channels` maps.

    The last stage keeps its resolution: its strides are 1 and its later 3 x 3 convolutions are
    dilated by 2 (Zhao et al. 2018).
    """

    def __init__(self, name: str, channels: int, pretrained: Pretrained = "none") -> None:
        super().__init__()
        trunk = resnet(name, pretrained)
        self.features = nn.Sequential(*list(trunk.children())[:-2])
        _dilate(self.features[-1])
        self.fc = nn.Conv2d(trunk.fc.in_features, channels, 3, padding=1)

    def forward(self, frames: Tensor, pool: bool = True) -> Tensor:
        """Embedding of the frames of one source.

        Args:
            frames: (B, 3, T, H, W) normalised, or (B, 3, H, W) for one frame.
            pool: take the maximum over T, H and W.

        Returns:
            (B, K), or (B, K, T, H/16, W/16) without pooling (no T if it was not given).
        """
        single = frames.ndim == 4
        clip = frames.unsqueeze(2) if single else frames
        batch, _, count = clip.shape[:3]
        maps: Tensor = self.fc(self.features(clip.transpose(1, 2).flatten(0, 1)))
        maps = maps.reshape(batch, count, *maps.shape[1:])
        if pool:
            return maps.amax((1, 3, 4))
        return maps.squeeze(1) if single else maps.transpose(1, 2)


def _dilate(stage: nn.Module) -> None:
    for conv in stage.modules():
        if not isinstance(conv, nn.Conv2d):
            continue
        dilation = 1 if conv.stride == (2, 2) else 2
        conv.stride = (1, 1)
        if conv.kernel_size == (3, 3):
            conv.dilation = conv.padding = (dilation, dilation)


class FrameVectors(nn.Module):
    """2048-d vectors of frames: ResNet-50 without its classifier, frozen unless fine-tuned."""

    SIZE = 2048
    AT_ONCE = 256
    """Frames."""

    def __init__(self, pretrained: Pretrained, fine_tune: bool) -> None:
        super().__init__()
        trunk = resnet("resnet50", pretrained)
        self.trunk = nn.Sequential(*list(trunk.children())[:-1])
        self.fine_tune = fine_tune
        self.trunk.requires_grad_(fine_tune)

    def train(self, mode: bool = True) -> "FrameVectors":
        """As usual, but a frozen trunk keeps its batch statistics."""
        super().train(mode)
        self.trunk.train(mode and self.fine_tune)
        return self

    def forward(self, frames: Tensor) -> Tensor:
        """Normalised frames (..., 3, H, W) as vectors (..., 2048), each >= 0."""
        each = frames.reshape(-1, *frames.shape[-3:])
        if self.fine_tune:
            vectors: Tensor = self.trunk(each)
        else:  # no gradient: many frames need not be in memory at once
            parts = range(0, len(each), self.AT_ONCE)
            vectors = torch.cat([self.trunk(each[i : i + self.AT_ONCE]) for i in parts])
        return vectors.reshape(*frames.shape[:-3], self.SIZE)
