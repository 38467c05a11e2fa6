"""A CUDA device that is none, so that what a first run on one would meet is met on a CPU.

Inside `pretended`, tensors that are sent to `cuda` stay where they are and are computed by the CPU,
but what PyTorch refuses on a real device is refused: operations on tensors of both devices, NumPy
arrays of a device's tensors, indices of the device into tensors of the host. Work is ordered by
streams and events as on the device: what one stream has written no other may read before it has
waited, memory that a copy is still to fill holds nonsense until the host has waited, and memory
that a copy is still to read must stay as it is. Whatever makes the host wait is counted, and is
forbidden while a graph is captured.

It knows what calls of PyTorch say, not what its kernels do: whether CUDA has one of the type, and
which bits it gives, only a device tells.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

CUDA = torch.device("cuda", 0)
FREE = 60 * 2**30
"""Bytes that are said to be free."""

SCALAR = frozenset(
    ("add", "sub", "rsub", "mul", "div", "true_divide", "pow", "remainder", "eq", "ne", "lt", "le",
     "gt", "ge", "maximum", "minimum", "where", "clamp", "fill", "addcdiv", "addcmul")
)  # fmt: skip
"""Operations in which a single number may lie in the host's memory."""
WAITING = frozenset(
    ("item", "__bool__", "__int__", "__float__", "__index__", "__complex__", "__contains__",
     "tolist", "nonzero", "masked_select", "unique", "equal", "allclose", "bincount", "is_nonzero")
)  # fmt: skip
"""Operations after which the host knows something of the device's memory."""
REFUSED = frozenset(("numpy", "__array__"))
ANYWHERE = frozenset(("copy_", "_has_compatible_shallow_copy_type", "expand_as", "view_as"))
"""What knows what to do with tensors of both."""
QUESTIONS = frozenset(
    ("dim", "size", "stride", "numel", "element_size", "is_floating_point", "is_complex")
)
"""What reads nothing of the tensor's memory."""


class Resident(torch.Tensor):
    """A tensor that is said to be on the device."""

    __torch_function__ = torch._C._disabled_torch_function_impl


class Stream:
    """Work in order; `seen` says up to where it has waited for the others."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.count, self.seen = 0, dict[Stream, int]()

    def wait_event(self, event: "Event") -> None:
        merge(self.seen, event.seen)

    def wait_stream(self, other: "Stream") -> None:
        merge(self.seen, other.record_event().seen)

    def record_event(self, event: "Event | None" = None) -> "Event":
        event = event or Event()
        event.record(self)
        return event

    def synchronize(self) -> None:
        self.record_event().synchronize()

    def is_capturing(self) -> bool:
        return False


class Event:
    """How far a stream had come."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.seen: dict[Stream, int] = {}

    def record(self, stream: Stream | None = None) -> None:
        stream = stream or device().stream
        self.seen = {**stream.seen, stream: stream.count}

    def synchronize(self) -> None:
        device().wait("synchronize", self.seen)


class Graph(TorchDispatchMode):
    """A tape of operations on fixed tensors, computed again into the same memory."""

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
        with torch._C.DisableTorchFunction():
            for func, args, kwargs, result in self.steps:
                again = func(*args, **kwargs)
                if isinstance(result, torch.Tensor) and again.data_ptr() != result.data_ptr():
                    result.copy_(again)
        for tensor in tree_iter([step[3] for step in self.steps]):
            if isinstance(tensor, torch.Tensor):
                device().wrote(tensor)


class Device:
    """What has happened on the device."""

    def __init__(self) -> None:
        self.default = Stream()
        self.waits: Counter[str] = Counter()
        """What made the host wait, and how often."""
        self.graphs: list[Graph] = []
        self.allocated: Callable[[], None] = lambda: None
        self._host: dict[Stream, int] = {}
        self._written: dict[int, tuple[Stream, int]] = {}
        self._pending: list[tuple[Stream, int, Callable[[], None]]] = []
        self._local = threading.local()

    @property
    def stream(self) -> Stream:
        return getattr(self._local, "stream", self.default)

    @contextmanager
    def on(self, stream: Stream | None) -> Iterator[None]:
        before = self.stream
        self._local.stream = stream or before
        try:
            yield
        finally:
            self._local.stream = before

    @contextmanager
    def capture(
        self, graph: Graph, pool: Any = None, stream: Any = None, capture_error_mode: str = "global"
    ) -> Iterator[None]:
        self.wait_for_all()
        self._local.capturing = True
        try:
            with self.on(stream), graph:
                yield
        finally:
            self._local.capturing = False

    def wait(self, why: str, upto: dict[Stream, int] | None = None) -> None:
        """The host waits until the streams have come so far; by default the current stream."""
        if getattr(self._local, "capturing", False):
            raise RuntimeError(f"operation not permitted when stream is capturing: {why}")
        self.waits[why] += 1
        merge(self._host, upto or self.stream.record_event().seen)
        due = [p for p in self._pending if self._host.get(p[0], -1) >= p[1]]
        self._pending = [p for p in self._pending if self._host.get(p[0], -1) < p[1]]
        for _, _, finish in due:
            finish()

    def wait_for_all(self, *_: Any) -> None:
        every = {stream: stream.count for stream, _ in self._written.values()}
        self.wait("synchronize", {**self.stream.record_event().seen, **every})

    def later(self, finish: Callable[[], None]) -> None:
        """Done when the host has waited for what the current stream does now."""
        self.stream.count += 1
        self._pending.append((self.stream, self.stream.count, finish))

    def wrote(self, tensor: torch.Tensor) -> None:
        self.stream.count += 1
        self._written[storage(tensor)] = (self.stream, self.stream.count)

    def reads(self, tensor: torch.Tensor, name: str) -> None:
        stream, count = self._written.get(storage(tensor), (self.stream, 0))
        seen = max(self.stream.seen.get(stream, 0), self._host.get(stream, 0))
        if stream is not self.stream and seen < count:
            raise RuntimeError(f"{name}: its stream has not waited for the one that wrote")


_current: list[Device] = []


def device() -> Device:
    return _current[-1]


class Pretence(TorchFunctionMode):
    """Calls of PyTorch as they go with a device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name, getter = named(func)
        if getter is not None:
            return self._property(func, name, getter, args)
        if name in ("to", "cuda", "cpu") and isinstance(args[0], torch.Tensor):
            return moved(name, *args, **kwargs)
        if name in ("pin_memory", "is_pinned"):
            return self._pinned(name, args[0])
        target, pinned = kwargs.pop("device", None), kwargs.pop("pin_memory", False)
        tensors = [t for t in tree_iter((args, kwargs)) if isinstance(t, torch.Tensor)]
        resident = [t for t in tensors if isinstance(t, Resident)]
        checked(name, args, tensors, resident)
        for tensor in resident:
            if name not in QUESTIONS:
                device().reads(tensor, name)
        if resident and (name in WAITING or masked(name, args)):
            device().wait(name)
        if name == "copy_" and len(tensors) > 1:
            return copied(tensors[0], tensors[1], *args[2:], **kwargs)
        if name == "__reduce_ex__":
            args = (args[0].detach().as_subclass(torch.Tensor), *args[1:])
        if target is not None and torch.device(target).type != "cuda":
            kwargs["device"] = target
        result = func(*args, **kwargs)
        if pinned:
            result._is_pinned = True
        goes = bool(resident) if target is None else torch.device(target).type == "cuda"
        if goes and name in ("tensor", "as_tensor", "new_tensor"):
            device().wait(name)
        if not goes or name == "__reduce_ex__":
            return result
        inputs = {storage(t) for t in resident}
        for tensor in resident[:1] if in_place(name) else []:
            device().wrote(tensor)
        return tree_map(lambda x: arrived(x, tensors, inputs), result)

    def _property(self, func: Any, name: str, getter: bool, args: Any) -> Any:
        inside = isinstance(args[0], Resident)
        if getter and name == "device" and inside:
            return CUDA
        if getter and name in ("is_cuda", "is_cpu"):
            return inside == (name == "is_cuda")
        found = func(*args)
        if not getter and name == "data" and isinstance(args[1], Resident) != inside:
            # As `Module.to` moves a parameter: it stays the same object.
            args[0].__class__ = torch.nn.Parameter if inside else Resident
            args[0]._is_param = True
        if inside and type(found) is torch.Tensor:
            return found.as_subclass(Resident)
        return found

    def _pinned(self, name: str, tensor: torch.Tensor) -> Any:
        if name == "is_pinned":
            return getattr(tensor, "_is_pinned", False)
        if isinstance(tensor, Resident):
            raise RuntimeError("cannot pin a tensor of the device: only dense CPU tensors can be")
        pinned = tensor.clone()
        pinned._is_pinned = True  # type: ignore[attr-defined]
        return pinned


def named(func: Any) -> tuple[str, bool | None]:
    """Name of a function, or of a property and whether it is read."""
    name = func.__name__
    if name in ("__get__", "__set__"):
        return func.__self__.__name__, name == "__get__"
    return name.removeprefix("fft_").removeprefix("linalg_"), None


def in_place(name: str) -> bool:
    return name == "__setitem__" or (name.endswith("_") and not name.startswith("__"))


def storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def merge(seen: dict[Stream, int], more: dict[Stream, int]) -> None:
    for stream, count in more.items():
        seen[stream] = max(seen.get(stream, 0), count)


def checked(name: str, args: Any, tensors: list[Any], resident: list[Any]) -> None:
    """Raises what PyTorch raises for tensors of two devices."""
    if resident and name in REFUSED:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")
    if not resident or len(resident) == len(tensors) or name in ANYWHERE:
        return
    host = [t for t in tensors if not isinstance(t, Resident)]
    if name in ("__getitem__", "__setitem__") and isinstance(args[0], Resident):
        by_tensor = any(isinstance(t, torch.Tensor) for t in tree_iter(args[1]))
        value = args[2] if name == "__setitem__" else None
        foreign = isinstance(value, torch.Tensor) and not isinstance(value, Resident)
        if not (foreign and by_tensor and value.ndim):
            device().wait(name)
            return
    kept_here = in_place(name) and not isinstance(tensors[0], Resident)
    if name.removesuffix("_") in SCALAR and not any(t.ndim for t in host) and not kept_here:
        return
    raise RuntimeError(
        f"Expected all tensors to be on the same device, but found at least two devices, cuda:0"
        f" and cpu! ({name} of {[tuple(t.shape) for t in tensors]})"
    )


def masked(name: str, args: Any) -> bool:
    """Whether a mask chooses, so that the host must know how many."""
    return name in ("__getitem__", "__setitem__") and any(
        isinstance(t, Resident) and t.dtype in (torch.bool, torch.uint8) for t in tree_iter(args[1])
    )


def moved(name: str, tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """`to`, `cuda` and `cpu`."""
    inside = isinstance(tensor, Resident)
    target: Any = {"cuda": CUDA, "cpu": "cpu"}.get(name, kwargs.pop("device", None))
    kept, no_wait = [], kwargs.pop("non_blocking", False)
    for given in args:
        if isinstance(given, str | torch.device | int) and not isinstance(given, bool):
            target = given
        elif isinstance(given, torch.Tensor):
            target, _ = CUDA if isinstance(given, Resident) else "cpu", kept.append(given.dtype)
        elif isinstance(given, torch.dtype):
            kept.append(given)
        elif given is not None:
            no_wait = given  # `Module.to` gives it by its place
    plain = tensor.as_subclass(torch.Tensor) if inside else tensor
    if inside:
        device().reads(tensor, name)
    result = plain.to(*kept, **kwargs) if kept or kwargs else plain
    goes = inside if target is None else torch.device(target).type == "cuda"
    if goes == inside:
        if result is plain:
            return tensor
        return arrived(result, [], {storage(tensor)}) if inside else result
    result = result.clone() if result is plain else result
    if not goes:
        if no_wait:
            return promised(torch.full_like(result, nonsense(result.dtype)), result)
        device().wait(name)
        return result
    there = result.as_subclass(Resident)
    device().wrote(there)
    if no_wait and getattr(tensor, "_is_pinned", False):
        guard(tensor)
    else:
        device().wait(f"{name} from memory that is not pinned" if no_wait else name)
    return there


def copied(to: Any, source: Any, non_blocking: bool = False, **_: Any) -> Any:
    """`copy_` between any two."""
    inside, from_inside = isinstance(to, Resident), isinstance(source, Resident)
    to.copy_(source)
    if inside:
        device().wrote(to)
    if inside == from_inside:
        return to
    pinned = getattr(source if inside else to, "_is_pinned", False)
    if not (non_blocking and pinned):
        device().wait("copy_")
    elif inside:
        guard(source)
    else:
        result = to.clone()
        promised(to.fill_(nonsense(to.dtype)), result)
    return to


def promised(to: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
    """Memory of the host that will hold a result when somebody has waited."""

    def finish() -> None:
        with torch.inference_mode(), torch._C.DisableTorchFunction():
            to.copy_(result)

    device().later(finish)
    return to


def guard(source: torch.Tensor) -> None:
    """Memory of the host that must stay as it is until the copy is done."""
    was = source.clone()

    def finish() -> None:
        with torch._C.DisableTorchFunction():
            if not torch.equal(source, was):
                raise AssertionError("memory of the host was overwritten before it was copied")

    device().later(finish)


def nonsense(kind: torch.dtype) -> Any:
    return float("nan") if kind.is_floating_point else 77


def arrived(result: Any, given: list[Any], inputs: set[int]) -> Any:
    """A result as the device's."""
    if not isinstance(result, torch.Tensor) or any(result is t for t in given):
        return result
    if storage(result) not in inputs:
        device().wrote(result)
    return result if isinstance(result, Resident) else result.as_subclass(Resident)


@contextmanager
def pretended(monkeypatch: pytest.MonkeyPatch, devices: int = 1) -> Iterator[Device]:
    """Inside, and in threads that are started inside, there is a CUDA device."""
    made, cuda, plain_run = Device(), torch.cuda, threading.Thread.run

    def run(thread: threading.Thread) -> None:
        with Pretence():
            plain_run(thread)

    def graph() -> Graph:
        made.graphs.append(Graph())
        return made.graphs[-1]

    def autocast(kind: str, *given: Any, **more: Any) -> Any:
        return plain_autocast("cpu", *given, **more)

    plain_autocast = torch.autocast
    answers: dict[str, Any] = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: devices,
        "current_device": lambda: 0,
        "set_device": lambda index: None,
        "get_device_name": lambda *_: "pretended",
        "get_device_capability": lambda *_: (9, 0),
        "mem_get_info": lambda *_: (FREE, FREE),
        "synchronize": made.wait_for_all,
        "empty_cache": lambda: None,
        "manual_seed_all": lambda seed: None,
        "reset_peak_memory_stats": lambda *_: None,
        "max_memory_allocated": lambda *_: 0,
        "memory_reserved": lambda *_: 0,
        "max_memory_reserved": lambda *_: 0,
        "Stream": Stream,
        "Event": Event,
        "stream": made.on,
        "current_stream": lambda *_: made.stream,
        "is_current_stream_capturing": lambda: False,
        "CUDAGraph": graph,
        "graph": made.capture,
        "graph_pool_handle": lambda: (0, 0),
    }
    with monkeypatch.context() as patches, ExitStack() as stack:
        for name, answer in answers.items():
            patches.setattr(cuda, name, answer)
        patches.setattr(torch, "autocast", autocast)
        patches.setattr(torch.accelerator, "current_stream", lambda *_: made.stream)
        patches.setattr(torch.backends.cudnn, "is_acceptable", lambda tensor: False)
        patches.setattr(threading.Thread, "run", run)
        _current.append(made)
        stack.callback(_current.pop)
        stack.enter_context(Pretence())
        yield made
