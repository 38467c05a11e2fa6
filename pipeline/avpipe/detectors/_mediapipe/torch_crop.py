"""The crops of `crop` for many regions at once, as PyTorch operations or one Triton kernel.

All of them give the same bits: positions are rounded to 1/32 px from the same sums in double
precision, and what follows is whole numbers.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from avpipe.detectors._mediapipe.crop import REACH

Sampler = Callable[[Tensor, Tensor, Tensor, Tensor, bool], Tensor]
"""frames (T, H, W, 3) uint8, index (n,) int64, across and down (n, S, 2) float64 in 1/32 px,
whether the edge is repeated -> (n, S, S, 3) uint8."""


def crops(frames: Tensor, placed: Tensor, size: int, replicate: bool, sample: Sampler) -> Tensor:
    """(n, size, size, 3) uint8.

    Args:
        frames: (T, H, W, 3) uint8.
        placed: (n, 7) float64 on the same device: `crop.steps` and the frame of each region.
    """
    unit = torch.arange(size, dtype=torch.float64, device=placed.device)[:, None] / size - 0.5
    across = placed[:, None, :2] * unit
    down = placed[:, None, 2:4] * unit + placed[:, None, 4:6]
    return sample(frames, placed[:, 6].long(), across, down, replicate)


def plainly(frames: Tensor, index: Tensor, across: Tensor, down: Tensor, replicate: bool) -> Tensor:
    """A `Sampler` of PyTorch's operations."""
    t, h, w, _ = frames.shape
    flat = frames.reshape(t * h * w, 3)
    x, y = (
        (down[:, :, None, axis] + across[:, None, :, axis])
        .round().clamp(-32 * REACH, 32 * REACH).long()
        for axis in (0, 1)
    )  # fmt: skip
    a, b = (x & 31).int()[..., None], (y & 31).int()[..., None]

    def tap(dx: int, dy: int) -> Tensor:
        column, row = (x >> 5) + dx, (y >> 5) + dy
        inside = column.clamp(0, w - 1), row.clamp(0, h - 1)
        values = flat[(index[:, None, None] * h + inside[1]) * w + inside[0]].int()
        if replicate:
            return values
        return values * ((inside[0] == column) & (inside[1] == row))[..., None]

    upper = tap(0, 0) * (32 - a) + tap(1, 0) * a
    lower = tap(0, 1) * (32 - a) + tap(1, 1) * a
    return ((upper * (32 - b) + lower * b + 512) >> 10).to(torch.uint8)


def sampler(device: torch.device) -> Sampler:
    """The fastest there is on a device: on CUDA a Triton kernel, if it gives the same bits."""
    if device.type != "cuda":
        return plainly
    try:
        from avpipe.detectors._mediapipe.triton_crop import fused

        if agrees(fused, device):
            return fused
        reason = "its bits differ"
    except Exception as error:  # noqa: BLE001 - no Triton, no compiler for it: there is the plain way
        reason = f"{type(error).__name__}: {error}"
    warnings.warn(f"crops are made without Triton, slower: {reason}", stacklevel=2)
    return plainly


def agrees(sample: Sampler, device: torch.device) -> bool:
    """Whether it gives the bits of `plainly`, on noise, inside and beyond the picture."""
    noise = torch.Generator().manual_seed(0)
    frames = torch.randint(256, (2, 70, 90, 3), generator=noise, dtype=torch.uint8).to(device)
    # x and y along a row, x and y down a column, centre, all in 1/32 px; frame
    spread = torch.tensor([2e3, 2e3, 2e3, 2e3, 3e3, 3e3, 0.0], dtype=torch.float64)
    placed = torch.randn((6, 7), generator=noise, dtype=torch.float64) * spread
    placed[:2] = placed[:2].round() * 8  # many positions fall between two steps of 1/32 px
    placed[2, 4:6] = 1e9
    placed[:, 6] = torch.arange(6) % 2
    return all(
        torch.equal(*(crops(frames, placed.to(device), 64, edge, s) for s in (sample, plainly)))
        for edge in (True, False)
    )
