"""Multi-head U-Net: one encoder and a decoder per instrument (Solos paper, thesis 5.3).

All decoders run in one grouped pass.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from avpipe.separation.separators._by_instrument import InstrumentSeparator, Options
from avpipe.separation.separators._conditioned import public


@dataclass(frozen=True)
class Config(Options):
    """Parameters of the multi-head U-Net: as many decoders as instruments."""


def create(config: Config) -> InstrumentSeparator:
    """A fresh separator."""
    return InstrumentSeparator(config, decoders=len(config.classes))


PUBLIC: dict[str, Callable[[], nn.Module]] = {
    "cun-mhunet-none": lambda: public(decoders=13),
    "cun-mhunet-bias": lambda: public(decoders=13, bias=True),
    "cun-mhunet-film-bn": lambda: public(decoders=13, conditioning="film-bottleneck"),
}
