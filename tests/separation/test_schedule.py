"""The schedule: one source more, a lower rate, the end; each after its patience."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avpipe.separation.schedule import Rules, Schedule


def rules(**changes: Any) -> Rules:
    values: dict[str, Any] = {
        "first_sources": 2,
        "last_sources": 3,
        "curriculum_steps": 20,
        "drop_steps": 30,
        "drop_factor": 0.5,
        "milestones": (),
        "milestone_factor": 0.1,
        "warmup_steps": 0,
        "anneal_steps": 0,
        "stop_steps": 100,
        "minimum_change": 0.1,
    }
    return Rules(**values | changes)


def events(schedule: Schedule, losses: list[float], every: int = 10) -> list[Any]:
    return [schedule.update(every * (i + 1), loss)[1] for i, loss in enumerate(losses)]


def test_a_flat_loss_adds_a_source_and_starts_anew() -> None:
    schedule = Schedule(rules())
    assert events(schedule, [1.0, 1.0, 1.0]) == [None, None, "more sources"]
    assert schedule.state.sources == 3
    assert schedule.update(40, 5.0) == (True, None)


def test_an_improvement_below_the_minimum_is_none() -> None:
    schedule = Schedule(rules())
    assert schedule.update(10, 1.0) == (True, None)
    assert schedule.update(20, 0.95) == (False, None)
    assert schedule.update(30, 0.85) == (True, None)


def test_with_all_sources_the_rate_drops_and_then_training_ends() -> None:
    schedule = Schedule(rules(first_sources=3))
    found = events(schedule, [1.0] * 12)
    assert [10 * (i + 1) for i, e in enumerate(found) if e == "lower rate"] == [40, 70, 100]
    assert [10 * (i + 1) for i, e in enumerate(found) if e == "stop"] == [110, 120]
    assert schedule.rate(0) == 0.125


def test_the_rate_does_not_drop_before_the_curriculum_ends() -> None:
    schedule = Schedule(rules(curriculum_steps=200))
    assert events(schedule, [1.0] * 15) == [None] * 15
    assert schedule.rate(150) == 1


def test_milestones_lower_the_rate_by_the_step_alone() -> None:
    schedule = Schedule(rules(milestones=(100, 200)))
    assert [schedule.rate(s) for s in (0, 99, 100, 200)] == pytest.approx([1, 1, 0.1, 0.01])


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    schedule = Schedule(rules(warmup_steps=10, anneal_steps=100))
    rates = [schedule.rate(step) for step in range(110)]
    assert rates[:9] == sorted(rates[:9])
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[50] == pytest.approx(0.5)
    assert rates[100] == rates[109] == pytest.approx(0.0)


@given(st.lists(st.floats(0, 10), max_size=40), st.integers(0, 40))
def test_a_schedule_goes_on_from_its_state_as_if_nothing_had_happened(
    losses: list[float], cut: int
) -> None:
    whole, first = Schedule(rules()), Schedule(rules())
    for i, loss in enumerate(losses):
        whole.update(10 * i, loss)
    for i, loss in enumerate(losses[:cut]):
        first.update(10 * i, loss)
    second = Schedule(rules())
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for i, loss in enumerate(losses[cut:], start=len(losses[:cut])):
        second.update(10 * i, loss)
    assert second.state_dict() == whole.state_dict()
