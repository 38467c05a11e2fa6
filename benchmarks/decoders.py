"""The 13 decoders of the multi-head U-Net in one grouped pass, beside a pass per decoder.

    OMP_NUM_THREADS=1 PYTHONPATH=pipeline python benchmarks/decoders.py [--device cuda] [--batch 4]

Both use the same weights; the largest difference of their outputs in double precision is part of
the result. A step is forward and backward in training mode. On the CPU, seconds are CPU time of
this process, so that what else runs on the machine counts little; on a GPU they are wall time.
"""

import argparse
import os
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from avpipe.separation.separators._conditioned import ConditionedUNet, DecoderLevel
from machine import machine, save

CLASSES = 13
STEPS = 5


def one_level(level: DecoderLevel, decoder: int, skip: Tensor, own: Tensor) -> Tensor:
    """Convolution and batch norm of one decoder, from its part of the level's tensors."""
    kernel = level.conv.weight.chunk(CLASSES)[decoder]
    norm = level.bn
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return functional.batch_norm(
        functional.conv2d(torch.cat([skip, own], 1), kernel, padding=1),
        norm.running_mean.chunk(CLASSES)[decoder],
        norm.running_var.chunk(CLASSES)[decoder],
        norm.weight.chunk(CLASSES)[decoder],
        norm.bias.chunk(CLASSES)[decoder],
        training=norm.training,
    )


def pass_per_decoder(net: ConditionedUNet, spectrogram: Tensor) -> Tensor:
    """The network's logits, decoder by decoder."""
    skips = [spectrogram]
    for block in net.encoder[:-1]:
        skips.append(block(skips[-1], None))
    deepest = net.encoder[-1](skips[-1])
    logits = []
    for decoder in range(CLASSES):
        x = deepest
        for level, skip in zip(net.decoder, reversed(skips), strict=True):
            assert isinstance(level, DecoderLevel)
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = one_level(level, decoder, skip, x)
            if level is not net.decoder[-1]:
                x = functional.dropout(functional.relu(x), net.dropout, net.training)
        logits.append(x)
    return torch.cat(logits, 1)


def seconds(call: Callable[[], Tensor], device: str) -> float:
    """Of one step, the shortest of a few, after one to warm up."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    measured = []
    for _ in range(STEPS + 1):
        start = clock()
        torch.autograd.backward(call().mean())
        if device == "cuda":
            torch.cuda.synchronize()
        measured.append(clock() - start)
    return min(measured[1:])


def difference(device: str) -> float:
    """Largest of the outputs of the two ways, in double precision."""
    net = ConditionedUNet(CLASSES, CLASSES).to(device).double().eval()
    spectrogram = torch.randn(1, 1, 64, 64, dtype=torch.float64, device=device)
    with torch.no_grad():
        return float((net(spectrogram) - pass_per_decoder(net, spectrogram)).abs().max())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--batch", type=int, default=4)
    arguments = parser.parse_args()
    device = arguments.device
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))))
    torch.manual_seed(0)
    net = ConditionedUNet(CLASSES, CLASSES).to(device).train()
    spectrogram = torch.randn(arguments.batch, 1, 256, 256, device=device)
    grouped = seconds(lambda: net(spectrogram), device)
    separate = seconds(lambda: pass_per_decoder(net, spectrogram), device)
    save(
        f"decoders_{device}",
        {
            "what": __doc__.splitlines()[0] if __doc__ else "",
            "machine": machine("torch"),
            "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
            "batch": arguments.batch,
            "grouped_pass_seconds_per_step": round(grouped, 4),
            "pass_per_decoder_seconds_per_step": round(separate, 4),
            "times": round(separate / grouped, 2),
            "largest_difference": difference(device),
        },
    )


if __name__ == "__main__":
    main()
