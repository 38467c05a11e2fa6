"""What a failed attempt means for its recording: again now, in another build, or never.

Takes an outcome and what happened to the recording at that stage before; gives a `Verdict`. A
death is the end of the process that did the work (a crash, a hang, too much memory): the recording
is to blame, and after `DEATHS` of them, in this build or earlier ones, it is quarantined.
"""

import random
from dataclasses import dataclass

from avpipe.engine.work import Outcome
from avpipe.errors import FailureClass

TRIES = {
    FailureClass.NETWORK: 3,
    FailureClass.RATE_LIMITED: 3,
    FailureClass.BOT: 2,
    FailureClass.CRASHED: 2,
}
"""Tries per build of a failure that may pass; every other class: one."""

DEATHS = 2
"""Deaths after which a recording is quarantined."""

_BACKOFF_SECONDS = 1.0


@dataclass(slots=True)
class History:
    """What happened to one recording at one stage."""

    tries: int = 0
    """In this build."""
    deaths: int = 0
    """In this build and in those before it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from a failed attempt."""

    permanent: bool
    """Trying again cannot help."""
    message: str
    again_after_seconds: float | None
    """When to try again in this build; None: not in this build."""


def judge(outcome: Outcome, history: History, *, download: bool) -> Verdict:
    """The verdict on a failed outcome; counts it in `history`.

    Args:
        outcome: with a failure.
        history: of this recording at this stage.
        download: whether the stage fetches, where slowness is the network's and not a hang.
    """
    assert outcome.failure is not None
    kind, permanent, message = outcome.failure, outcome.permanent, outcome.message
    history.tries += 1
    if (
        outcome.died
        or kind is FailureClass.CRASHED
        or (kind is FailureClass.TIMEOUT and not download)
    ):
        history.deaths += 1
        if history.deaths >= DEATHS:
            permanent, message = True, f"{message}; quarantined after {history.deaths} deaths"
    if permanent or history.tries >= TRIES.get(kind, 1):
        return Verdict(permanent, message, None)
    backoff = _BACKOFF_SECONDS * 2 ** (history.tries - 1) * random.uniform(0.5, 1.5)
    return Verdict(False, message, outcome.retry_after_seconds or backoff)
