"""How a build ends early: it submits nothing more, waits for what runs, or does not."""

import threading

DRAIN_SECONDS = 10.0
"""How long a build that was asked to stop waits for what runs: batch systems kill after 30 s, of
which the workers may need half to end."""


class Stop:
    """A wish to end early; signal handlers ask for it."""

    def __init__(self) -> None:
        self._drain, self._now = threading.Event(), threading.Event()

    def ask(self) -> None:
        """First: submit nothing more and wait for what runs. Again: do not wait either."""
        if self._drain.is_set():
            self._now.set()
        self._drain.set()

    @property
    def draining(self) -> bool:
        """Submit nothing more."""
        return self._drain.is_set()

    @property
    def now(self) -> bool:
        """Do not wait for what runs."""
        return self._now.is_set()
