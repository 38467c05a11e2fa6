"""LLCP, "Looking to listen at the cocktail party", as the baseline of the Y-Net paper.

Dilated convolutions hear the complex spectrogram, others see the face's embeddings; a recurrent
network over both and three layers give the complex mask of every time step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avpipe.separation.separators._faces import FaceNetwork, FaceVectors
from avpipe.separation.separators._singing import ComplexMaskSeparator
from avpipe.separation.separators._visual import Pretrained

BINS = 256
WIDTH = 96
"""Channels of the audio convolutions but the last."""
KERNELS = ((1, 7), (7, 1), *((5, 5),) * 12, (1, 1))
DILATIONS = (
    *((1, 1), (1, 1)),
    *((d, 1) for d in (1, 2, 4, 8, 16, 32)),
    *((d, d) for d in (1, 2, 4, 8, 16, 32)),
    (1, 1),
)
"""(time, frequency) of the audio convolutions."""


@dataclass(frozen=True)
class Config:
    """Parameters of LLCP."""

    pretrained: Pretrained = "none"
    """Weights that the network of the face crops starts from."""


class AudioNetwork(nn.Module):
    """Spectrogram (B, 2, T, F) -> (B, 8, T, F), each >= 0."""

    def __init__(self) -> None:
        super().__init__()
        for i, (kernel, dilation) in enumerate(zip(KERNELS, DILATIONS, strict=True), 1):
            inputs = 2 if i == 1 else WIDTH
            outputs = 8 if i == len(KERNELS) else WIDTH
            padding = (dilation[0] * (kernel[0] // 2), dilation[1] * (kernel[1] // 2))
            self.add_module(f"conv{i}", nn.Conv2d(inputs, outputs, kernel, 1, padding, dilation))
            self.add_module(f"batch_norm{i}", nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for i in range(1, len(KERNELS) + 1):
            x = self.get_submodule(f"conv{i}")(x)
            x = self.get_submodule(f"batch_norm{i}")(x).relu()
        return x


class LLCP(nn.Module):
    """Spectrogram (B, 2, 256, 256), embeddings (B, 512, T') -> complex mask (B, 2, 256, 256).

    The batch norms after the dense layers are over time steps, so T is 256.
    """

    def __init__(self) -> None:
        super().__init__()
        self.audio_output = AudioNetwork()
        self.video_output = FaceNetwork()
        self.lstm = nn.LSTM(8 * BINS + 256, 400, batch_first=True, bidirectional=True)
        for i, inputs in enumerate((400, 600, 600), 1):
            self.add_module(f"fc{i}", nn.Linear(inputs, 600))
            self.add_module(f"batch_norm{i}", nn.BatchNorm1d(256))
        self.complex_mask_layer = nn.Linear(600, 2 * BINS)

    def forward(self, spectrogram: Tensor, embeddings: Tensor) -> Tensor:
        """See the class."""
        heard = self.audio_output(spectrogram.transpose(2, 3)).transpose(1, 2).flatten(2)
        seen = functional.interpolate(self.video_output(embeddings), size=heard.shape[1])
        both, _ = self.lstm(torch.cat([heard, seen.transpose(1, 2)], 2))
        forth, back = both.chunk(2, 2)
        x = forth + back
        for i in (1, 2, 3):
            x = self.get_submodule(f"batch_norm{i}")(self.get_submodule(f"fc{i}")(x).relu())
            x = functional.dropout(x, 0.2, self.training)
        mask: Tensor = self.complex_mask_layer(x)
        return mask.reshape(*mask.shape[:2], 2, BINS).permute(0, 2, 3, 1)


class LLCPSeparator(ComplexMaskSeparator):
    """LLCP with one face per stem; clips have `front_end.samples` samples."""

    def __init__(self, config: Config) -> None:
        super().__init__(LLCP(), "faces")
        self.config = config
        self.faces = FaceVectors(config.pretrained)

    def visual(self, shown: Tensor) -> Tensor:
        """See `ComplexMaskSeparator.visual`."""
        vectors: Tensor = self.faces(shown.flatten(0, 1))
        return vectors

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """`network` and `faces` (what makes numbers of the crops)."""
        return {
            "network": list(self.network.parameters()),
            "faces": list(self.faces.parameters()),
        }


def create(config: Config) -> LLCPSeparator:
    """A fresh separator."""
    return LLCPSeparator(config)


PUBLIC: dict[str, Callable[[], nn.Module]] = {"llcp": LLCP}
