"""U-Net with one mask per instrument, conditioned on labels, pictures or motion (thesis 5.3)."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from avpipe.separation.separators._by_instrument import InstrumentSeparator, Options
from avpipe.separation.separators._conditioned import public


@dataclass(frozen=True)
class Config(Options):
    """Parameters of the U-Net: one decoder, whose last level has one channel per instrument."""


def create(config: Config) -> InstrumentSeparator:
    """A fresh separator."""
    return InstrumentSeparator(config, decoders=1)


PUBLIC: dict[str, Callable[[], nn.Module]] = {
    "cun-unet-none": lambda: public(),
    "cun-unet-none-bias": lambda: public(bias=True),
    "cun-unet-film-bn": lambda: public(conditioning="film-bottleneck"),
    "cun-unet-film-encoder": lambda: public(conditioning="film-encoder"),
    "cun-unet-film-final": lambda: public(conditioning="film-final"),
    "cun-unet-mult-final": lambda: public(conditioning="label-multiply"),
    "cun-unet-film-bn-v1024": lambda: public(conditioning="film-bottleneck", context=1024),
    "cun-unet-film-encoder-v1024": lambda: public(conditioning="film-encoder", context=1024),
    "cun-unet-film-final-v1024": lambda: public(conditioning="film-final", context=1024),
}
