"""Systems that an evaluation compares: trained separators, and the bounds that need no training.

A `System` is a function of pieces, so that all are run and scored alike.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avpipe.errors import UsageError
from avpipe.separation.testsets import Piece
from avpipe.types import Float32

if TYPE_CHECKING:
    from avpipe.separation.interface import Separator
    from avpipe.separation.look import Look

BOUNDS = ("oracle", "mixture")
"""Systems that need no training."""
FILTERED = " + Wiener"
"""Added to the name of a system whose stems go through a Wiener filter."""

System = Callable[[Piece], Mapping[str, Float32]]
"""Estimates of every instrument in the piece, and of others that the system has outputs for."""


def load_system(system: str | Path, device: str) -> "tuple[Separator, Look]":
    """A separator, and what it is shown."""
    from avpipe import separation
    from avpipe.separation import runs
    from avpipe.separation.look import Look

    if str(system) in BOUNDS:
        return separation.create(str(system)).to(device), Look(frozenset())
    separator, facts = runs.load(Path(system))
    if not separator.classes:
        separator.classes = facts.classes
    return separator.to(device), facts.look(separator)


def as_system(
    separator: "Separator", look: "Look", spelled: Mapping[str, str], device: str
) -> System:
    """A separator as a function of pieces.

    Args:
        separator: in eval mode, on the device.
        look: what it is shown.
        spelled: plain name of an instrument -> how the estimates' names spell it.
        device: for torch.
    """
    import torch

    from avpipe.separation.data import plain
    from avpipe.separation.interface import Context
    from avpipe.separation.stems import completed
    from avpipe.separation.windows import separate_long

    known = {plain(name): i for i, name in enumerate(separator.classes)}
    by_name = separator.output == "classes" or (known and "categories" in separator.needs)

    def run(piece: Piece) -> Mapping[str, Float32]:
        instruments = [piece.instrument(name) for name in piece.sources]
        unknown = [name for name in instruments if by_name and plain(name) not in known]
        if unknown:
            raise UsageError(
                f"{piece.name}: {', '.join(unknown)} was not in the training, which knows"
                f" {', '.join(separator.classes)}"
            )
        indices = [known.get(plain(name), i) for i, name in enumerate(instruments)]
        references = np.stack(list(piece.sources.values()))[None]
        context = Context(
            categories=torch.tensor([indices]), references=torch.from_numpy(references)
        )
        see = partial(piece.scene.context, look) if piece.scene and look.needs else None
        signal = torch.from_numpy(piece.mixture).to(device)
        stems = separate_long(separator, signal, context.to(device), see)
        if separator.output == "sources":
            names = dict(enumerate(piece.sources))
            stems = completed(stems, signal, list(piece.sources))
        else:
            names = {i: spelled[plain(name)] for i, name in enumerate(separator.classes)}
            names |= dict(zip(indices, piece.sources, strict=True))
        return dict(zip(names.values(), stems.cpu().numpy(), strict=True))

    return run


def filtered(run: System, separator: "Separator") -> System:
    """The system with a Wiener filter over the instruments that play."""
    import torch

    from avpipe.separation.wiener import wiener

    def both(piece: Piece) -> Mapping[str, Float32]:
        found = dict(run(piece))
        stems = torch.from_numpy(np.stack([found[name] for name in piece.sources]))
        shared = wiener(separator.front_end, torch.from_numpy(piece.mixture), stems)
        return found | dict(zip(piece.sources, shared.numpy(), strict=True))

    return both
