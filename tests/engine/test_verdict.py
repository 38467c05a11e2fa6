"""What failures lead to: again, later, or never."""

import pytest

from avpipe.engine.verdict import DEATHS, TRIES, History, judge
from avpipe.engine.work import Outcome
from avpipe.errors import FailureClass


def failed(kind: str, **facts: object) -> Outcome:
    return Outcome(failure=FailureClass(kind), message="so", **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [k for k in FailureClass if k.permanent])
def test_a_permanent_failure_is_never_tried_again(kind: FailureClass) -> None:
    verdict = judge(failed(kind, permanent=True), History(), download=True)
    assert (verdict.permanent, verdict.again_after_seconds) == (True, None)


@pytest.mark.parametrize("kind", [k for k in FailureClass if not k.permanent])
def test_a_transient_failure_of_a_download_is_tried_a_few_times(kind: FailureClass) -> None:
    history, again = History(), []
    for _ in range(TRIES.get(kind, 1)):
        verdict = judge(failed(kind), history, download=True)
        again.append(verdict.again_after_seconds)
    assert again[-1] is None
    assert all(seconds is not None and 0 < seconds < 10 for seconds in again[:-1])
    assert verdict.permanent == (kind is FailureClass.CRASHED)


def test_pauses_grow_and_the_wish_of_a_server_wins() -> None:
    history = History()
    first = judge(failed("network"), history, download=True).again_after_seconds
    second = judge(failed("network"), history, download=True).again_after_seconds
    assert first is not None
    assert second is not None
    assert 0.5 <= first <= 1.5
    assert 1.0 <= second <= 3.0
    asked = judge(failed("rate_limited", retry_after_seconds=42.0), History(), download=True)
    assert asked.again_after_seconds == 42.0


@pytest.mark.parametrize("kind", ["crashed", "timeout", "limit"])
def test_two_deaths_put_a_recording_into_quarantine(kind: str) -> None:
    history = History()
    first = judge(failed(kind, died=True), history, download=False)
    assert not first.permanent
    second = judge(failed(kind, died=True), history, download=False)
    assert second.permanent
    assert second.message == f"so; quarantined after {DEATHS} deaths"


def test_deaths_of_earlier_builds_count() -> None:
    assert judge(failed("timeout", died=True), History(deaths=1), download=False).permanent


def test_a_hang_of_a_program_is_a_death_and_a_slow_download_is_not() -> None:
    history = History(deaths=1)
    assert not judge(failed("timeout"), history, download=True).permanent
    assert judge(failed("timeout"), history, download=False).permanent
