"""Pace and circuit breaker, over an invented clock."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avpipe.engine.pacing import Breaker, Gate, Pace, PaceConfig
from avpipe.errors import FailureClass

CONFIG = PaceConfig()
YOUTUBE = "https://www.youtube.com/watch?v=a"


def test_youtube_is_asked_every_few_seconds_whatever_its_host_is_called() -> None:
    pace = Pace(CONFIG)
    assert pace.wait_seconds(YOUTUBE, 0.0) == 0
    pace.started(YOUTUBE, 0.0)
    assert 2.1 <= pace.wait_seconds("https://www.youtube.com/watch?v=b", 0.0) <= 3.9
    assert pace.wait_seconds("https://youtu.be/b", 0.0) >= 2.1
    pace.started("https://notyoutube.org/x", 0.0)
    assert pace.wait_seconds("https://notyoutube.org/y", 0.0) == 0


def test_intervals_vary_and_hosts_do_not_wait_for_each_other() -> None:
    pace, waits = Pace(PaceConfig(interval_seconds=10.0)), set()
    for _ in range(20):
        pace.started("https://a.example/1", 0.0)
        waits.add(pace.wait_seconds("https://a.example/2", 0.0))
        assert pace.wait_seconds("https://b.example/1", 0.0) == 0
    assert all(7.0 <= wait <= 13.0 for wait in waits)
    assert max(waits) - min(waits) > 1.0


@settings(deadline=None)
@given(st.lists(st.floats(0, 10), min_size=20, max_size=60))
def test_the_mean_interval_is_kept(gaps: list[float]) -> None:
    pace, now, starts = Pace(CONFIG), 0.0, []
    for gap in gaps:
        now += gap
        now += pace.wait_seconds(YOUTUBE, now)
        pace.started(YOUTUBE, now)
        starts.append(now)
    assert all(b - a >= 0.7 * 3 - 1e-6 for a, b in pairwise(starts))


def fail(breaker: Breaker, kind: str, now: float, after: float | None = None) -> None:
    breaker.started()
    breaker.failed(FailureClass(kind), "no answer", now, after)


def test_a_few_network_failures_in_a_row_pause_everything() -> None:
    breaker = Breaker(CONFIG)
    fail(breaker, "network", 0.0)
    fail(breaker, "network", 0.0)
    assert breaker.wait_seconds(0.0) == 0
    fail(breaker, "network", 0.0)
    assert breaker.wait_seconds(0.0) == CONFIG.pause_seconds


def test_a_success_or_a_failure_of_the_recording_itself_is_a_fresh_start() -> None:
    for end in (Breaker.succeeded, lambda b: fail(b, "removed", 1.0)):
        breaker = Breaker(CONFIG)
        for _ in range(10):
            fail(breaker, "network", 1.0)
            fail(breaker, "network", 1.0)
            end(breaker)
        assert breaker.wait_seconds(1.0) == 0


def test_a_dead_network_ends_the_downloads_after_three_pauses() -> None:
    breaker, now, probes = Breaker(CONFIG), 0.0, 0
    while breaker.broken is None:
        now += breaker.wait_seconds(now)
        fail(breaker, "network", now)
        probes += 1
        assert probes < 20
    assert probes == CONFIG.network_failures + CONFIG.pauses
    assert now < 15
    assert breaker.wait_seconds(now + 1e6) == float("inf")
    assert breaker.broken == "network: no answer"


def test_after_a_pause_one_probe_goes_out_and_no_more() -> None:
    breaker = Breaker(CONFIG)
    fail(breaker, "bot", 0.0)
    now = CONFIG.blocked_pause_seconds
    assert breaker.wait_seconds(now) == 0
    breaker.started()
    assert breaker.wait_seconds(now) == float("inf")
    breaker.succeeded()
    assert breaker.wait_seconds(now) == 0


def test_downloads_that_were_under_way_do_not_lengthen_the_pause() -> None:
    breaker = Breaker(CONFIG)
    for _ in range(4):
        breaker.started()
    for _ in range(4):
        breaker.failed(FailureClass.BOT, "captcha", 0.0)
    assert breaker.wait_seconds(0.0) == CONFIG.blocked_pause_seconds
    assert breaker.broken is None


def test_what_the_server_asks_for_is_obeyed_unless_it_is_too_long() -> None:
    breaker = Breaker(CONFIG)
    fail(breaker, "rate_limited", 0.0, 17.0)
    assert breaker.wait_seconds(0.0) == 17.0
    breaker = Breaker(CONFIG)
    fail(breaker, "rate_limited", 0.0, 3600.0)
    assert breaker.broken == "rate_limited: no answer"


@settings(deadline=None)
@given(st.lists(st.sampled_from(["network", "bot", "rate_limited", "removed", "ok"]), max_size=40))
def test_the_gate_never_locks_for_ever_without_saying_why(events: list[str]) -> None:
    gate, now = Gate(CONFIG), 0.0
    for event in events:
        waited = 0
        while not gate.enter("https://example.org/a", now):
            if gate.broken is not None:
                return
            now += 1.0
            waited += 1
            assert waited <= CONFIG.longest_pause_seconds + 1
        if event == "ok":
            gate.succeeded()
        else:
            gate.failed(FailureClass(event), event, None, now)


def test_a_gate_that_was_shut_stays_shut() -> None:
    gate = Gate(CONFIG)
    gate.shut("disk: 3 bytes free")
    gate.shut("something else")
    assert gate.broken == "disk: 3 bytes free"
    assert not gate.enter("https://example.org/a", 0.0)


def test_the_config_is_positive_by_default() -> None:
    assert all(v >= 0 for v in (CONFIG.pause_seconds, CONFIG.jitter, CONFIG.interval_seconds))
    with pytest.raises(AttributeError):
        CONFIG.jitter = 1.0  # type: ignore[misc]
