"""Exp- and CExp-Wave-U-Net (thesis 5.2): one waveform per instrument, told by labels or not.

Twelve levels of convolutions on the waveform itself. With `context` no sample is made up at the
borders: 147 443 samples of the mixture give the central 16 389 of every stem.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from avpipe.errors import UsageError
from avpipe.separation.interface import Context, Example, Trainable, sum_by_class
from avpipe.separation.separators._by_instrument import INSTRUMENTS
from avpipe.separation.spectrogram import FrontEnd

Conditioning = Literal["none", "scale", "outer"]

LEVELS = 12
STEP = 24
"""Channels that every level adds."""
DOWN, UP = 15, 5
"""Samples of the kernels."""
CLIP = 16384
"""Samples that a training clip must at least give."""


@dataclass(frozen=True)
class Config:
    """Parameters of the Wave-U-Net; the defaults are the thesis' CExp-Wave-U-Net."""

    classes: tuple[str, ...] = INSTRUMENTS
    conditioning: Conditioning = "outer"
    """Of the bottleneck: every channel times every label (CExp), scaled by a linear function of
    the labels, or not at all (Exp)."""
    context: bool = True
    """Convolve without padding, so that a stem is shorter than its mixture while training."""
    difference: bool = False
    """The last stem is what the others leave of the mixture."""
    legacy: bool = False
    """As the PyTorch port was released: batch norm, means of two samples, and one output for all
    instruments. Only to run its weights; `outer` and `difference` are not in it."""


class Level(nn.Module):
    """Convolution, batch norm in the port, LeakyReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, padded: bool, port: bool) -> None:
        super().__init__()
        self.conv = nn.Sequential(*_layers(inputs, outputs, kernel, padded, port))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, N) -> (B, C', N), shorter by the kernel if not padded."""
        y: Tensor = self.conv(x)
        return y


def _layers(
    inputs: int, outputs: int, kernel: int, padded: bool, port: bool
) -> Sequence[nn.Module]:
    conv = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2 if padded else 0)
    if port:
        return conv, nn.BatchNorm1d(outputs), nn.LeakyReLU(0.01)
    return conv, nn.LeakyReLU(0.2)


class WaveUNet(nn.Module):
    """Mixture (B, 1, N) and labels (B, classes) -> stems (B, classes, 1, N') in (-1, 1).

    See `Config` for the arguments; `port` is `legacy` there. `sizes` gives the N that are taken.
    """

    def __init__(
        self,
        classes: int = 13,
        conditioning: Conditioning = "none",
        context: bool = True,
        difference: bool = False,
        port: bool = False,
    ) -> None:
        super().__init__()
        if port and (conditioning == "outer" or difference):
            raise UsageError("legacy has no outer conditioning and no difference output")
        self.conditioning, self.context = conditioning, context
        self.difference, self.port, self.classes = difference, port, classes
        widths = [1, *(STEP * level for level in range(1, LEVELS + 2))]
        deepest = widths[-1]
        self.encoder = nn.ModuleList(
            Level(i, o, DOWN, not context, port) for i, o in pairwise(widths[:-1])
        )
        self.bottleneck = nn.Sequential(*_layers(widths[-2], deepest, DOWN, not context, port))
        if conditioning == "scale":
            self.scale_conditioning = nn.Linear(classes, deepest)
        below = deepest * classes if conditioning == "outer" else deepest
        self.decoder = nn.ModuleList()
        for width in reversed(widths[1:-1]):
            self.decoder.append(Level(below + width, width, UP, not context, port))
            below = width
        outputs = 1 if port else classes - difference
        self.output = nn.ModuleList([nn.Conv1d(below + 1, outputs, 1)])

    def forward(self, mixture: Tensor, labels: Tensor | None = None) -> Tensor:
        """See the class."""
        skips, x = [mixture], mixture
        for level in self.encoder:
            skips.append(level(x))
            x = self._halved(skips[-1])
        x = self._conditioned(self.bottleneck(x), labels)
        for level in self.decoder:
            x = self._doubled(x)
            x = level(torch.cat([centre(skips.pop(), x.shape[-1]), x], 1))
        heard = centre(mixture, x.shape[-1])
        stems = torch.tanh(self.output[0](torch.cat([heard, x], 1)))
        if self.port:
            stems = stems.expand(-1, self.classes, -1)
        elif self.difference:
            stems = torch.cat([stems, heard - stems.sum(1, keepdim=True)], 1)
        return stems.unsqueeze(2)

    def _halved(self, x: Tensor) -> Tensor:
        if self.port:
            return functional.interpolate(x, scale_factor=0.5, mode="linear", align_corners=False)
        return x[..., ::2]

    def _doubled(self, x: Tensor) -> Tensor:
        if self.context and not self.port:  # between the samples, not beyond them
            size = 2 * x.shape[-1] - 1
            return functional.interpolate(x, size=size, mode="linear", align_corners=True)
        return functional.interpolate(x, scale_factor=2, mode="linear", align_corners=False)

    def _conditioned(self, x: Tensor, labels: Tensor | None) -> Tensor:
        if self.conditioning == "none":
            return x
        if labels is None:
            raise UsageError(f"conditioning {self.conditioning} needs labels")
        if self.conditioning == "scale":
            scaled: Tensor = x * self.scale_conditioning(labels).unsqueeze(2)
            return scaled
        return (x.unsqueeze(2) * labels[:, None, :, None]).flatten(1, 2)

    def sizes(self) -> Iterator[tuple[int, int]]:
        """The N that the network takes, from the smallest up, each with its N'."""
        if not self.context:
            yield from ((whole, whole) for whole in count(2**LEVELS, 2**LEVELS))
        between = 0 if self.port else 1
        for deepest in count(1):
            taken, given = deepest + DOWN - 1, deepest
            for _ in range(LEVELS):
                taken = 2 * taken - between + DOWN - 1
                given = 2 * given - between - (UP - 1)
            if given > 0:
                yield taken, given

    def size_for(self, samples: int) -> tuple[int, int]:
        """The smallest N whose N' is at least `samples`, and that N'."""
        return next(size for size in self.sizes() if size[1] >= samples)


def centre(x: Tensor, samples: int) -> Tensor:
    """The central `samples` of (..., N)."""
    start = (x.shape[-1] - samples) // 2
    return x[..., start : start + samples]


class WaveUNetSeparator(Trainable):
    """The separator, at 22 050 Hz; one stem per instrument."""

    output = "classes"

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.classes = config.classes
        kinds = len(config.classes)
        self.network = WaveUNet(
            kinds, config.conditioning, config.context, config.difference, config.legacy
        )
        self.front_end = FrontEnd(sample_rate=22050, samples=self.network.size_for(CLIP)[0])
        self.needs = frozenset() if config.conditioning == "none" else frozenset({"categories"})

    def example(self, mixture_BN: Tensor, sources_BSN: Tensor, context: Context) -> Example:
        """The target is the part of every instrument's waveform that the network gives."""
        samples = mixture_BN.shape[-1]
        taken, given = next(size for size in self.network.sizes() if size[0] >= samples)
        if taken != samples:
            raise UsageError(
                f"clips of {samples} samples do not fit wave-unet: take {self.front_end.samples}"
            )
        every = sum_by_class(sources_BSN, context.get("categories"), len(self.classes))
        return Example(mixture_BN, centre(every, given), mixture_BN.new_ones(()))

    def forward(self, mixture: Tensor, context: Context) -> Tensor:
        """Waveform (B, N) -> waveforms (B, classes, N')."""
        labels = None
        if self.needs:
            labels = context.labels(len(self.classes)).to(mixture.dtype)
        stems: Tensor = self.network(mixture.unsqueeze(1), labels)
        return stems.squeeze(2)

    def activate(self, logits: Tensor) -> Tensor:
        """Waveforms already."""
        return logits

    @torch.no_grad()
    def separate(self, mixture_BN: Tensor, context: Context) -> Tensor:
        """See `Separator.separate`; any N, with silence around it."""
        samples = mixture_BN.shape[-1]
        taken, given = self.network.size_for(samples)
        before = (taken - given) // 2
        padded = functional.pad(mixture_BN, (before, taken - samples - before))
        stems: Tensor = self(padded, context)
        return stems[..., :samples]

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """All in one: `network`."""
        return {"network": list(self.parameters())}


def create(config: Config) -> WaveUNetSeparator:
    """A fresh separator."""
    return WaveUNetSeparator(config)


PUBLIC: dict[str, Callable[[], nn.Module]] = {
    "vimsst-same": lambda: WaveUNet(context=False, port=True),
    "vimsst-ctx": lambda: WaveUNet(port=True),
    "vimsst-ctx-multi": lambda: WaveUNet(conditioning="scale", port=True),
}
