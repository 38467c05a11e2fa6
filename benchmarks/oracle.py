"""What ideal masks reach on real ensembles, by how the mask is made.

    OMP_NUM_THREADS=1 PYTHONPATH=pipeline python benchmarks/oracle.py URMP

Mean SDR (BSS-eval v3) over the sources of every piece in the folder URMP at 11,025 Hz, with the
mixture's phase, STFT 1022/256. Ways to decide whom a bin belongs to:

- `dominant`: the loudest source (Solos Eq. 2): what `avpipe evaluate oracle` does
- `binary`: who has more than half of the mixture's magnitude (the code of Sound of Pixels)
- `rest`: who is at least as loud as the rest, |X| >= |Y - X| (thesis Eq. 2.3)
- `ratio`: everybody by the share of the summed magnitudes

on the linear bins and, where a network works there, on 256 log-frequency bins and back; whole
pieces, and the mean over segments of 65,535 samples.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from avpipe.separation import masks, metrics
from avpipe.separation.spectrogram import FrontEnd
from avpipe.separation.testsets import Piece, ensembles
from machine import machine, save

RATE, SEGMENT = 11_025, 65_535
WAYS: tuple[tuple[Literal["linear", "log"], int | None], ...] = (
    ("linear", None),
    ("log", None),
    ("linear", SEGMENT),
)
"""Frequency scale, samples of a segment."""
MASKS = ("dominant", "binary", "rest", "ratio")


def mean_sdr(piece: Piece, kind: str, front_end: FrontEnd) -> float:
    """Over the sources of a piece, dB."""
    mixture = torch.from_numpy(piece.mixture)
    sources = torch.from_numpy(np.stack(list(piece.sources.values())))
    spectrum, parts = front_end.stft(mixture), front_end.stft(sources)
    mask = front_end.from_scale(_mask(kind, spectrum, parts, front_end.magnitude))
    if kind != "ratio":
        mask = (mask > 0.5).float()
    estimates = front_end.istft(mask * spectrum, len(mixture))
    return float(metrics.bss_eval(sources, estimates)["sdr"].mean())


def _mask(
    kind: str, spectrum: Tensor, parts: Tensor, magnitude: Callable[[Tensor], Tensor]
) -> Tensor:
    own = magnitude(parts)
    if kind == "rest":
        return (own >= magnitude(spectrum - parts)).float()
    return masks.ideal(kind, own[None], magnitude(spectrum)[None])[0]  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("urmp", type=Path)
    pieces = list(ensembles(parser.parse_args().urmp, RATE))
    found = {
        f"{kind}, {frequency}{'' if samples is None else ', segments'}": {
            piece.name: round(
                float(np.mean([mean_sdr(p, kind, front_end) for p in piece.segments(samples)])),
                2,
            )
            for piece in pieces
        }
        for kind in MASKS
        for frequency, samples in WAYS
        for front_end in (FrontEnd(frequency=frequency),)
    }
    what = "What ideal masks reach on real ensembles, by how the mask is made: mean SDR, dB."
    save("oracle", {"what": what, "machine": machine("torch", "numpy"), "mean_sdr": found})


if __name__ == "__main__":
    main()
