"""Music Gesture (Gan et al. 2020): body and finger movements pick a player's sound.

A graph network follows the keypoints, a ResNet-50 knows the first frame, and at every time step
the sound's frequencies attend to the keypoints (Eq. 2, 3). No code was published: the number of
graph layers, kernels, strides, losses and rates are the paper's; what it leaves open (channels,
temporal kernels, the width of the fusion) is chosen here and said where it stands.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from avpipe.keypoints import topology
from avpipe.separation.interface import Context, MaskSeparator
from avpipe.separation.masks import Mask
from avpipe.separation.separators._stgcn import STGCN, Layout
from avpipe.separation.separators._visual import FrameVectors, Pretrained, normalised
from avpipe.separation.spectrogram import FrontEnd, scale_values

SOUND_WIDTHS = (64, 128, 256, 512)
"""Of the four convolutions; the paper names none."""
GRAPH_WIDTHS = (64, 64, 64, 128, 128, 128, 256, 256, 256, 256, 256)
"""Of the paper's eleven graph layers; it names no width."""


@dataclass(frozen=True)
class Config:
    """Parameters of Music Gesture."""

    topology: str = "openpose67"
    """Of the keypoints; the paper has 18 of the body and 21 a hand."""
    mask: Mask = "dominant"
    """The paper's Eq. 4 as its text explains it: where the source is the loudest."""
    threshold: float = 0.7
    """Of binary masks."""
    shift: float = 0.0
    """Standard deviation, in px, of the random offset of every skeleton while training."""
    energy_weighted: bool = False
    """Louder bins weigh more in the loss."""
    pretrained: Pretrained = "none"
    """Weights that the ResNet-50 starts from."""
    fine_tune: bool = True
    """Train the ResNet-50 too, as the paper does; otherwise it is frozen."""


class Encoder(nn.Module):
    """Spectrogram (B, 1, F, T) -> maps of every level, the deepest (B, 512, F/16, T/16) last."""

    def __init__(self) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(1)
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(i, o, 3, 2, 1, bias=False), nn.BatchNorm2d(o), nn.LeakyReLU(0.2)
            )
            for i, o in pairwise((1, *SOUND_WIDTHS))
        )

    def forward(self, spectrogram: Tensor) -> list[Tensor]:
        """See the class."""
        maps = [self.bn0(spectrogram)]
        for level in self.levels:
            maps.append(level(maps[-1]))
        return maps[1:]


class Decoder(nn.Module):
    """Fused deepest maps and the skips -> logits (B, 1, F, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        inputs = SOUND_WIDTHS[-1]
        for outputs in reversed(SOUND_WIDTHS[:-1]):
            up = nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1, bias=False)
            self.levels.append(nn.Sequential(up, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)))
            inputs = 2 * outputs
        self.levels.append(nn.ConvTranspose2d(inputs, 1, 3, 2, 1, output_padding=1))

    def forward(self, fused: Tensor, skips: list[Tensor]) -> Tensor:
        """See the class; skips from the outermost in, without the deepest."""
        x = self.levels[0](fused)
        for level, skip in zip(self.levels[1:], reversed(skips), strict=True):
            x = level(torch.cat([x, skip], 1))
        logits: Tensor = x
        return logits


class Fusion(nn.Module):
    """Eq. 2 and 3: each frequency takes from the keypoints what is like it, then an MLP."""

    def __init__(self, visual: int, sound: int) -> None:
        super().__init__()
        self.project = nn.Linear(visual, sound)
        self.mlp = nn.Sequential(nn.Linear(sound, sound), nn.ReLU(), nn.Linear(sound, sound))

    def forward(self, sound: Tensor, visual: Tensor) -> Tensor:
        """(B, D, F, T) and (B, D', T, K) -> (B, D, F, T)."""
        heard = sound.permute(0, 3, 2, 1)
        seen = self.project(visual.permute(0, 2, 3, 1))
        attention = (heard @ seen.transpose(2, 3)).softmax(-1)
        mixed = attention @ seen + heard
        fused: Tensor = self.mlp(mixed) + mixed
        return fused.permute(0, 3, 2, 1)


class MusicGesture(MaskSeparator):
    """The separator: one stem per player, by keypoints of the clip and its first frame."""

    output = "sources"
    needs = frozenset({"keypoints", "frames"})

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.front_end = FrontEnd()
        self.mask, self.threshold = config.mask, config.threshold
        self.energy_weighted = config.energy_weighted
        self.topology = config.topology
        joints = topology(config.topology)
        layout = Layout(len(joints), joints.bones, joints.order[0])
        self.encoder, self.decoder = Encoder(), Decoder()
        self.graph = STGCN(layout, 3, GRAPH_WIDTHS)
        self.appearance = FrameVectors(config.pretrained, config.fine_tune)
        self.fusion = Fusion(GRAPH_WIDTHS[-1] + FrameVectors.SIZE, SOUND_WIDTHS[-1])

    def forward(self, mixture: Tensor, context: Context) -> Tensor:
        """Magnitudes (B, F, T) and the context -> logits (B, S, F, T)."""
        maps = self.encoder(scale_values(mixture, "log").unsqueeze(1))
        keypoints = context.get("keypoints").to(mixture.dtype)
        sources = keypoints.shape[1]
        each = [m.repeat_interleave(sources, 0) for m in maps]
        visual = self._visual(keypoints, context.get("frames"), maps[-1].shape[-1])
        logits: Tensor = self.decoder(self.fusion(each[-1], visual), each[:-1])
        return logits.reshape(-1, sources, *mixture.shape[-2:])

    def _visual(self, keypoints: Tensor, frames: Tensor, steps: int) -> Tensor:
        """(B * S, D', steps, K): every node's movement beside the picture of its player."""
        if self.training and self.config.shift:
            offset = torch.randn_like(keypoints[:, :, :1, :1, :2]) * self.config.shift
            keypoints = keypoints + functional.pad(offset, (0, 1))
        moves = self.graph(keypoints.flatten(0, 1).permute(0, 3, 1, 2).unsqueeze(-1))
        moves = functional.adaptive_avg_pool2d(moves, (steps, moves.shape[-1]))
        picture = self.appearance(normalised(frames[:, :, 0], keypoints)).flatten(0, 1)
        return torch.cat([moves, picture[..., None, None].expand(-1, -1, *moves.shape[2:])], 1)

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """`sound`, `fusion`, `graph` and `appearance` (frozen or not)."""
        return {
            "sound": [*self.encoder.parameters(), *self.decoder.parameters()],
            "fusion": list(self.fusion.parameters()),
            "graph": list(self.graph.parameters()),
            "appearance": list(self.appearance.parameters()),
        }


def create(config: Config) -> MusicGesture:
    """A fresh separator."""
    return MusicGesture(config)


PUBLIC: dict[str, Callable[[], nn.Module]] = {}
