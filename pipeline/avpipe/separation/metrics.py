"""How good separated signals are, in the numbers of the literature.

Signals are numpy arrays or torch tensors of samples, references first: `references_SN`,
`estimates_SN`, any leading dimensions before them. Results are float64 numpy arrays in dB. Row s of
the estimates is compared with row s of the references: no permutation is searched.

bss_eval   SDR, SIR, SAR of BSS-eval v3 "sources" (Vincent, Gribonval, Févotte, IEEE TASLP 2006):
           the references may pass through any filter of 512 taps before they are compared.
si_sdr     scale-invariant SDR (Le Roux, Wisdom, Erdogan, Hershey, ICASSP 2019).
sd_sdr     scale-dependent SDR (the same).
pes        energy predicted where the target is silent; eps: energy missed where the prediction
           is silent (Schulze-Forster et al., WASPAA 2019), over whole signals.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.errors import UsageError
from avpipe.separation import bss

Float64 = npt.NDArray[np.float64]

FLOOR = 1e-8
"""Added inside logarithms of si_sdr, sd_sdr, pes and eps: nothing is below -80 dB."""


def bss_eval(
    references_SN: Any, estimates_SN: Any, *, filter_length: int = 512
) -> dict[str, Float64]:
    """SDR, SIR and SAR of BSS-eval v3, sources variant, without permutation.

    A silent reference or estimate (all zeros) and an estimate with a sample that is not finite have
    no defined value: their entries are nan, and `numpy.isnan(sdr).sum()` counts them. A silent
    reference does not change the values of the others. SIR is nan where a source has no other
    sounding source beside it. All other values lie in [-300, 300]. CUDA tensors are evaluated on
    their device.

    Args:
        references_SN: (..., S, N).
        estimates_SN: (..., S, N).
        filter_length: taps of the allowed distortion.

    Returns:
        `sdr`, `sir`, `sar`, each (..., S) in dB.

    Raises:
        UsageError: the shapes differ or a reference is not finite.
    """
    references, estimates = _pair(references_SN, estimates_SN, keep_torch=True)
    return bss.evaluate(references, estimates, filter_length)


def si_sdr(references: Any, estimates: Any) -> Float64:
    """SI-SDR: 10 log10(|s|^2 / |s - p|^2), s the target scaled to fit the prediction p best.

    Args:
        references: (..., N).
        estimates: (..., N).

    Returns:
        (...) dB, not below -80; a silent signal gives -80.
    """
    target, prediction = _pair(references, estimates)
    scaled = _scaled(target, prediction)
    return _db(_energy(scaled) / (_energy(scaled - prediction) + FLOOR))


def sd_sdr(references: Any, estimates: Any) -> Float64:
    """SD-SDR: as `si_sdr`, but a wrong scale is an error: 10 log10(|s|^2 / |t - p|^2)."""
    target, prediction = _pair(references, estimates)
    return _db(_energy(_scaled(target, prediction)) / (_energy(target - prediction) + FLOOR))


def pes(references: Any, estimates: Any = None, *, published: bool = False) -> Float64:
    """Predicted energy at silence: 10 log10(sum p^2), nan where the target is not silent.

    Args:
        references: (..., N); with `estimates` left out, these are the estimates of targets that
            are known to be silent.
        estimates: (..., N).
        published: leave out (nan) predictions that are exactly silent, as the published means do.
            By default they count, with the floor of -80 dB.

    Returns:
        (...) dB. The energy is a sum, not a mean: it grows with the length.
    """
    if estimates is None:
        prediction = _array(references)
        target = np.zeros_like(prediction)
    else:
        target, prediction = _pair(references, estimates)
    counted = ~target.any(-1)
    if published:
        counted &= prediction.any(-1)
    return np.where(counted, _db(_energy(prediction)), np.nan)


def eps(references: Any, estimates: Any = None) -> Float64:
    """Energy at predicted silence: 10 log10(sum t^2) where the prediction is exactly silent and
    the target is not, nan elsewhere.

    Args:
        references: (..., N).
        estimates: (..., N); left out: all of them silent.
    """
    if estimates is None:
        target = _array(references)
        prediction = np.zeros_like(target)
    else:
        target, prediction = _pair(references, estimates)
    missed = target.any(-1) & ~prediction.any(-1)
    return np.where(missed, _db(_energy(target)), np.nan)


def _pair(references: Any, estimates: Any, *, keep_torch: bool = False) -> tuple[Any, Any]:
    """Both signals as float64 of one shape; CUDA tensors stay tensors if `keep_torch`."""
    if tuple(np.shape(references)) != tuple(np.shape(estimates)):
        raise UsageError(
            f"references {tuple(np.shape(references))} and estimates {tuple(np.shape(estimates))}"
            " must have the same shape"
        )
    if keep_torch and getattr(references, "is_cuda", False):
        references = references.detach().double()
        return references, estimates.detach().to(references.device).double()
    return _array(references), _array(estimates)


def _array(signal: Any) -> Float64:
    if hasattr(signal, "detach"):
        signal = signal.detach().cpu().double()
    array = np.asarray(signal, np.float64)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise UsageError(f"a signal must have at least one sample, not shape {array.shape}")
    return array


def _scaled(target: Float64, prediction: Float64) -> Float64:
    gain = (prediction * target).sum(-1, keepdims=True) / (_energy(target)[..., None] + FLOOR)
    return np.asarray(gain * target)


def _energy(signal: Float64) -> Float64:
    return np.asarray(np.square(signal).sum(-1))


def _db(ratio: Float64) -> Float64:
    return np.asarray(10 * np.log10(ratio + FLOOR))
