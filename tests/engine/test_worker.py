"""What a worker does with a bundle of orders: one after the other, and never too long."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from avpipe.engine import worker
from avpipe.engine.work import Order, Outcome
from avpipe.limits import TaskLimits
from avpipe.types import Recording


class Child:
    """Stands for the child process: every order takes as long as its stage says."""

    def __init__(self, marker: Path) -> None:
        self.marker, self.now = marker, 0.0
        self.begun: list[int] = []
        """Size of the marker while each order was at work."""

    def perform(self, order: Order) -> Outcome:
        self.begun.append(self.marker.stat().st_size)
        self.now += float(order.stage)
        return Outcome(message=order.key)


def order(key: str, seconds: float) -> Order:
    nothing: dict[str, Any] = {}
    recording = Recording("a", "b")
    return Order(
        Path(), str(seconds), key, nothing, nothing, recording, None, nothing, TaskLimits()
    )


def test_a_bundle_is_done_in_order_and_ends_early_when_it_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "tmp" / "at-work"
    child = Child(marker)
    monkeypatch.setattr(
        worker, "get_worker", lambda: SimpleNamespace(name="cpu-0", avpipe_child=child)
    )
    monkeypatch.setattr(worker.time, "monotonic", lambda: child.now)
    orders = [order("a", 0.1), order("b", 100.0), order("c", 0.1), order("d", 0.1)]
    outcomes = worker.perform(orders, marker)
    assert [o.message for o in outcomes] == ["a", "b", "", ""]
    assert [o.undone for o in outcomes] == [False, False, True, True]
    assert [o.worker for o in outcomes[:2]] == ["cpu-0", "cpu-0"]
    assert outcomes[1].ended >= outcomes[0].ended > 0
    assert child.begun == [1, 2]
    assert not marker.exists()
