"""Rewrites bss_eval.npz: two sources and their estimates, and what mir_eval says of them.

Needs mir_eval. The signals are coloured noise that leaks into each other through short filters:
unlike white noise they make the normal equations ill-conditioned, as music does.
"""

from pathlib import Path

import numpy as np
from mir_eval.separation import bss_eval_sources
from scipy.signal import lfilter

SAMPLES = 16_384


def signals() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(20)
    colours = [([1.0], [1, -1.6, 0.81]), ([1.0], [1, -0.5, 0.9])]
    references = np.stack([lfilter(b, a, rng.standard_normal(SAMPLES)) for b, a in colours])
    references *= 0.1 / np.abs(references).max(-1, keepdims=True)
    leak = [lfilter([0.2, 0.1, -0.05], [1.0], x) for x in references[::-1]]
    own = [lfilter([0.9, 0.3], [1.0], x) for x in references]
    noise = 0.002 * rng.standard_normal(references.shape)
    return references.astype(np.float32), (np.stack(own) + leak + noise).astype(np.float32)


def make() -> dict[str, np.ndarray]:
    references, estimates = signals()
    sdr, sir, sar, _ = bss_eval_sources(
        references.astype(np.float64), estimates.astype(np.float64), compute_permutation=False
    )
    return {"references": references, "estimates": estimates, "sdr": sdr, "sir": sir, "sar": sar}


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("bss_eval.npz"), **make())
