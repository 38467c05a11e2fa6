"""The conditioned U-Net with one decoder or one per class (thesis 5.3, Solos paper).

Six strided convolutions, six upsampling levels with skips; the last skip is the input itself.
All decoders run in one pass: each level holds their kernels as one tensor, the skip that they
share is convolved once for all, and what is their own in groups. State dicts have the original
project's names, one decoder after the other.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from avpipe.errors import UsageError

Conditioning = Literal["none", "film-bottleneck", "film-encoder", "film-final", "label-multiply"]

CHANNELS = (16, 32, 64, 128, 256, 512)
"""Of the encoder, from the outermost in, in the released code."""
ABSENT_LOGIT = -1e4
"""Added where label-multiply says that a class is absent: the sigmoid is exactly 0 in any
precision."""
FILM_START = 0.1
"""Initial bias of the FiLM layer, for scale and shift."""


class FiLM(nn.Module):
    """(1 + gamma) x + beta, one gamma and beta per channel, linear in the context (thesis 5.5)."""

    def __init__(self, context: int, channels: int) -> None:
        super().__init__()
        linear = nn.Linear(context, 2 * channels)
        nn.init.xavier_uniform_(linear.weight)
        nn.init.constant_(linear.bias, FILM_START)
        self.fc = nn.ModuleDict({"linear": linear})

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, C, F, T) and (B, D) -> (B, C, F, T)."""
        gamma, beta = self.fc["linear"](context)[..., None, None].chunk(2, 1)
        modulated: Tensor = (1 + gamma) * x + beta
        return modulated


class EncoderBlock(nn.Module):
    """Convolution that halves F and T, batch norm, FiLM if asked, LeakyReLU."""

    def __init__(self, inputs: int, outputs: int, bias: bool, context: int | None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=bias)
        self.bn = nn.BatchNorm2d(outputs)
        self.conditioning = None if context is None else FiLM(context, outputs)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """(B, C, F, T) -> (B, C', F/2, T/2)."""
        x = self.bn(self.conv(x))
        if self.conditioning is not None:
            x = self.conditioning(x, context)
        return functional.leaky_relu(x, 0.2)


class DecoderLevel(nn.Module):
    """One level of all decoders: convolution on [skip; own], batch norm.

    `conv.weight` is (D * outputs, skip + own, 3, 3), decoder by decoder.
    """

    def __init__(self, decoders: int, skip: int, own: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.decoders, self.skip = decoders, skip
        self.conv = nn.Conv2d(skip + own, decoders * outputs, 3, padding=1, bias=bias)
        self.bn = nn.BatchNorm2d(decoders * outputs)
        self.register_state_dict_post_hook(_one_by_one)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_as_one)  # type: ignore[no-untyped-call]

    def forward(self, skip: Tensor, own: Tensor) -> Tensor:
        """Skip (B, C, F, T) and own (B, C', F, T), shared, or (B, D * C', F, T), one each."""
        kernel, bias = self.conv.weight, self.conv.bias
        if own.shape[1] == kernel.shape[1] - self.skip:
            together = torch.cat([skip, own], 1)
            maps = functional.conv2d(together, kernel, bias, padding=1)
        else:
            shared = functional.conv2d(skip, kernel[:, : self.skip], bias, padding=1)
            each = kernel[:, self.skip :]
            maps = shared + functional.conv2d(own, each, padding=1, groups=self.decoders)
        normalised: Tensor = self.bn(maps)
        return normalised


def _names(level: DecoderLevel) -> dict[str, str]:
    """Name in the level -> name in one decoder of the original project."""
    own = {**dict(level.named_parameters()), **dict(level.named_buffers())}
    return {k: k.replace("conv.", "0.").replace("bn.", "1.") for k in own}


def _one_by_one(module: nn.Module, state: dict[str, Any], prefix: str, _: object) -> None:
    """Splits the level's tensors into `<decoder>.0.weight`, ..."""
    assert isinstance(module, DecoderLevel)
    named = {public: state.pop(prefix + own) for own, public in _names(module).items()}
    for decoder in range(module.decoders):
        for public, tensor in named.items():
            part = tensor.chunk(module.decoders)[decoder] if tensor.ndim else tensor
            state[f"{prefix}{decoder}.{public}"] = part


def _as_one(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Joins what `_one_by_one` splits; leaves incomplete sets to torch's own check."""
    assert isinstance(module, DecoderLevel)
    for own, public in _names(module).items():
        keys = [f"{prefix}{decoder}.{public}" for decoder in range(module.decoders)]
        if all(key in state for key in keys):
            parts = [state.pop(key) for key in keys]
            state[prefix + own] = torch.cat(parts) if parts[0].ndim else parts[0]


class ConditionedUNet(nn.Module):
    """Spectrogram (B, 1, F, T) -> logits (B, classes, F, T); F and T are multiples of 64.

    Args:
        classes: number of masks.
        decoders: 1, with all masks as its last channels, or as many as classes (MHU-Net).
        channels: of the encoder.
        bias: of the convolutions.
        conditioning: where the context acts.
        context: D, its size.
        dropout: probability, in the decoders.
        legacy: as released: the last level has ReLU and dropout too, so that no logit is negative
            and a multiplied one says 0.5, and layers that nothing uses are there to be loaded.
    """

    def __init__(
        self,
        classes: int = 13,
        decoders: int = 1,
        channels: Sequence[int] = CHANNELS,
        bias: bool = False,
        conditioning: Conditioning = "none",
        context: int = 13,
        dropout: float = 0.2,
        legacy: bool = False,
    ) -> None:
        super().__init__()
        if decoders not in (1, classes):
            raise UsageError(f"decoders = {decoders}: must be 1 or the number of classes {classes}")
        self.conditioning, self.dropout, self.legacy = conditioning, dropout, legacy
        in_encoder = context if conditioning == "film-encoder" else None
        sizes = (1, *channels)
        self.encoder = nn.ModuleList(
            [EncoderBlock(i, o, bias, in_encoder) for i, o in pairwise(sizes[:-1])]
        )
        self.encoder.append(nn.Conv2d(sizes[-2], sizes[-1], 4, 2, 1, bias=bias))
        if conditioning == "film-bottleneck":
            self.film = FiLM(context, channels[-1])
        elif conditioning == "film-final":
            self.film = FiLM(context, classes)
        self.decoder = nn.ModuleList()
        for level in range(len(channels), 0, -1):
            outputs = sizes[level - 1] if level > 1 else classes // decoders
            own = sizes[level]
            self.decoder.append(DecoderLevel(decoders, sizes[level - 1], own, outputs, bias))
        if legacy:
            self.output = nn.ModuleList(nn.Conv2d(1, 1, 1, bias=bias) for _ in range(decoders))
            self.classifier = nn.Sequential(
                nn.Linear(2048, 512), nn.ReLU(), nn.Dropout(), nn.Linear(512, classes)
            )

    def forward(self, spectrogram: Tensor, context: Tensor | None = None) -> Tensor:
        """See the class; `context` is (B, D); for label-multiply (B, classes), 0/1 labels or how
        likely each class is there."""
        if context is None and self.conditioning != "none":
            raise UsageError(f"conditioning {self.conditioning} needs a context")
        skips = [spectrogram]
        for block in self.encoder[:-1]:
            skips.append(block(skips[-1], context))
        x = self.encoder[-1](skips[-1])
        if self.conditioning == "film-bottleneck":
            x = self.film(x, context)
        for level, skip in zip(self.decoder, reversed(skips), strict=True):
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = level(skip, x)
            if self.legacy or level is not self.decoder[-1]:
                x = functional.dropout(functional.relu(x), self.dropout, self.training)
        return self._finish(x, context)

    def _finish(self, logits: Tensor, context: Tensor | None) -> Tensor:
        if self.conditioning == "film-final":
            conditioned: Tensor = self.film(logits, context)
            return conditioned
        if self.conditioning != "label-multiply" or context is None:
            return logits
        there = context[..., None, None]
        if self.legacy:
            return logits * there
        return logits + there.log().clamp_min(ABSENT_LOGIT)


def public(**options: Any) -> ConditionedUNet:
    """The network as released."""
    return ConditionedUNet(legacy=True, **options)
