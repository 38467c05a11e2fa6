"""The queue: full slots and no more, later stages first, one task an artifact."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from avpipe.dag import Node
from avpipe.dispatch import Queue
from avpipe.plan import Status, Step
from avpipe.stages import Pool
from avpipe.types import Recording
from avpipe.walk import Task, Walk


def task(key: str, depth: int = 0, pool: Pool = "cpu", reason: str = "new") -> Task:
    node = Node("video", ("download",), pool, None, {})
    return Task(Walk(Recording("a", "b")), node, Step(Status.RUN, key, reason=reason), depth)


def started(queue: Queue, slots: dict[Pool, int], now: float = 0.0, may: Any = None) -> list[str]:
    return [t.artifact[1] for t, _ in queue.start(slots, now, may or (lambda _: True))]


def test_later_stages_go_first_and_retries_last() -> None:
    queue = Queue()
    for key, depth, reason in (("a", 0, "new"), ("b", 3, "retry"), ("c", 3, "new"), ("d", 0, "x")):
        queue.put(task(key, depth, reason=reason))
    assert started(queue, {"cpu": 9}) == ["c", "a", "d", "b"]


def test_gpu_tasks_go_to_cpu_workers_where_there_is_no_gpu() -> None:
    queue = Queue()
    for key in "ab":
        queue.put(task(key, pool="gpu"))
    ((_, place),) = queue.start({"cpu": 1}, 0.0, lambda _: True)
    assert place == "cpu"
    assert started(queue, {"cpu": 1, "gpu": 1}) == ["b"]


def test_a_task_that_may_not_start_holds_its_pool_alone() -> None:
    queue = Queue()
    queue.put(task("a", pool="net"))
    queue.put(task("b"))
    assert started(queue, {"cpu": 1, "net": 1}, may=lambda t: t.pool == "cpu") == ["b"]
    assert started(queue, {"cpu": 1, "net": 1}) == ["a"]


def test_a_task_for_later_waits_for_its_time() -> None:
    queue = Queue()
    queue.put_later(task("a"), 10.0)
    assert started(queue, {"cpu": 1}, now=9.9) == []
    assert [t.artifact[1] for t in queue.waiting()] == ["a"]
    assert started(queue, {"cpu": 1}, now=10.0) == ["a"]


def test_a_slot_has_a_task_in_waiting_while_tasks_are_short_and_many() -> None:
    queue = Queue()
    for i in range(8):
        queue.put(task(str(i)))
    flying = list(queue.start({"cpu": 2}, 0.0, lambda _: True))
    assert len(flying) == 4
    for item in flying:
        queue.landed(*item, 1000.0)
    assert len(started(queue, {"cpu": 2})) == 2  # long ones: nothing waits behind them


def test_the_last_tasks_do_not_wait_behind_others() -> None:
    queue = Queue()
    for i in range(2):
        queue.put(task(str(i)))
    assert len(started(queue, {"cpu": 2})) == 2
    queue.put(task("last"))
    assert started(queue, {"cpu": 2}) == []


def test_the_second_task_for_an_artifact_waits_for_the_first() -> None:
    queue = Queue()
    first, second = task("same"), task("same")
    queue.put(first)
    queue.put(second)
    assert started(queue, {"cpu": 9}) == ["same"]
    assert queue.landed(first, "cpu", 1.0) == [second]
    assert queue.in_flight == 0
    queue.put(second)
    assert started(queue, {"cpu": 9}) == ["same"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["cpu", "net", "gpu"])), max_size=40))
def test_slots_are_never_exceeded_and_every_task_gets_through(
    items: list[tuple[int, Pool]],
) -> None:
    queue = Queue()
    slots: dict[Pool, int] = {"cpu": 2, "net": 1}
    for i, (depth, pool) in enumerate(items):
        queue.put(task(str(i), depth, pool))
    flying: list[tuple[Task, Pool]] = []
    done = 0
    while done < len(items):
        flying += queue.start(slots, 0.0, lambda _: True)
        for place, size in slots.items():
            assert sum(p == place for _, p in flying) <= (size if place == "net" else 2 * size)
        assert queue.in_flight == len(flying) > 0
        queue.landed(*flying.pop(0), 9.0)
        done += 1
    assert not list(queue.waiting())
