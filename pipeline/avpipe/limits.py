"""The limits that keep one recording from taking the machine with it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """Of one task: the child process and all processes it starts (`[limits]` of a profile)."""

    seconds: float = 21600.0
    """Wall-clock time of one stage for one recording."""
    memory_gib: float = 8.0
    """Resident memory."""

    @property
    def memory_bytes(self) -> int:
        """Resident memory."""
        return int(self.memory_gib * 2**30)
