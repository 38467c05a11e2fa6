"""Freed memory that is kept is not asked for again."""

import json
import platform
import subprocess
import sys

import pytest

BLOCK = 64 << 20

MEASURE = f"""
import json
import resource
from pathlib import Path

import torch

from avpipe.separation import memory


def page_faults():
    "Of filling a large block that was filled and freed right before."
    for _ in range(3):
        torch.ones({BLOCK}, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones({BLOCK}, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


usual = page_faults()
with memory.kept():
    kept = [page_faults() for _ in range(4)][-1]  # until the heap has found a place for the block
    inside = resident()
print(json.dumps([usual, kept, inside - resident(), {BLOCK} // resource.getpagesize()]))
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other allocators decide for themselves"
)
def test_a_freed_block_is_used_again_inside_and_given_back_after() -> None:
    """In a process of its own: other tests leave holes in the heap that are used again, too."""
    done = subprocess.run([sys.executable, "-c", MEASURE], check=True, capture_output=True)
    usual, kept, returned, pages = json.loads(done.stdout)
    assert usual > pages // 2
    assert kept < pages // 100
    assert returned > BLOCK // 2
