"""Scores of separated pieces: one row a source, summaries, and paired differences."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avpipe.separation import metrics
from avpipe.separation.metrics import Float64
from avpipe.types import Float32

METRICS = ("sdr", "sir", "sar", "si_sdr", "sd_sdr", "pes", "pes_published", "eps")
SILENCE = 1e-5
"""Sum of magnitudes under which a signal is silent (released evaluation code)."""
RESAMPLES = 10_000


@dataclass(frozen=True)
class Row:
    """One output of a separator for one mixture; nan where a metric is not defined."""

    mixture: str
    instrument: str
    sources: int
    """In the mixture."""
    player: str = ""
    """Which one it is, where several play the instrument and each is a source."""
    sdr: float = np.nan
    sir: float = np.nan
    sar: float = np.nan
    si_sdr: float = np.nan
    sd_sdr: float = np.nan
    pes: float = np.nan
    """Where the instrument is silent: energy predicted all the same, with the floor of -80 dB."""
    pes_published: float = np.nan
    """The same without predictions that are exactly silent, as in the published means."""
    eps: float = np.nan
    """Where the prediction is silent and the instrument is not: energy missed."""
    mixture_si_sdr: float = np.nan
    """Of the unseparated mixture."""


def score(
    name: str,
    mixture: Float32,
    sources: Mapping[str, Float32],
    estimates: Mapping[str, Float32],
    shared: Mapping[str, str] | None = None,
    device: str = "cpu",
) -> tuple[list[Row], str | None]:
    """Rows of one mixture, and why its SDR, SIR and SAR are missing, if they are.

    Args:
        name: of the mixture.
        mixture: (N,).
        sources: name -> (N,).
        estimates: name -> (N,), of at least the names in `sources`; further ones are outputs for
            instruments that do not play.
        shared: name -> instrument, of the sources that are not called what they play.
        device: of torch, for SDR, SIR and SAR, which take nearly all of the time.
    """
    shared = shared or {}
    playing = list(sources)
    absent = [name for name in estimates if name not in sources]
    references = np.stack([sources[k] for k in playing]).astype(np.float64)
    predicted = np.stack([estimates[k] for k in playing]).astype(np.float64)
    values: dict[str, Float64] = {}
    reason = None
    if (np.abs(references).sum(-1) <= SILENCE).any():
        reason = "a source is silent"
    elif (np.abs(predicted).sum(-1) <= SILENCE).any():
        reason = "an estimate is silent"
    else:
        values |= metrics.bss_eval(_on(device, references), _on(device, predicted))
    both = references.any(-1) & predicted.any(-1)
    values["si_sdr"] = np.where(both, metrics.si_sdr(references, predicted), np.nan)
    values["sd_sdr"] = np.where(both, metrics.sd_sdr(references, predicted), np.nan)
    values["pes"] = metrics.pes(references, predicted)
    values["pes_published"] = metrics.pes(references, predicted, published=True)
    values["eps"] = metrics.eps(references, predicted)
    whole = np.broadcast_to(mixture, references.shape)
    values["mixture_si_sdr"] = np.where(both, metrics.si_sdr(references, whole), np.nan)
    rows = [
        Row(
            name,
            shared.get(source, source),
            len(playing),
            source if source in shared else "",
            **{k: float(v[i]) for k, v in values.items()},
        )
        for i, source in enumerate(playing)
    ]
    for instrument in absent:
        signal = estimates[instrument]
        silent = np.zeros_like(signal)
        rows.append(
            Row(
                name,
                instrument,
                len(playing),
                pes=float(metrics.pes(signal)),
                pes_published=float(metrics.pes(silent, signal, published=True)),
            )
        )
    return rows, reason


def _on(device: str, signals: Float64) -> Any:
    """As they are for the CPU, where NumPy needs no torch; else a tensor."""
    if device == "cpu":
        return signals
    import torch

    return torch.from_numpy(signals).to(device)


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Mean, standard deviation, median and count of every metric: of all rows, by instrument and
    by number of sources."""
    return {
        "all": _statistics(rows),
        "by_instrument": _grouped(rows, lambda row: row.instrument),
        "by_sources": _grouped(rows, lambda row: str(row.sources)),
    }


def paired_difference(
    first: Sequence[Row], second: Sequence[Row], metric: str, seed: int = 0
) -> dict[str, float]:
    """Mean of second minus first over the sources that both have, with a 95 % interval.

    The bootstrap draws whole mixtures, since the sources of one are not independent.
    """
    before = {_source(row): getattr(row, metric) for row in first}
    differences: dict[str, list[float]] = {}
    for row in second:
        change = getattr(row, metric) - before.get(_source(row), np.nan)
        if np.isfinite(change):
            differences.setdefault(row.mixture, []).append(change)
    sums = np.array([sum(group) for group in differences.values()])
    counts = np.array([len(group) for group in differences.values()])
    if not len(sums):
        return {"mean": np.nan, "low": np.nan, "high": np.nan, "sources": 0, "mixtures": 0}
    random = np.random.default_rng(seed)
    drawn = random.integers(len(sums), size=(RESAMPLES, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {
        "mean": float(sums.sum() / counts.sum()),
        "low": float(low),
        "high": float(high),
        "sources": int(counts.sum()),
        "mixtures": len(sums),
    }


def _source(row: Row) -> tuple[str, str, str]:
    return row.mixture, row.instrument, row.player


def write_rows(rows: Mapping[str, Sequence[Row]], path: Path) -> None:
    """CSV, a row a source: system, mixture, instrument, sources, player and the metrics."""
    with path.open("w", newline="", encoding="utf-8") as file:
        names = ["system", *asdict(Row("", "", 0))]
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        for system, some in rows.items():
            for row in some:
                writer.writerow({"system": system, **_plain(asdict(row))})


def _statistics(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    listed = list(rows)
    found = {}
    for metric in METRICS:
        values = np.array([getattr(row, metric) for row in listed], float)
        values = values[np.isfinite(values)]
        some = len(values) > 0
        found[metric] = {
            "mean": float(values.mean()) if some else np.nan,
            "std": float(values.std()) if some else np.nan,
            "median": float(np.median(values)) if some else np.nan,
            "count": len(values),
        }
    return found


def _grouped(rows: Sequence[Row], key: Callable[[Row], str]) -> dict[str, Any]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return {name: _statistics(groups[name]) for name in sorted(groups)}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: round(v, 6) if isinstance(v, float) else v for k, v in values.items()}
