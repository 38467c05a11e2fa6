"""How a build treats the hosts it downloads from: one pace for all workers, and a circuit breaker.

Plain state machines over a clock that the caller reads (seconds, monotonic): the driver asks the
`Gate`, which is both, before it submits a download.
"""

import random
from dataclasses import dataclass
from urllib.parse import urlsplit

from avpipe.errors import FailureClass

_YOUTUBE = "youtube.com"


@dataclass(frozen=True, slots=True)
class PaceConfig:
    """Politeness towards a host, in the `[pace]` table of a worker profile."""

    youtube_interval_seconds: float = 3.0
    """Mean time between the starts of two downloads from YouTube, over all workers."""
    interval_seconds: float = 0.0
    """The same for every other host."""
    jitter: float = 0.3
    """Each interval is drawn from [1 - jitter, 1 + jitter] times its mean."""
    network_failures: int = 3
    """Recordings in a row that fail for the network before downloads pause."""
    pause_seconds: float = 1.5
    """First pause after the network failed; each further one is twice as long."""
    blocked_pause_seconds: float = 60.0
    """First pause after a bot check or a 429 that names no time."""
    longest_pause_seconds: float = 600.0
    """A host that asks for more ends the downloads of this build."""
    pauses: int = 3
    """Pauses in a row without a success before downloads end for this build."""


class Pace:
    """When the next download from a host may start."""

    def __init__(self, config: PaceConfig) -> None:
        self._config = config
        self._next: dict[str, float] = {}

    def wait_seconds(self, locator: str, now: float) -> float:
        """How long to wait before a download from there may start; 0: now."""
        return max(0.0, self._next.get(host(locator), now) - now)

    def started(self, locator: str, now: float) -> None:
        """A download from there starts now."""
        mean = interval_seconds(locator, self._config)
        spread = random.uniform(1 - self._config.jitter, 1 + self._config.jitter)
        self._next[host(locator)] = now + mean * spread


def interval_seconds(locator: str, config: PaceConfig) -> float:
    """Mean time between the starts of two downloads from there."""
    if "://" not in locator:
        return 0.0
    youtube = host(locator) == _YOUTUBE
    return config.youtube_interval_seconds if youtube else config.interval_seconds


def host(locator: str) -> str:
    """The host that a download from there asks; one name for all of YouTube's."""
    name = urlsplit(locator).hostname or ""
    return _YOUTUBE if name == "youtu.be" or f".{name}".endswith(f".{_YOUTUBE}") else name


class Breaker:
    """Pauses all downloads when the host or the network, not the recording, is the trouble.

    closed -> (failures) -> paused -> one probe -> closed on success, paused longer on failure;
    after `pauses` pauses in a row it stays open: `broken` says why.
    """

    _NETWORK = FailureClass.NETWORK
    _BLOCKED = (FailureClass.BOT, FailureClass.RATE_LIMITED)

    def __init__(self, config: PaceConfig) -> None:
        self._config = config
        self._in_a_row = 0
        self._pauses = 0
        self._until = 0.0
        self._probing = False
        self.broken: str | None = None
        """Why downloads ended, None while they may go on."""

    def wait_seconds(self, now: float) -> float:
        """How long to wait before the next download; infinite while a probe is out or broken."""
        if self.broken is not None or self._probing:
            return float("inf")
        return max(0.0, self._until - now)

    def started(self) -> None:
        """A download starts; after a pause it is the probe, and nothing else starts meanwhile."""
        self._probing = self._pauses > 0

    def succeeded(self) -> None:
        """A download worked, or failed for a reason of its own: the way is free."""
        self._in_a_row = self._pauses = 0
        self._probing = False

    def failed(
        self, failure: FailureClass, message: str, now: float, retry_after: float | None = None
    ) -> None:
        """A download failed; counts if the class speaks of the network or the host."""
        blocked = failure in self._BLOCKED
        if failure is not self._NETWORK and not blocked:
            self.succeeded()
            return
        self._in_a_row += 1
        if not (blocked or self._probing or self._in_a_row >= self._config.network_failures):
            return
        if self._until > now and not self._probing:
            return  # one of those that were under way when the pause began
        self._probing = False
        first = self._config.blocked_pause_seconds if blocked else self._config.pause_seconds
        pause = retry_after if retry_after is not None else first * 2**self._pauses
        self._pauses += 1
        if self._pauses > self._config.pauses or pause > self._config.longest_pause_seconds:
            self.broken = f"{failure.value}: {message}"
        self._until = now + pause


class Gate:
    """What every download of a build passes: the pace of its host, and the breaker."""

    def __init__(self, config: PaceConfig) -> None:
        self._pace, self._breaker = Pace(config), Breaker(config)

    @property
    def broken(self) -> str | None:
        """Why no more is downloaded in this build, None while downloads may go on."""
        return self._breaker.broken

    def shut(self, reason: str) -> None:
        """Ends the downloads of this build."""
        self._breaker.broken = self._breaker.broken or reason

    def enter(self, locator: str, now: float) -> bool:
        """Whether a download from there may start now; if so, it counts as started."""
        if self._breaker.wait_seconds(now) > 0 or self._pace.wait_seconds(locator, now) > 0:
            return False
        self._breaker.started()
        self._pace.started(locator, now)
        return True

    def succeeded(self) -> None:
        """A download worked."""
        self._breaker.succeeded()

    def failed(
        self, failure: FailureClass, message: str, retry_after: float | None, now: float
    ) -> None:
        """A download failed."""
        self._breaker.failed(failure, message, now, retry_after)
