"""BSS-eval v3 (512 taps, no permutation) beside mir_eval and fast_bss_eval, in one run.

    OMP_NUM_THREADS=1 PYTHONPATH=pipeline python benchmarks/metrics.py

Signals are coloured noise of 65,535 samples, each estimate a filtered source with leakage of its
neighbour and noise. Times are the best of `REPEATS`; differences are the largest over SDR, SIR and
SAR against mir_eval, in dB. Needs mir_eval, fast-bss-eval and torch.
"""

import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import fast_bss_eval
import mir_eval
import numpy as np
import torch
from scipy.signal import lfilter

from avpipe.separation import metrics
from machine import machine, save

REPEATS = 5
SAMPLES = 65_535


def signals(sources: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(sources)
    poles = np.linspace(-1.6, 1.6, sources)
    references = np.stack([lfilter([1], [1, p, 0.8], rng.standard_normal(SAMPLES)) for p in poles])
    leak = 0.3 * np.roll(references, 1, 0)
    estimates = lfilter([0.9, 0.2, -0.1], [1], references) + leak
    return references, estimates + 0.05 * rng.standard_normal(references.shape)


def best(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the fastest run, and what it returned."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def compare(sources: int) -> dict[str, Any]:
    references, estimates = signals(sources)
    tensors = torch.tensor(references), torch.tensor(estimates)
    calls: dict[str, Callable[[], Any]] = {
        "mir_eval": lambda: mir_eval.separation.bss_eval_sources(
            references, estimates, compute_permutation=False
        )[:3],
        "fast_bss_eval float64": lambda: fast_bss_eval.bss_eval_sources(
            *tensors, filter_length=512, compute_permutation=False
        ),
        "avpipe": lambda: tuple(metrics.bss_eval(references, estimates).values()),
    }
    timed = {name: best(call) for name, call in calls.items()}
    exact = np.array(timed["mir_eval"][1])
    return {
        name: {
            "seconds": round(seconds, 4),
            "largest_difference_db": float(np.abs(np.array(values) - exact).max()),
        }
        for name, (seconds, values) in timed.items()
    }


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    save(
        "metrics",
        {
            "what": __doc__.splitlines()[0] if __doc__ else "",
            "machine": machine("numpy", "scipy", "torch", "mir_eval", "fast_bss_eval"),
            "sources": {str(s): compare(s) for s in (2, 3, 4, 7)},
        },
    )


if __name__ == "__main__":
    main()
