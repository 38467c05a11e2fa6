"""The crops of `torch_crop` in one kernel: a program takes some pixels of one region."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

import torch
import triton
import triton.language as tl
from torch import Tensor

from avpipe.detectors._mediapipe.crop import REACH, ROUND

_PIXELS = 512
"""A program computes."""
_MAGIC = tl.constexpr(ROUND)
_FAR = tl.constexpr(32.0 * REACH)


def fused(frames: Tensor, index: Tensor, across: Tensor, down: Tensor, replicate: bool) -> Tensor:
    """A `torch_crop.Sampler`."""
    n, size, _ = across.shape
    _, height, width, _ = frames.shape
    out = torch.empty((n, size, size, 3), dtype=torch.uint8, device=frames.device)
    grid = (n, triton.cdiv(size * size, _PIXELS))
    _crop[grid](
        frames.contiguous(), index, across, down, out, height, width, size, replicate, _PIXELS
    )
    return out


@triton.jit
def _nearest(position):
    """The nearest whole number, ties to even: what a large addend leaves in the low bits."""
    near = tl.minimum(tl.maximum(position, -_FAR), _FAR) + _MAGIC
    return near.to(tl.int64, bitcast=True).to(tl.int32)


@triton.jit
def _tap(frame, column, row, channel, height, width, replicate: tl.constexpr, used):
    x = tl.minimum(tl.maximum(column, 0), width - 1)
    y = tl.minimum(tl.maximum(row, 0), height - 1)
    value = tl.load(frame + (y * width + x) * 3 + channel, mask=used, other=0).to(tl.int32)
    if not replicate:
        value = tl.where((x == column) & (y == row), value, 0)
    return value


@triton.jit
def _crop(
    frames, index, across, down, out, height, width,
    size: tl.constexpr, replicate: tl.constexpr, pixels: tl.constexpr,
):  # fmt: skip
    region = tl.program_id(0)
    pixel = tl.program_id(1) * pixels + tl.arange(0, pixels)
    used = pixel < size * size
    along = across + (region * size + pixel % size) * 2
    below = down + (region * size + pixel // size) * 2
    x = _nearest(tl.load(below, mask=used, other=0.0) + tl.load(along, mask=used, other=0.0))
    y = _nearest(
        tl.load(below + 1, mask=used, other=0.0) + tl.load(along + 1, mask=used, other=0.0)
    )
    a, b, x, y = x & 31, y & 31, x >> 5, y >> 5
    frame = frames + tl.load(index + region) * height * width * 3
    for channel in tl.static_range(3):
        upper = _tap(frame, x, y, channel, height, width, replicate, used) * (32 - a)
        upper += _tap(frame, x + 1, y, channel, height, width, replicate, used) * a
        lower = _tap(frame, x, y + 1, channel, height, width, replicate, used) * (32 - a)
        lower += _tap(frame, x + 1, y + 1, channel, height, width, replicate, used) * a
        mixed = (upper * (32 - b) + lower * b + 512) >> 10
        at = out + (region * size * size + pixel) * 3 + channel
        tl.store(at, mixed.to(tl.uint8), mask=used)
