"""The device that separators are trained, scored and used on."""

from importlib.util import find_spec
from typing import Literal, cast, get_args

from avpipe.errors import UsageError

Device = Literal["cpu", "cuda"]
Asked = Literal["auto", "cpu", "cuda"]


def pick(asked: str, devices: int = 1) -> Device:
    """The device asked for; `auto` is CUDA where PyTorch can use it.

    Args:
        asked: see `Asked`.
        devices: how many of them.

    Raises:
        UsageError: no such kind of device, or fewer GPUs than asked for.
    """
    if asked not in get_args(Asked):
        raise UsageError(f"device {asked}: must be {', '.join(get_args(Asked))}")
    found = _gpus()
    picked = cast(Device, asked) if asked != "auto" else "cuda" if found else "cpu"
    if picked == "cuda" and devices > found:
        few = "a GPU was" if devices == 1 else f"{devices} GPUs were"
        raise UsageError(
            f"{few} asked for, this machine has {found} that PyTorch can use: ask for no more,"
            " or for device cpu"
        )
    return picked


def _gpus() -> int:
    if find_spec("torch") is None:
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
