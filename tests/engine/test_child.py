"""The child process: limits, deaths and their obituaries, and that nothing is left behind."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from avpipe.engine.child import Child
from avpipe.engine.work import Order
from avpipe.errors import FailureClass
from avpipe.limits import TaskLimits
from avpipe.store import Store
from avpipe.types import Recording

TESTS = Path(__file__).parent
LIMITS = TaskLimits(seconds=20.0, memory_gib=2.0)
STAGE = """
NEEDS = ("detect",)
POOL = "cpu"
VERSION = 1
import ctypes, os, signal, subprocess, sys, time
from avpipe.errors import RecordingFailed, ToolMissing
def run(job):
    what = job.recording.id
    if what == "good":
        print("chatter on stdout")
        os.write(1, b"native chatter")
        (job.out / "data").write_text("1")
    elif what == "segfault":
        print("about to fall", file=sys.stderr, flush=True)
        ctypes.string_at(0)
    elif what == "hang":
        ctypes.PyDLL(None).sleep(600)
    elif what == "family":
        subprocess.run(["sleep", "600"])
    elif what == "memory":
        hoard = bytearray(os.urandom(1 << 20)) * 400
        time.sleep(600)
    elif what == "bug":
        raise ValueError("unforeseen")
    elif what == "gone":
        raise RecordingFailed("removed", "it is gone")
    elif what == "tool":
        raise ToolMissing("no ffmpeg")
    elif what == "disk":
        with open("/dev/full", "w") as file:
            file.write("x")
    elif what == "exit":
        os._exit(3)
    return {"fact": 1}
"""


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Order]:
    """Makes orders for a stage that does what the recording's id says."""
    package = tmp_path / "shadow" / "naughty.py"
    package.parent.mkdir()
    package.write_text(STAGE)
    hook = package.parent / "sitecustomize.py"
    hook.write_text(f"import avpipe.stages\navpipe.stages.__path__.append({str(package.parent)!r})")
    path = [str(package.parent), str(TESTS.parent / "pipeline"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    store = Store(tmp_path / "work")
    folder = store.temporary()
    np.save(folder / "input.npy", np.zeros(3))
    store.publish(folder, "detect", "11" * 32, {}, {})

    def make(what: str, limits: TaskLimits = LIMITS) -> Order:
        key = what.encode().hex().ljust(64, "0")
        inputs = {"detect": "11" * 32}
        return Order(store.root, "naughty", key, {}, {}, Recording(what, "x"), None, inputs, limits)

    return make


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child()
    yield made
    made.close()


def test_a_good_order_is_published_and_the_child_lives_on(
    child: Child, order: Callable[..., Order]
) -> None:
    outcome = child.perform(order("good"))
    assert outcome.artifact is not None
    assert outcome.facts["fact"] == 1
    assert outcome.seconds > 0
    first = child.pid
    assert child.perform(order("gone")).failure is FailureClass.REMOVED
    assert child.pid == first


@pytest.mark.parametrize(
    ("what", "failure", "message"),
    [
        ("segfault", "crashed", "the process died by SIGSEGV: about to fall"),
        ("exit", "crashed", "the process died by exit code 3"),
        ("hang", "timeout", "naughty took longer than 1.5 s"),
        ("family", "timeout", "naughty took longer than 1.5 s"),
        ("memory", "limit", "MiB of memory, more than 307 MiB"),
    ],
)
def test_a_death_is_told_and_the_next_order_gets_a_fresh_child(
    child: Child, order: Callable[..., Order], what: str, failure: str, message: str
) -> None:
    quick = TaskLimits(1.5, 4.0) if failure == "timeout" else TaskLimits(20.0, 0.3)
    outcome = child.perform(order(what, quick))
    assert outcome.failure == failure
    assert outcome.died
    assert message in outcome.message
    assert child.pid is None
    assert child.perform(order("good")).artifact is not None


def test_a_bug_costs_one_recording_and_names_its_place(
    child: Child, order: Callable[..., Order]
) -> None:
    outcome = child.perform(order("bug"))
    assert (outcome.failure, outcome.died) == ("crashed", False)
    assert outcome.message.startswith("ValueError: unforeseen (in naughty.py:")
    assert outcome.damaged == ()


def test_a_failure_that_damaged_input_explains_names_the_input(
    child: Child, order: Callable[..., Order], tmp_path: Path
) -> None:
    (tmp_path / "work" / "detect" / "11" / ("11" * 32) / "input.npy").write_text("rubbish")
    for what in ("bug", "gone", "segfault"):
        assert child.perform(order(what)).damaged == ("detect",)


def test_a_missing_tool_is_for_the_whole_build(child: Child, order: Callable[..., Order]) -> None:
    outcome = child.perform(order("tool"))
    assert (outcome.stop, outcome.message, outcome.failure) == (True, "no ffmpeg", None)


def test_a_killed_child_is_a_death(child: Child, order: Callable[..., Order]) -> None:
    child.perform(order("gone"))
    assert child.pid is not None
    threading.Timer(0.5, os.kill, (child.pid, signal.SIGKILL)).start()
    assert "SIGKILL" in child.perform(order("hang")).message


@pytest.mark.parametrize("what", ["hang", "family"])
def test_nothing_is_left_when_the_worker_is_killed(order: Callable[..., Order], what: str) -> None:
    """Not even a child that native code holds, nor what the child has started."""
    script = (
        "import pickle, sys; from avpipe.engine.child import Child\n"
        "Child().perform(pickle.load(sys.stdin.buffer))"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        worker.stdin.write(pickle.dumps(order(what)))
        worker.stdin.close()
        family = _wait_for_family(worker.pid, members=2 if what == "hang" else 3)
        worker.kill()
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def _wait_for_family(pid: int, members: int) -> list[psutil.Process]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        family = psutil.Process(pid).children(recursive=True)
        if len(family) >= members:
            time.sleep(0.5)  # until it hangs
            return family
        time.sleep(0.05)
    raise AssertionError("the child did not start")


def test_a_stage_that_fills_the_disk_fails_as_disk(
    child: Child, order: Callable[..., Order]
) -> None:
    outcome = child.perform(order("disk"))
    assert outcome.failure == "disk"
    assert outcome.message.endswith("No space left on device")
    assert not list((order("disk").root / "tmp").iterdir())


def test_a_store_that_cannot_be_written_to_is_nobody_s_fault(
    child: Child, order: Callable[..., Order]
) -> None:
    wanted = order("good")
    (wanted.root / wanted.stage).parent.mkdir(parents=True, exist_ok=True)
    (wanted.root / wanted.stage).touch()  # in the way of the folder
    outcome = child.perform(wanted)
    assert (outcome.stop, outcome.failure) == (True, None)
    assert f"{wanted.stage} cannot be written to" in outcome.message
