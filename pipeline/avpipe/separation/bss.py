"""The projections behind BSS-eval v3, for numpy arrays and torch tensors alike.

An estimate is split into what a filter of L taps on its own reference explains (target), what
filters on the other references explain besides (interference) and the rest (artifacts). Both
least-squares projections come from normal equations: a block Toeplitz matrix of correlations,
factored by Cholesky. The filters are then applied, and the energies are those of real residuals,
not differences of energies, so a ratio of 100 dB keeps its digits.

References of narrow band make the equations ill-conditioned: one step of iterative refinement
follows. Where the matrix is not positive definite in double precision (equal references) a small
ridge makes it so, and the refinement takes most of the ridge's bias away again.

Letters: B batch, S references, E estimates, N samples, L taps, F frequency bins.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import as_strided
from scipy.linalg import lapack

from avpipe.errors import UsageError

SMALLEST = 1e-30
"""Energies below this part of the estimate's are rounding: ratios are bounded by 300 dB."""
RIDGES = (0.0, 1e-13, 1e-11, 1e-9, 1e-7)
"""Added to the diagonal in turn until the factorisation succeeds; a reference has energy 1."""
POSITIVE = "correlations of signals of energy 1 with a ridge are positive definite"


def evaluate(references: Any, estimates: Any, taps: int) -> dict[str, Any]:
    """SDR, SIR, SAR as `metrics.bss_eval` documents them.

    Args:
        references: (..., S, N) float64, a numpy array or a tensor on any device.
        estimates: the same shape and kind.
        taps: L.

    Returns:
        numpy arrays (..., S) in dB.
    """
    library = _Numpy() if isinstance(references, np.ndarray) else _Torch()
    *leading, n = (1, *references.shape) if references.ndim == 1 else references.shape
    batch = (-1, leading[-1], n)
    references, estimates = references.reshape(batch), estimates.reshape(batch)
    parts = [
        _evaluate(
            library, references[i : i + library.batch], estimates[i : i + library.batch], taps
        )
        for i in range(0, len(references), library.batch)
    ]
    values = np.concatenate(parts, 1) if parts else np.empty(0)
    return dict(zip(("sdr", "sir", "sar"), values.reshape(3, *leading), strict=True))


def _evaluate(library: Any, references_BSN: Any, estimates_BSN: Any, taps: int) -> Any:
    """(3, B, S): SDR, SIR and SAR."""
    if not bool(library.xp.isfinite(references_BSN).all()):
        raise UsageError("a reference holds samples that are not finite numbers: fix the targets")
    references_BSN, sounding_BS = _normalised(library, references_BSN)
    estimates_BSN, predicted_BS = _normalised(library, estimates_BSN)
    b, s, n = references_BSN.shape
    # Long enough that no correlation and no filtered reference wraps around.
    length = scipy.fft.next_fast_len(n + taps - 1, real=True)
    references_BSF = library.rfft(references_BSN, length)
    estimates_BSF = library.rfft(estimates_BSN, length)
    every_BSF = _project(library, references_BSF, estimates_BSF, taps, length)
    each = (b * s, 1, -1)
    own_BSF = _project(
        library, references_BSF.reshape(each), estimates_BSF.reshape(each), taps, length
    ).reshape(estimates_BSF.shape)

    def ratio(part_BSF: Any, rest_BSF: Any) -> Any:
        part, rest = (library.numpy(_energy(x, length)) for x in (part_BSF, rest_BSF))
        return 10 * np.log10(np.maximum(part, SMALLEST) / np.maximum(rest, SMALLEST))

    defined_BS = sounding_BS & predicted_BS
    accompanied_BS = sounding_BS.sum(-1, keepdims=True) > 1
    return np.stack(
        [
            np.where(defined_BS, ratio(own_BSF, estimates_BSF - own_BSF), np.nan),
            np.where(defined_BS & accompanied_BS, ratio(own_BSF, every_BSF - own_BSF), np.nan),
            np.where(defined_BS, ratio(every_BSF, estimates_BSF - every_BSF), np.nan),
        ]
    )


def _project(library: Any, references_BSF: Any, estimates_BEF: Any, taps: int, length: int) -> Any:
    """Spectra (B, E, F) of the projections of the estimates on the filtered references."""
    conjugate_BS1F = references_BSF.conj()[:, :, None]
    lags_BSSL = library.irfft(conjugate_BS1F * references_BSF[:, None], length)[..., :taps]
    sources = np.arange(lags_BSSL.shape[1])
    lags_BSSL[:, sources, sources, 0] = 1  # also a silent one's: it then takes no part
    solve = library.factor(lags_BSSL)

    def project(signals_BEF: Any) -> Any:
        right_BSEL = library.irfft(conjugate_BS1F * signals_BEF[:, None], length)[..., :taps]
        filters_BSEF = library.rfft(solve(right_BSEL), length)
        return (filters_BSEF * references_BSF[:, :, None]).sum(1)

    once_BEF = project(estimates_BEF)
    rest_BEF = estimates_BEF - once_BEF
    refined_BEF = once_BEF + project(rest_BEF)
    # A projection leaves the least rest: near the limit of double precision refining can harm.
    better_BE = _energy(estimates_BEF - refined_BEF, length) < _energy(rest_BEF, length)
    return library.xp.where(better_BE[..., None], refined_BEF, once_BEF)


def _normalised(library: Any, signals_BSN: Any) -> tuple[Any, Any]:
    """Signals of energy 1, or 0 where silent or not finite; and (B, S) where they are usable."""
    energy_BS1 = (signals_BSN**2).sum(-1)[..., None]
    usable_BS1 = library.xp.isfinite(energy_BS1) & (energy_BS1 > 0)
    scale_BS1 = library.xp.where(usable_BS1, energy_BS1, 1.0) ** 0.5
    normalised_BSN = library.xp.where(usable_BS1, signals_BSN, 0.0) / scale_BS1
    return normalised_BSN, library.numpy(usable_BS1[..., 0])


def _energy(spectrum: Any, length: int) -> Any:
    """Sum of squares of the signal of `length` samples that has this one-sided spectrum."""
    power = spectrum.real**2 + spectrum.imag**2
    total = 2 * power.sum(-1) - power[..., 0]
    if length % 2 == 0:
        total = total - power[..., -1]
    return total / length


Solve = Callable[[Any], Any]
"""(B, S, E, L) right-hand sides -> (B, S, E, L) filters."""


class _Numpy:
    xp = np
    batch = 1
    """One at a time: the matrix of 4 references takes 32 MB."""

    def rfft(self, x: Any, length: int) -> Any:
        return scipy.fft.rfft(x, length)

    def irfft(self, x: Any, length: int) -> Any:
        return scipy.fft.irfft(x, length)

    def numpy(self, x: Any) -> Any:
        return x

    def factor(self, lags_BSSL: Any) -> Solve:
        factors = [_cholesky(lags_SSL) for lags_SSL in lags_BSSL]

        def solve(right_BSEL: Any) -> Any:
            filters = np.empty_like(right_BSEL)
            for lower, right_SEL, out_SEL in zip(factors, right_BSEL, filters, strict=True):
                s, e, taps = right_SEL.shape
                columns = np.asfortranarray(right_SEL.transpose(0, 2, 1).reshape(s * taps, e))
                solved, _ = lapack.dpotrs(lower, columns, lower=1, overwrite_b=1)
                out_SEL[:] = solved.reshape(s, taps, e).transpose(0, 2, 1)
            return filters

        return solve


def _cholesky(lags_SSL: Any) -> Any:
    """Lower Cholesky factor of the block Toeplitz matrix of correlations."""
    for ridge in RIDGES:
        # LAPACK reads the lower triangle of columns: what lies above is left as it is.
        lower, info = lapack.dpotrf(_toeplitz(lags_SSL, ridge), lower=1, clean=0, overwrite_a=1)
        if info == 0:
            return lower
    raise AssertionError(POSITIVE)


def _toeplitz(lags_SSL: Any, ridge: float) -> Any:
    """(S L, S L) correlations in Fortran order: block (i, j) has <i delayed by k, j by l>."""
    s, _, taps = lags_SSL.shape
    # Lag m of (i, j) is lag -m of (j, i): one row from -(L-1) to L-1.
    both = np.concatenate([lags_SSL.transpose(1, 0, 2)[..., :0:-1], lags_SSL], -1)
    both[range(s), range(s), taps - 1] += ridge
    matrix = np.empty((s * taps, s * taps), order="F")
    step = both.strides[-1]
    for i in range(s):
        for j in range(i + 1):
            block = as_strided(both[i, j, taps - 1 :], (taps, taps), (step, -step), writeable=False)
            matrix[i * taps : (i + 1) * taps, j * taps : (j + 1) * taps] = block
    return matrix


class _Torch:
    batch = 16

    def __init__(self) -> None:
        import torch

        self.xp = torch

    def rfft(self, x: Any, length: int) -> Any:
        return self.xp.fft.rfft(x, length)

    def irfft(self, x: Any, length: int) -> Any:
        return self.xp.fft.irfft(x, length)

    def numpy(self, x: Any) -> Any:
        return x.cpu().numpy()

    def factor(self, lags_BSSL: Any) -> Solve:
        torch = self.xp
        b, s, _, taps = lags_BSSL.shape
        both = torch.cat([lags_BSSL.transpose(1, 2)[..., 1:].flip(-1), lags_BSSL], -1)
        # Window k of the reversed row runs over l: lag k - l.
        blocks_BSSLL = both.flip(-1).unfold(-1, taps, 1).flip(-2)
        matrix = blocks_BSSLL.transpose(2, 3).reshape(b, s * taps, s * taps).contiguous()
        diagonal = matrix.diagonal(dim1=-2, dim2=-1)
        for ridge in RIDGES:
            diagonal += ridge
            lower, info = torch.linalg.cholesky_ex(matrix)
            if not bool(info.any()):
                break
        else:
            raise AssertionError(POSITIVE)

        def solve(right_BSEL: Any) -> Any:
            e = right_BSEL.shape[2]
            columns = right_BSEL.transpose(2, 3).reshape(b, s * taps, e)
            solved = torch.cholesky_solve(columns, lower)
            return solved.reshape(b, s, taps, e).transpose(2, 3)

        return solve
