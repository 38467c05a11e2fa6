"""DV3P: DeepLabV3+ on MobileNetV2 as a sound network (Zhu and Rahtu's single-image separation).

torchvision's MobileNetV2 and ASPP with what the published weights were trained with: one input
channel, an unpadded stem, output stride 16, and padding before each block's expansion.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

RATES = (6, 12, 18)
"""Dilations of the pyramid."""
LOW = 4
"""First layers of the backbone, at a quarter of the input's size and 24 channels."""
STRIDE_16 = 14
"""Layer that would halve to a 32nd: it keeps its size, and later ones are dilated by 2."""
WIDTH = 256
"""Channels of the pyramid and the decoders."""


class Block(nn.Module):
    """Inverted residual whose input is padded before the expansion, not before the depthwise.

    The borders that the depthwise convolution sees are what the expansion makes of zeros.
    """

    def __init__(self, block: nn.Module, dilation: int, strided: bool) -> None:
        super().__init__()
        self.conv: nn.Module = block.conv  # type: ignore[assignment]
        self.residual = bool(block.use_res_connect)
        self.padding = [dilation] * 4
        for layer in self.conv.modules():
            if isinstance(layer, nn.Conv2d) and layer.groups > 1:
                layer.padding = (0, 0)
                layer.dilation = (dilation, dilation)
                layer.stride = layer.stride if strided else (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, T) -> (B, C', F', T')."""
        y: Tensor = self.conv(functional.pad(x, self.padding))
        return x + y if self.residual else y


def _layers(inputs: int, outputs: int, kernel: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return conv, nn.BatchNorm2d(outputs), nn.ReLU()


class DV3P(nn.Module):
    """Spectrogram (B, 1, F, T) -> maps (B, K, F, T); no side shorter than 64."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        from torchvision.models import mobilenet_v2
        from torchvision.models.segmentation.deeplabv3 import ASPP

        layers = list(mobilenet_v2(weights=None).features)[:-1]
        layers[0][0] = nn.Conv2d(1, layers[0][0].out_channels, 3, 2, bias=False)
        for index in range(1, len(layers)):
            dilation = 2 if index > STRIDE_16 else 1
            layers[index] = Block(layers[index], dilation, strided=index < STRIDE_16)
        named = [(str(index), layer) for index, layer in enumerate(layers)]
        self.backbone = nn.ModuleDict(
            {
                "low_level_features": nn.Sequential(OrderedDict(named[:LOW])),
                "high_level_features": nn.Sequential(OrderedDict(named[LOW:])),
            }
        )
        self.classifier = nn.ModuleDict(
            {
                "project": nn.Sequential(*_layers(24, 48, 1)),
                "aspp": ASPP(320, list(RATES), WIDTH),
                "decoder1": nn.Sequential(*_layers(48 + WIDTH, WIDTH, 3)),
                "decoder2": nn.Sequential(*_layers(WIDTH, WIDTH, 3), nn.Conv2d(WIDTH, channels, 1)),
            }
        )

    def forward(self, spectrogram: Tensor) -> Tensor:
        """See the class."""
        low = self.backbone["low_level_features"](spectrogram)
        pyramid = self.classifier["aspp"](self.backbone["high_level_features"](low))
        detail = self.classifier["project"](low)
        joined = torch.cat([detail, _resized(pyramid, detail)], 1)
        coarse = self.classifier["decoder1"](joined)
        maps: Tensor = self.classifier["decoder2"](_resized(coarse, spectrogram))
        return maps


def _resized(maps: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(maps, like.shape[-2:], mode="bilinear", align_corners=False)
