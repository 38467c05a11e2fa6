"""Makes the items of an iterator in a thread, ahead of their use: decoding beside detection."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.1


def prefetched(items: Iterable[T], ahead: int) -> Iterator[T]:
    """The same items; up to `ahead` of them wait, and one more is being made.

    What making them raises is raised here, after the items made before it. The thread ends when
    this iterator is closed.
    """
    ready: queue.Queue[T | _End] = queue.Queue(ahead)
    closed = threading.Event()

    def put(item: T | _End) -> bool:
        while not closed.is_set():
            try:
                ready.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def make() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as raised:  # noqa: BLE001 - raised again where the items are used
            error = raised
        put(_End(error))

    maker = threading.Thread(target=make, name="prefetch", daemon=True)
    maker.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        closed.set()
        maker.join()


class _End:
    """After the last item."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
