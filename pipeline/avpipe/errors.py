"""Everything avpipe raises on purpose.

One root, few children. A message says what is wrong, which value, and what to do, in one line.
What can be expected of a recording (a dead video, a corrupt file) is `RecordingFailed`: the build
catches it at one place, writes it into the ledger and goes on.
"""

import errno
from enum import StrEnum


class AvpipeError(Exception):
    """Root of all errors that avpipe raises on purpose; the text is one line for a person."""


class UsageError(AvpipeError):
    """A command or a call was given something it cannot use."""


class ManifestError(AvpipeError):
    """A manifest is wrong; the text names file, row, key, value and what is allowed."""


class ToolMissing(AvpipeError):
    """A program, package, model file or device that this step needs is not there."""


class DatasetError(AvpipeError):
    """A built dataset cannot be read as it stands (missing, damaged, of another version)."""


class Locked(AvpipeError):
    """Another build holds this output folder; the text names it."""


class Interrupted(AvpipeError):
    """The work had to end early (a signal, a full disk); nothing is lost, run it again."""


def is_full(error: BaseException | None) -> bool:
    """Whether an error is that of a full disk."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


class FailureClass(StrEnum):
    """Why a recording failed. The value is what ledger, `--json` and tables show."""

    REMOVED = "removed"
    PRIVATE = "private"
    GEO = "geo"
    LOGIN = "login"
    BOT = "bot"
    RATE_LIMITED = "rate_limited"
    COPYRIGHT = "copyright"
    NETWORK = "network"
    TIMEOUT = "timeout"
    DISK = "disk"
    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    NO_VIDEO = "no_video"
    NO_AUDIO = "no_audio"
    LIMIT = "limit"
    CRASHED = "crashed"

    @property
    def permanent(self) -> bool:
        """True if trying again cannot help, unless the one who raises knows better."""
        return self not in _TRANSIENT


_TRANSIENT = frozenset(
    {
        FailureClass.BOT,
        FailureClass.RATE_LIMITED,
        FailureClass.NETWORK,
        FailureClass.TIMEOUT,
        FailureClass.DISK,
        FailureClass.TRUNCATED,
        FailureClass.CRASHED,
    }
)


class RecordingFailed(AvpipeError):
    """An expected failure of one recording: data for the ledger, never the end of a build.

    Args:
        failure: the class.
        message: one line: what, which value.
        permanent: overrides `failure.permanent` where the circumstances decide.
        retry_after_seconds: how long the server asked to be left alone, if it did.
    """

    def __init__(
        self,
        failure: FailureClass | str,
        message: str,
        *,
        permanent: bool | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.failure = FailureClass(failure)
        self.permanent = self.failure.permanent if permanent is None else permanent
        self.retry_after_seconds = retry_after_seconds

    def __reduce__(self) -> tuple[object, ...]:
        values = (self.failure.value, str(self), self.permanent, self.retry_after_seconds)
        return (_recording_failed, values)


def _recording_failed(
    failure: str, message: str, permanent: bool, retry_after_seconds: float | None
) -> RecordingFailed:
    return RecordingFailed(
        failure, message, permanent=permanent, retry_after_seconds=retry_after_seconds
    )
