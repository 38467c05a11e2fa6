"""Freed memory that stays with the process, for work that soon needs as much again."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of glibc's malloc.h, as are the defaults."""
NEVER = 2**31 - 1
USUAL_TRIM, USUAL_MMAPS = 64 << 20, 65_536
"""What glibc comes to in a process that has freed large blocks, and its default."""


@contextmanager
def kept() -> Iterator[None]:
    """Inside, glibc keeps what is freed instead of returning it to the kernel.

    A training step on a CPU allocates and frees hundreds of MB, and the kernel clears every page
    that it hands out: a third of the step's time. With another C library nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_TRIM_THRESHOLD, NEVER)
    libc.mallopt(M_MMAP_MAX, 0)
    try:
        yield
    finally:
        libc.mallopt(M_TRIM_THRESHOLD, USUAL_TRIM)
        libc.mallopt(M_MMAP_MAX, USUAL_MMAPS)
        libc.malloc_trim(0)
