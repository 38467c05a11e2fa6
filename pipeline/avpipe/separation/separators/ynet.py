"""Y-Net (Montesinos et al. 2021): a complex U-Net that sees a singer's mouth, face or landmarks.

Visual features of every time step modulate the deepest maps of the audio network. Without a
picture it is the paper's audio-only U-Net. `-r` of the papers is `mouths`, trained with a second
voice in half of the mixtures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from avpipe.errors import UsageError
from avpipe.separation.interface import Need
from avpipe.separation.separators._faces import FaceNetwork, FaceVectors
from avpipe.separation.separators._singing import ComplexMaskSeparator
from avpipe.separation.separators._stgcn import LAYOUTS, STGCN, WIDTHS, Mode
from avpipe.separation.separators._visual import normalised, torchvision_model

Visual = Literal["none", "mouths", "faces", "keypoints"]
Pretrained = Literal["none", "imagenet", "kinetics"]
STARTS: dict[str, str] = {"mouths": "kinetics", "faces": "imagenet"}
"""What is seen -> weights that its network can start from."""

BLOCKS: dict[int, tuple[tuple[int, ...], str]] = {
    4: ((32, 64, 128, 256), "ffff"),
    7: ((32, 64, 128, 256, 256, 256), "fffftt"),
}
"""Channels of the encoder, and which blocks halve both axes (f) or keep the time steps (t)."""

KINETICS_MEAN = (0.43216, 0.394666, 0.37645)
KINETICS_STD = (0.22803, 0.22145, 0.216989)


@dataclass(frozen=True)
class Config:
    """Parameters of Y-Net."""

    visual: Visual = "mouths"
    """What is seen of the singer: crops of the mouth (Y-Net-m), of the face (-e), 68 landmarks
    (-g), or nothing (U-Net)."""
    blocks: Literal[4, 7] = 4
    """4 as in the paper's first version, 7 as in the released weights."""
    pretrained: Pretrained = "none"
    """Weights that the network of the crops starts from: `kinetics` for mouths, `imagenet` for
    faces."""


class Layer(nn.Module):
    """A convolution and its batch norm, under the published names."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.layer = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, T) -> (B, C', F, T), not activated."""
        y: Tensor = self.layer(x)
        return y


class Fusion(nn.Module):
    """Scales and shifts the maps of every time step by the visual features of that step."""

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.scaling = nn.Linear(features, channels)
        self.bias = nn.Linear(features, channels)

    def forward(self, maps: Tensor, features: Tensor) -> Tensor:
        """(B, C, F, T) and (B, T, D) -> (B, C, F, T)."""
        scale = self.scaling(features).transpose(1, 2).unsqueeze(2)
        shift = self.bias(features).transpose(1, 2).unsqueeze(2)
        fused: Tensor = maps * scale + shift
        return fused


class YNet(nn.Module):
    """Spectrogram (B, 2, F, T), visual -> complex mask (B, 2, F, T), before any bound.

    F is a multiple of 16 (64 with 7 blocks), T of 16. The visual is (B, 3, T', 96, 96) normalised
    mouth crops, (B, 512, T') face embeddings or (B, 2, T', 68, 1) landmarks.

    Args:
        visual: what is seen.
        blocks: 4 or 7.
        pretrained: of the network of the mouth crops.
        whole: keep the last stage and classifier of that network, which nothing uses: the
            published files hold them.
    """

    def __init__(
        self,
        visual: Visual = "none",
        blocks: int = 4,
        pretrained: Pretrained = "none",
        whole: bool = False,
    ) -> None:
        super().__init__()
        channels, self.pools = BLOCKS[blocks]
        self.encoder = nn.ModuleList(Layer(i, o, 5) for i, o in pairwise((2, *channels)))
        self.decoder = nn.ModuleList(Layer(i, o, 3) for i, o in _decoder_sizes(channels))
        self.final_conv = nn.Conv2d(channels[0], 2, 1)
        if visual == "mouths":
            self.motion_net = _video_network(pretrained, whole)
        elif visual == "faces":
            self.motion_net = FaceNetwork()
        elif visual == "keypoints":
            self.graph_net = STGCN(LAYOUTS["acappella"], 2, WIDTHS["B"])
        if visual != "none":
            self.fusion_layer = Fusion(256, channels[-1])
        self.visual = visual

    def forward(self, spectrogram: Tensor, visual: Tensor | None = None) -> Tensor:
        """See the class."""
        x, skips = self.encode(spectrogram)
        if visual is not None:
            x = self.fusion_layer(x, self.features(visual, x.shape[-1]))
        for i, layer in enumerate(self.decoder):
            x = layer(x).relu()
            if skips:
                skip, pool = skips.pop(), self.pools[-1 - i]
                x = functional.interpolate(
                    x, scale_factor=_factor(pool), mode="bilinear", align_corners=True
                )
                x = torch.cat([x, skip], 1)
        mask: Tensor = self.final_conv(x)
        return mask

    def encode(self, spectrogram: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Deepest maps (B, 256, F', T') and the skips, from the outermost in."""
        x, skips = spectrogram, []
        for layer, pool in zip(self.encoder, self.pools, strict=True):
            skips.append(functional.leaky_relu(layer(x), 0.1))
            x = functional.max_pool2d(skips[-1], _factor(pool))
        return x, skips

    def features(self, visual: Tensor, steps: int) -> Tensor:
        """Visual features (B, steps, 256) in step with the deepest maps."""
        if self.visual == "keypoints":
            nodes = self.graph_net(visual).mean(3)
            return functional.interpolate(nodes, size=steps).transpose(1, 2)
        if self.visual == "faces":
            frames = self.motion_net(visual)
        else:
            net = self.motion_net
            maps = visual
            for stage in ("stem", "layer1", "layer2", "layer3"):
                maps = net.get_submodule(stage)(maps)
            frames = maps.mean((3, 4))
        return functional.adaptive_avg_pool1d(frames, steps).transpose(1, 2)


def _decoder_sizes(channels: Sequence[int]) -> list[tuple[int, int]]:
    """Inputs and outputs of the deepest layer, the ones with a skip, and the outermost."""
    inner = list(reversed(channels))
    outputs = [*inner[1:], channels[0]]
    return [(inner[0], inner[0]), *((2 * i, o) for i, o in zip(inner, outputs, strict=True))]


def _factor(pool: str) -> tuple[int, int]:
    return (2, 2) if pool == "f" else (2, 1)


def _video_network(pretrained: Pretrained, whole: bool) -> nn.Module:
    weights = "KINETICS400_V1" if pretrained == "kinetics" else None
    net: nn.Module = torchvision_model("mc3_18", weights)
    if not whole:
        del net.layer4, net.fc
    return net


class YNetSeparator(ComplexMaskSeparator):
    """Y-Net and its audio-only U-Net."""

    def __init__(self, config: Config) -> None:
        need: Need | None = None if config.visual == "none" else config.visual
        if config.pretrained not in ("none", STARTS.get(config.visual)):
            raise UsageError(
                f"pretrained = {config.pretrained!r} does not go with visual = {config.visual!r}"
            )
        super().__init__(YNet(config.visual, config.blocks, config.pretrained), need)
        self.config = config
        self.topology = "face68" if config.visual == "keypoints" else ""
        self.faces = (
            FaceVectors("none" if config.pretrained == "none" else "imagenet")
            if config.visual == "faces"
            else None
        )

    def visual(self, shown: Tensor) -> Tensor:
        """See `ComplexMaskSeparator.visual`; of keypoints the positions, without confidence."""
        like = next(self.parameters())
        each = shown.flatten(0, 1)
        if self.config.visual == "keypoints":
            return each[..., :2].to(like.dtype).permute(0, 3, 1, 2).unsqueeze(-1)
        if self.faces is not None:
            vectors: Tensor = self.faces(each)
            return vectors
        return normalised(each, like, KINETICS_MEAN, KINETICS_STD).transpose(1, 2)

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """`audio`, and what sees: `visual` (its network and the fusion) and, of faces, `faces`."""
        seeing = ("motion_net", "graph_net", "fusion_layer")
        named: dict[str, list[nn.Parameter]] = {"audio": []}
        for name, parameter in self.network.named_parameters():
            part = "visual" if name.startswith(seeing) else "audio"
            named.setdefault(part, []).append(parameter)
        if self.faces is not None:
            named["faces"] = list(self.faces.parameters())
        return named


def create(config: Config) -> YNetSeparator:
    """A fresh separator."""
    return YNetSeparator(config)


def _graph(name: str, channels: int, mode: Mode) -> Callable[[], nn.Module]:
    return lambda: STGCN(LAYOUTS[name], channels, WIDTHS[mode])


PUBLIC: dict[str, Callable[[], nn.Module]] = {
    "unet4": lambda: YNet("none", 4),
    "unet7": lambda: YNet("none", 7),
    "ynet-m4": lambda: YNet("mouths", 4, whole=True),
    "ynet-m7": lambda: YNet("mouths", 7, whole=True),
    "ynet-e4": lambda: YNet("faces", 4),
    "ynet-e7": lambda: YNet("faces", 7),
    "ynet-g4": lambda: YNet("keypoints", 4),
    "ynet-g7": lambda: YNet("keypoints", 7),
    "stgcn-acappella-A": _graph("acappella", 2, "A"),
    "stgcn-acappella-B": _graph("acappella", 2, "B"),
    "stgcn-upperbody-A": _graph("upperbody", 3, "A"),
    "stgcn-upperbody-B": _graph("upperbody", 3, "B"),
    "stgcn-upperbody-with-hands-A": _graph("upperbody-with-hands", 3, "A"),
    "stgcn-upperbody-with-hands-B": _graph("upperbody-with-hands", 3, "B"),
    "stgcn-openpose-with-hands-A": _graph("openpose-with-hands", 3, "A"),
    "stgcn-openpose-with-hands-B": _graph("openpose-with-hands", 3, "B"),
}
