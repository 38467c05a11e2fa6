"""The limits that keep one recording from taking the machine with it: here and nowhere else.

`[limits]` of a manifest has the keys of both classes, `[limits]` of a worker profile those of
`TaskLimits`; of the two the lower one holds. ffmpeg's own limits on protocols and formats are in
`avpipe.media.source`, time limits of single programs beside their stages.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from avpipe.config import configure


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """What a media file may be at most; beyond it the recording fails as `limit`."""

    max_bytes: int = 4 << 30
    """Size of the file; told before the download where the server states it."""
    max_seconds: float = 4 * 3600.0
    """Duration; told before the download where the site states it."""
    max_pixels: int = 3840 * 2160
    """Width times height of a frame."""
    max_streams: int = 32
    """Streams in one file."""


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """What one task may take: its child process and all processes that it starts."""

    seconds: float = 21600.0
    """Wall-clock time of one stage for one recording."""
    memory_gib: float = 8.0
    """Resident memory."""

    @property
    def memory_bytes(self) -> int:
        """Resident memory."""
        return int(self.memory_gib * 2**30)

    def within(self, other: "TaskLimits") -> "TaskLimits":
        """The lower ones of both."""
        return TaskLimits(min(self.seconds, other.seconds), min(self.memory_gib, other.memory_gib))


def read_limits(table: Mapping[str, Any], where: str) -> tuple[MediaLimits, TaskLimits]:
    """The limits that a `[limits]` table gives, the defaults for the others.

    Raises:
        UsageError: an unknown key or a wrong type.
    """
    of_tasks = {f.name for f in fields(TaskLimits)}
    media = {key: value for key, value in table.items() if key not in of_tasks}
    tasks = {key: value for key, value in table.items() if key in of_tasks}
    return configure(MediaLimits, media, where), configure(TaskLimits, tasks, where)
