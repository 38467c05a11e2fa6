"""The compute devices of this machine, found without loading PyTorch."""

import os
import shutil
import subprocess
from functools import cache


@cache
def visible_gpus() -> tuple[str, ...]:
    """What `CUDA_VISIBLE_DEVICES` would name: one entry per GPU this process may use."""
    restricted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if restricted is not None:
        return tuple(d for d in restricted.split(",") if d.strip() and d.strip() != "-1")
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    listing = subprocess.run(
        [program, "--query-gpu=index", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return tuple(listing.stdout.split()) if listing.returncode == 0 else ()


def cpu_count() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0))
