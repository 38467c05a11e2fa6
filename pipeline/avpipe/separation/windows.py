"""Signals of any length through a separator that takes windows of one length.

Windows overlap by half and fade into each other linearly, so that no seam is heard and a separator
that returns its input gives the signal back.
"""

from collections.abc import Callable, Iterator
from math import ceil

import torch
from torch import Tensor

from avpipe.separation.interface import Context, Separator, Trainable

AT_ONCE = 8
"""Windows in one batch."""


See = Callable[[float, float], Context]
"""(start, length) of a window in seconds -> what is seen then (B = 1)."""


@torch.no_grad()
def separate_long(
    separator: Separator,
    mixture_N: Tensor,
    context: Context,
    see: See | None = None,
    grid: float = 1.0,
) -> Tensor:
    """Stems (S, N) of one mixture. Bounds, which have no network, take it as a whole.

    Args:
        separator: in eval mode, on the mixture's device.
        mixture_N: any length; a shorter one than the separator's window is padded with silence.
        context: of this one mixture (B = 1), all along.
        see: what else is known of each window.
        grid: samples; windows begin at the samples nearest to multiples of it.
    """
    if not isinstance(separator, Trainable):
        return separator.separate(mixture_N.unsqueeze(0), context)[0]
    samples, window = mixture_N.shape[-1], separator.front_end.samples
    rate = separator.front_end.sample_rate
    starts = window_starts(samples, window, grid)
    padded = torch.nn.functional.pad(mixture_N, (0, starts[-1] + window - samples))
    fade = fade_weights(window, padded)
    total: Tensor | None = None
    weight = torch.zeros_like(padded)
    for chunk in _chunks(starts):
        batch = torch.stack([padded[s : s + window] for s in chunk])
        known = _repeated(context, len(chunk))
        if see is not None:
            seen = _together([see(start / rate, window / rate) for start in chunk])
            known = known.merged(seen.to(batch.device))
        stems = separator.separate(batch, known)
        if total is None:
            total = padded.new_zeros(stems.shape[1], padded.shape[-1])
        for start, stem in zip(chunk, stems, strict=True):
            total[:, start : start + window] += stem * fade
            weight[start : start + window] += fade
    assert total is not None
    return (total / weight)[:, :samples]


def window_starts(samples: int, window: int, grid: float = 1.0) -> list[int]:
    """First samples of windows that cover `samples`, overlapping by half; the last ends with it,
    or as soon after it as the grid allows."""
    last = ceil(max(0, samples - window) / grid)
    hop = max(1, int(window / 2 / grid))
    return [round(number * grid) for number in (*range(0, last, hop), last)]


def fade_weights(window: int, like: Tensor) -> Tensor:
    """(window,) triangle, above 0 everywhere."""
    rising = torch.arange(1, window + 1, dtype=like.dtype, device=like.device)
    return torch.minimum(rising, rising.flip(0))


def _chunks(starts: list[int]) -> Iterator[list[int]]:
    for i in range(0, len(starts), AT_ONCE):
        yield starts[i : i + AT_ONCE]


def _together(contexts: list[Context]) -> Context:
    """Contexts of B = 1 as one."""
    fields = zip(*contexts, strict=True)
    return Context(*(None if some[0] is None else torch.cat(some) for some in fields))


def _repeated(context: Context, count: int) -> Context:
    return Context(*(None if x is None else x.expand(count, *x.shape[1:]) for x in context))
