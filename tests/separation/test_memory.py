"""Freed memory that is kept is not asked for again."""

import platform
import resource
from pathlib import Path

import pytest
import torch

from avpipe.separation import memory

BLOCK = 64 << 20

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other allocators decide for themselves"
)


def page_faults() -> int:
    """Of filling a large block that was filled and freed right before."""
    for _ in range(3):
        torch.ones(BLOCK, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(BLOCK, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def test_a_freed_block_is_used_again_inside_and_given_back_outside() -> None:
    pages = BLOCK // resource.getpagesize()
    assert page_faults() > pages // 2
    with memory.kept():
        assert page_faults() < pages // 100
        inside = resident()
    assert page_faults() > pages // 2
    assert resident() < inside - BLOCK // 2
