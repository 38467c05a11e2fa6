"""What training minimises: a distance between a network's answer and the ideal mask.

`bce` is a cross-entropy on the logits of every stem by itself, `cross-entropy` one over the stems
that share a bin (masks by softmax, ratio targets), the others are distances between
`activate(logits)` and the target. Every element has the weight that the separator's `Example` gives
it (energy, positive class); places without a source count nothing, while classes that are absent
do: their mask is 0.
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor
from torch.nn import functional

from avpipe.separation.interface import Context, Example, Trainable

Loss = Literal["bce", "cross-entropy", "smooth-l1", "l1", "mse"]

_DISTANCES: dict[str, Callable[..., Tensor]] = {
    "smooth-l1": functional.smooth_l1_loss,
    "l1": functional.l1_loss,
    "mse": functional.mse_loss,
}


def loss(
    separator: Trainable, logits: Tensor, example: Example, context: Context, kind: Loss
) -> Tensor:
    """The scalar loss of a batch: the weighted mean over all elements that count, plus what the
    separator adds itself (`auxiliary_loss`)."""
    if kind == "bce":
        each = functional.binary_cross_entropy_with_logits(logits, example.target, reduction="none")
    elif kind == "cross-entropy":
        each = -example.target * functional.log_softmax(logits, 1)
    else:
        each = _DISTANCES[kind](separator.activate(logits), example.target, reduction="none")
    each = example.weight * each
    if separator.output == "sources" and context.categories is not None:
        shown = context.categories[:, : each.shape[1]]
        present = (shown >= 0).to(each.dtype).flatten()
        per_source = each.flatten(0, 1).flatten(1).mean(1)
        total = (per_source * present).sum() / present.sum().clamp_min(1)
    else:
        total = each.mean()
    return total if separator.auxiliary_loss is None else total + separator.auxiliary_loss
