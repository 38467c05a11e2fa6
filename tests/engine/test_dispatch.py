"""The queue: full slots and no more, later stages first, short tasks together."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from avpipe.dag import Node
from avpipe.engine.dispatch import Queue
from avpipe.engine.plan import Status, Step
from avpipe.engine.verdict import History
from avpipe.engine.walk import Task, Walk
from avpipe.stages import Pool
from avpipe.types import Recording


def task(key: str, depth: int = 0, pool: Pool = "cpu", reason: str = "new") -> Task:
    node = Node("video", ("download",), pool, None, {})
    return Task(Walk(Recording("a", "b")), node, Step(Status.RUN, key, reason=reason), depth)


def started(queue: Queue, slots: dict[Pool, int], now: float = 0.0, may: Any = None) -> list[str]:
    bundles = queue.start(slots, now, may or (lambda _: True))
    return [t.artifact[1] for tasks, _ in bundles for t in tasks]


def measured(seconds: float) -> Queue:
    """A queue whose CPU tasks take so long, as far as it knows."""
    queue = Queue()
    queue.put(task("measured"))
    ((tasks, place),) = queue.start({"cpu": 1}, 0.0, lambda _: True)
    queue.freed(place)
    queue.landed(tasks[0], seconds)
    return queue


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


def test_a_slot_has_a_task_in_waiting_unless_tasks_are_long() -> None:
    for seconds, flying in ((1.0, 4), (10.0, 2)):
        queue = measured(seconds)
        for i in range(8):
            queue.put(task(str(i)))
        assert len(list(queue.start({"cpu": 2}, 0.0, lambda _: True))) == flying
    queue = Queue()
    for i in range(8):
        queue.put(task(str(i)))
    assert len(started(queue, {"cpu": 2})) == 2  # nobody knows yet how long they take


def test_short_tasks_travel_together_and_every_worker_gets_its_share() -> None:
    queue = measured(0.25)
    for i in range(100):
        queue.put(task(str(i)))
    assert [len(t) for t, _ in queue.start({"cpu": 2}, 0.0, lambda _: True)] == [4, 4, 4, 4]
    queue = measured(0.001)
    for i in range(80):
        queue.put(task(str(i)))
    assert [len(t) for t, _ in queue.start({"cpu": 2}, 0.0, lambda _: True)] == [20, 15, 11, 8]


def test_what_has_failed_and_what_is_unknown_travels_alone() -> None:
    queue = measured(0.001)
    for i in range(40):
        queue.put(task(f"good-{i:02}", 3))
    tried = task("tried", 9)
    tried.walk.histories["video"] = History()
    queue.put(tried)
    bundles = [[t.artifact[1] for t in b] for b, _ in queue.start({"cpu": 2}, 0.0, lambda _: True)]
    assert bundles[0] == ["tried"]
    assert all(len(b) > 1 for b in bundles[1:])


def test_downloads_pass_one_by_one() -> None:
    queue = Queue(lambda _: "host")
    queue.put(task("measured", pool="net"))
    ((tasks, place),) = queue.start({"net": 1}, 0.0, lambda _: True)
    queue.freed(place)
    queue.landed(tasks[0], 0.001)
    for i in range(9):
        queue.put(task(str(i), pool="net"))
    assert [len(t) for t, _ in queue.start({"net": 2}, 0.0, lambda _: True)] == [1, 1]


def test_a_host_that_waits_holds_back_no_other_host() -> None:
    queue = Queue(lambda task: task.artifact[1].split("/")[0])
    for key in ("slow/1", "slow/2", "quick/1", "quick/2", "other/1"):
        queue.put(task(key, pool="net", reason="retry" if key == "quick/2" else "new"))
    asked: list[str] = []

    def may(task: Task) -> bool:
        asked.append(task.artifact[1])
        return not task.artifact[1].startswith("slow")

    assert started(queue, {"net": 2}, may=may) == ["quick/1", "other/1"]
    assert asked == ["slow/1", "quick/1", "other/1"]  # a host is asked once
    queue.freed("net")
    assert started(queue, {"net": 2}, may=may) == ["quick/2"]
    assert {t.artifact[1] for t in queue.waiting()} == {"slow/1", "slow/2"}
    assert queue.asked("net") == 2


def test_the_last_tasks_do_not_wait_behind_others() -> None:
    queue = measured(0.001)
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
    queue.freed("cpu")
    assert queue.landed(first, 1.0) == [second]
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
    flying: list[tuple[list[Task], Pool]] = []
    done: list[str] = []
    while len(done) < len(items):
        flying += queue.start(slots, 0.0, lambda _: True)
        for place, size in slots.items():
            assert sum(p == place for _, p in flying) <= 2 * size
        assert queue.in_flight == len(flying) > 0
        tasks, place = flying.pop(0)
        queue.freed(place)
        for ended in tasks:
            queue.landed(ended, 0.01)
            done.append(ended.artifact[1])
    assert sorted(done) == sorted(str(i) for i in range(len(items)))
    assert not list(queue.waiting())
