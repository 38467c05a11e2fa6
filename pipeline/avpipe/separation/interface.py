"""What every separator offers to training, evaluation and use.

A separator gives one stem per source it is shown (`output == "sources"`: frames, keypoints or a
category of each) or one per class it knows (`output == "classes"`: 13 instruments, labels at
most). The trainer's step is the same for all:

    example = net.example(mixture_BN, sources_BSN, context)
    logits = net(example.mixture, context)
    loss = (example.weight * elementwise(logits, example.target)).mean()

where `elementwise` is a cross-entropy on the logits, or a distance between `net.activate(logits)`
and the target. In examples and stems S is the number of sources shown, or of classes.
"""

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from avpipe.errors import UsageError
from avpipe.separation import masks, matrix_stft
from avpipe.separation.spectrogram import FrontEnd
from avpipe.separation.transfer import sent

Need = Literal["categories", "frames", "keypoints", "mouths", "faces", "references"]


class Context(NamedTuple):
    """What is known of the sources of a batch besides the sound; `needs` names fields of it."""

    categories: Tensor | None = None
    """(B, S) int64 class of every source, -1 for an empty place; labels are made from it."""
    frames: Tensor | None = None
    """(B, S, T, 3, H, W) RGB, uint8 or float in [0, 1], in time order; zeros for an empty place."""
    keypoints: Tensor | None = None
    """(B, S, T, K, 3) x and y in px, and confidence, of every frame of the clip in the
    separator's `topology`; zeros for an empty place."""
    mouths: Tensor | None = None
    """(B, S, T, 3, 96, 96) crops of every frame of the clip, as `frames`."""
    faces: Tensor | None = None
    """(B, S, T, 3, 160, 160) crops of every frame of the clip, as `frames`."""
    references: Tensor | None = None
    """(B, S, N) the true sources; only bounds read them."""

    def to(self, device: torch.device | str) -> "Context":
        """The same on `device`."""
        return Context(*(None if x is None else sent(x, device) for x in self))

    def merged(self, other: "Context") -> "Context":
        """This with what `other` knows."""
        return Context(*(a if b is None else b for a, b in zip(self, other, strict=True)))

    def part(self, some: slice) -> "Context":
        """Some of the mixtures."""
        return Context(*(None if x is None else x[some] for x in self))

    def get(self, need: Need) -> Tensor:
        """The field `need`; a missing one is a UsageError."""
        value: Tensor | None = getattr(self, need)
        if value is None:
            raise UsageError(f"this separator needs {need} of every source: the context has none")
        return value

    def labels(self, classes: int) -> Tensor:
        """(B, classes) float32: 1 for every class that is present, 0 for the others."""
        known = torch.arange(classes, device=self.get("categories").device)
        return (self.get("categories").unsqueeze(-1) == known).any(1).float()

    def present(self) -> Tensor:
        """(B, S) bool: which places hold a source; by the frames if there are no categories."""
        if self.categories is not None:
            return self.categories >= 0
        return self.get("frames").flatten(2).amax(-1) > 0


class Example(NamedTuple):
    """A mixture as the network reads it, and what it should answer."""

    mixture: Tensor
    """(B, F, T) magnitudes; complex for complex masks; (B, N) for waveform networks."""
    target: Tensor
    """What `activate(logits)` should be, in the logits' shape."""
    weight: Tensor
    """Of every element of the loss; broadcasts to the target."""


class Separator(nn.Module, ABC):
    """Anything that gives stems for a mixture."""

    front_end: FrontEnd
    """Holds the sample rate and the length of a training clip, `front_end.samples`. `separate`
    takes that length, and others if the network can halve their frames often enough."""
    output: Literal["sources", "classes"]
    classes: tuple[str, ...] = ()
    """Names of the classes in the order of the category indices; empty if it knows none."""
    needs: frozenset[Need] = frozenset()
    """Fields of the context it reads; `avpipe.separation.sight` says where they come from."""
    topology: str = ""
    """Layout of the keypoints it reads; empty if it reads none."""
    locates: bool = False
    """It knows where in its frames a source is: see `locations`."""

    @property
    def tells_players_apart(self) -> bool:
        """Whether two players of one instrument are two stems: what is seen of each tells which is
        which; a label does not."""
        return self.output == "sources" and bool(self.needs - {"categories"})

    @abstractmethod
    def separate(self, mixture_BN: Tensor, context: Context) -> Tensor:
        """Stems (B, S, N) of a mixture in [-1, 1], without gradient."""

    def locations(self, frames: Tensor) -> Tensor:
        """Where the sounding object is in the frames (B, S, T, 3, H, W) of every source.

        Returns:
            (B, S, H', W') in [0, 1], of the whole frame on a coarser grid.

        Raises:
            UsageError: the separator does not know.
        """
        raise UsageError("this separator does not know where its sources are")


class Trainable(Separator):
    """A separator with parameters."""

    auxiliary_loss: Tensor | None = None
    """Scalar to add to the loss of the step, set by `forward`; None: nothing to add."""

    @abstractmethod
    def example(self, mixture_BN: Tensor, sources_BSN: Tensor, context: Context) -> Example:
        """Input and target of a batch; the sources add up to the mixture (before any clipping)."""

    @abstractmethod
    def forward(self, mixture: Tensor, context: Context) -> Tensor:
        """Logits for `Example.mixture`."""

    @abstractmethod
    def activate(self, logits: Tensor) -> Tensor:
        """Logits as masks or waveforms."""

    @abstractmethod
    def parts(self) -> dict[str, list[nn.Parameter]]:
        """Every parameter under exactly one name: the papers give a learning rate per part."""


class MaskSeparator(Trainable):
    """A separator that multiplies the mixture's spectrogram by a mask per stem."""

    mask: masks.Mask = "binary"
    threshold: float = 0.5
    """From which value on a bin belongs to the stem; ratio masks have none."""
    energy_weighted: bool = False
    """Louder bins weigh more in the loss (Zhao et al. 2018)."""
    energy_law: masks.EnergyLaw = "log"
    """How much more."""
    positive_weight: float = 1.0
    """Of bins that belong to the stem, in the loss (thesis Eq. 5.1)."""
    mixtures_are_sums: bool = False
    """Training mixtures are exactly the sum of their sources, never clipped: so are their
    spectra, and a Fourier transform is saved."""

    def example(self, mixture_BN: Tensor, sources_BSN: Tensor, context: Context) -> Example:
        """See `Trainable.example`; the target is the ideal mask on the network's scale."""
        categories_BS = None
        if self.output == "classes":
            sources_BSN, categories_BS = merge_equal(sources_BSN, context.get("categories"))
        # Spectrograms only of what sounds: most of many classes are absent.
        mixture, sources = self._magnitudes(mixture_BN, sources_BSN)
        target = masks.ideal(self.mask, sources, mixture)
        if categories_BS is not None:
            target = at_classes(target, categories_BS, len(self.classes))
        weight = torch.ones_like(mixture).unsqueeze(1)
        if self.energy_weighted:
            weight = masks.energy_weight(mixture, self.energy_law).unsqueeze(1)
        if self.positive_weight != 1.0:
            weight = weight * (1 + (self.positive_weight - 1) * target)
        return Example(mixture, target, weight)

    def _magnitudes(self, mixture_BN: Tensor, sources_BSN: Tensor) -> tuple[Tensor, Tensor]:
        """Of the mixtures (B, F, T) and of their sources (B, S, F, T)."""
        if sources_BSN.device.type == "cpu" and matrix_stft.suits(self.front_end):
            own = None if self.mixtures_are_sums else mixture_BN
            return matrix_stft.magnitudes(self.front_end, sources_BSN, own)
        spectra = self.front_end.stft(sources_BSN)
        whole = _summed(spectra) if self.mixtures_are_sums else self.front_end.stft(mixture_BN)
        return self.front_end.magnitude(whole), self.front_end.magnitude(spectra)

    def activate(self, logits: Tensor) -> Tensor:
        """Logits as masks in [0, 1]."""
        return torch.sigmoid(logits)

    @torch.no_grad()
    def separate(self, mixture_BN: Tensor, context: Context) -> Tensor:
        """Stems (B, S, N): the mixture's spectrogram, masked, with the mixture's phase."""
        spectrum = self.front_end.stft(mixture_BN)
        logits = self(self.front_end.magnitude(spectrum), context)
        mask = self.front_end.from_scale(self.activate(logits))
        mask = masks.decide(mask, self.mask, self.threshold)
        return self.front_end.istft(mask * spectrum.unsqueeze(1), mixture_BN.shape[-1])


def _summed(spectra: Tensor) -> Tensor:
    """(..., F, T): sources' spectra (..., S, F, T) added up, in the layout of `FrontEnd.stft`."""
    return spectra.transpose(-2, -1).sum(-3).transpose(-2, -1)


def sum_by_class(sources_BSN: Tensor, categories_BS: Tensor, classes: int) -> Tensor:
    """Sources summed into their classes (B, classes, N); category -1 is dropped."""
    known = torch.arange(classes, device=categories_BS.device)
    member = (known[:, None] == categories_BS[:, None, :]).to(sources_BSN.dtype)
    return member @ sources_BSN


def merge_equal(sources_BSN: Tensor, categories_BS: Tensor) -> tuple[Tensor, Tensor]:
    """Sources of one class summed in the place of the first of them; the others' places, and
    places of category -1, become silent and of category -1."""
    same_BSS = categories_BS.unsqueeze(2) == categories_BS.unsqueeze(1)
    places = torch.arange(categories_BS.shape[1], device=categories_BS.device)
    leads_BS = (same_BSS.int().argmax(2) == places) & (categories_BS >= 0)
    merged = (same_BSS & leads_BS.unsqueeze(2)).to(sources_BSN.dtype) @ sources_BSN
    return merged, categories_BS.masked_fill(~leads_BS, -1)


def at_classes(values_BSFT: Tensor, categories_BS: Tensor, classes: int) -> Tensor:
    """Values of places (B, S, F, T) at their classes (B, classes, F, T), 0 at absent ones;
    category -1 is dropped."""
    batch, _, *shape = values_BSFT.shape
    spread = values_BSFT.new_zeros(batch, classes + 1, *shape)
    rows = torch.arange(batch, device=values_BSFT.device).unsqueeze(1)
    spread[rows, categories_BS.masked_fill(categories_BS < 0, classes)] = values_BSFT
    return spread[:, :classes]
