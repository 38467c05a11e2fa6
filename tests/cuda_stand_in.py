"""A stand-in for what `torch_runner` asks of CUDA, on the CPU: streams, events and graphs.

A graph here is a tape of operations on fixed tensors; replaying it computes them again into the
same memory, as CUDA does, and fails to follow whatever was not captured.
"""

from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from avpipe.detectors._mediapipe.torch_lanes import Lane


class Tape(TorchDispatchMode):
    """`torch.cuda.CUDAGraph`."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.steps.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, result in self.steps:
            again = func(*args, **kwargs)
            if isinstance(result, torch.Tensor) and again.data_ptr() != result.data_ptr():
                result.copy_(again)


class Quiet:
    """A stream or an event, whose work is always done."""

    waited = 0

    def __init__(self, *given: Any, **named: Any) -> None: ...

    def wait_event(self, event: Any) -> None:
        type(self).waited += event is not None

    def synchronize(self) -> None: ...

    def record(self) -> None: ...

    def record_event(self) -> "Quiet":
        return self


@contextmanager
def capture(graph: Tape, pool: Any, stream: Any, *, capture_error_mode: str) -> Any:
    """`torch.cuda.graph`."""
    assert capture_error_mode == "thread_local"
    with graph:
        yield


def install(monkeypatch: Any, runner: Any) -> list[Tape]:
    """Makes a `TorchRunner` on the CPU believe in CUDA; the graphs its lanes capture."""
    graphs: list[Tape] = []
    plain = torch.empty

    def taped() -> Tape:
        graphs.append(Tape())
        return graphs[-1]

    def unpinned(*given: Any, pin_memory: bool = False, **named: Any) -> torch.Tensor:
        return plain(*given, **named)

    monkeypatch.setattr(torch, "empty", unpinned)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", taped)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(runner._uploads, "stream", Quiet())
    plain_init = Lane.__init__

    def init(lane: Lane, *given: Any) -> None:
        plain_init(lane, *given)
        lane._stream, lane._pool, lane._done = Quiet(), (0, 0), Quiet()

    monkeypatch.setattr(Lane, "__init__", init)
    runner._lanes = runner._new_lanes(len(runner._lanes))
    return graphs
