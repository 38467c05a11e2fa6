import threading
from collections.abc import Iterator

import pytest

from avpipe.detectors._prefetch import prefetched


def test_items_come_in_order_and_complete():
    assert list(prefetched(range(50), 2)) == list(range(50))
    assert list(prefetched([], 1)) == []


def test_no_more_items_are_made_ahead_than_asked_for():
    made = []

    def items() -> Iterator[int]:
        for i in range(10):
            made.append(i)
            yield i

    waiting = prefetched(items(), 2)
    assert next(waiting) == 0
    threading.Event().wait(0.3)
    assert len(made) <= 4
    waiting.close()


def test_an_error_arrives_after_the_items_made_before_it():
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    broken = prefetched(items(), 3)
    assert next(broken) == 1
    with pytest.raises(ValueError, match="broken"):
        next(broken)


def test_the_thread_ends_when_the_user_stops_early():
    before = threading.active_count()
    endless = prefetched(iter(int, 1), 1)
    next(endless)
    assert threading.active_count() == before + 1
    endless.close()
    assert threading.active_count() == before
