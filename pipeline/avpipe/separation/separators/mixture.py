"""The mixture itself as every stem: what any separator must beat."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from avpipe.separation.interface import Context, Separator
from avpipe.separation.spectrogram import FrontEnd


@dataclass(frozen=True)
class Config:
    """The mixture has no parameters."""


class Mixture(Separator):
    """One stem per place in the context's categories, all equal to the mixture."""

    output = "sources"
    needs = frozenset({"categories"})
    tells_players_apart = True

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.front_end = FrontEnd()

    def separate(self, mixture_BN: Tensor, context: Context) -> Tensor:
        """Stems (B, S, N)."""
        sources = context.get("categories").shape[1]
        return mixture_BN.unsqueeze(1).expand(-1, sources, -1).clone()


def create(config: Config) -> Mixture:
    """The separator."""
    return Mixture(config)


PUBLIC: dict[str, Callable[[], nn.Module]] = {}
