"""Losses against hand-made figures."""

import math

import pytest
import torch

from avpipe import separation
from avpipe.separation.interface import Context, Example, Trainable
from avpipe.separation.losses import Loss, loss


@pytest.fixture(scope="module")
def by_class() -> Trainable:
    return separation.create("unet", classes=("a", "b"), channels=(2, 2, 2))


def example(target: list[float], weight: float = 1.0) -> Example:
    values = torch.tensor(target).view(1, len(target), 1, 1)
    return Example(torch.zeros(1, 1, 1), values, torch.tensor(weight))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("bce", math.log(2)),
        ("cross-entropy", 1.25 * math.log(2) / 2),
        ("mse", (0.25 + 0.0625) / 2),
        ("l1", (0.5 + 0.25) / 2),
        ("smooth-l1", (0.125 + 0.03125) / 2),
    ],
)
def test_a_loss_is_the_weighted_mean_over_all_classes(
    by_class: Trainable,
    kind: Loss,
    expected: float,
) -> None:
    logits = torch.zeros(1, 2, 1, 1)
    found = loss(by_class, logits, example([1.0, 0.25]), Context(), kind)
    assert found.item() == pytest.approx(expected)
    doubled = loss(by_class, logits, example([1.0, 0.25], weight=2.0), Context(), kind)
    assert doubled.item() == pytest.approx(2 * expected)


def test_empty_places_of_a_separator_of_sources_count_nothing() -> None:
    net = separation.create("sop", sound="unet5")
    logits = torch.tensor([2.0, -3.0]).view(1, 2, 1, 1)
    context = Context(categories=torch.tensor([[0, -1]]))
    found = loss(net, logits, example([1.0, 0.0]), context, "l1")
    assert found.item() == pytest.approx(1 - 1 / (1 + math.exp(-2)))


def test_what_a_separator_adds_is_added(
    by_class: Trainable,
) -> None:
    by_class.auxiliary_loss = torch.tensor(5.0)
    try:
        logits = torch.zeros(1, 2, 1, 1)
        assert loss(by_class, logits, example([0.5, 0.5]), Context(), "l1").item() == 5
    finally:
        by_class.auxiliary_loss = None
