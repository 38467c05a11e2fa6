"""Pictures of trainings and evaluations: curves, spectrograms, box plots, improvement."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

WINDOW = 1022
HOP = 256
RANGE_DB = 70
"""Of the colours of a spectrogram, below the mixture's loudest bin."""


def curves(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Losses, SI-SDR, learning rate and number of sources over the steps of a training.

    Args:
        rows: of `metrics.csv`.
        path: PNG.
    """
    figure, axes = _axes(3, 1, (8, 7.5))
    steps = [row["step"] for row in rows]
    axes[0].plot(steps, [row["train_loss"] for row in rows], label="training")
    axes[0].plot(steps, [row["validation_loss"] for row in rows], label="validation")
    axes[0].set(ylabel="loss")
    axes[0].legend()
    axes[1].plot(steps, [row["validation_si_sdr"] for row in rows], color="tab:green")
    axes[1].set(ylabel="SI-SDR of validation (dB)")
    axes[2].plot(steps, [row["rate"] for row in rows], color="tab:purple")
    axes[2].set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    sources = axes[2].twinx()
    sources.step(steps, [row["sources"] for row in rows], color="tab:brown", where="post")
    sources.set_ylabel("sources at most", color="tab:brown")
    sources.yaxis.get_major_locator().set_params(integer=True)
    _save(figure, path)


def spectrograms(signals: Mapping[str, npt.NDArray[Any]], rate: int, path: Path) -> None:
    """Magnitudes in dB of some signals, one above the other, on one colour scale.

    Args:
        signals: title -> (N,).
        rate: Hz.
        path: PNG.
    """
    from scipy.signal import stft

    figure, axes = _axes(len(signals), 1, (9, 1.9 * len(signals)))
    spectra = {}
    for title, signal in signals.items():
        padded = np.pad(signal, (0, max(0, WINDOW - len(signal))))
        spectra[title] = np.abs(stft(padded, rate, nperseg=WINDOW, noverlap=WINDOW - HOP)[2])
    loudest = max(float(s.max(initial=0)) for s in spectra.values())
    top = 20 * np.log10(loudest) if loudest else 0.0
    for axis, (title, spectrum) in zip(axes, spectra.items(), strict=True):
        seconds = len(signals[title]) / rate
        axis.imshow(
            20 * np.log10(np.maximum(spectrum, 1e-10)),
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=top - RANGE_DB,
            vmax=top,
            extent=(0, seconds, 0, rate / 2000),
        )
        axis.set_title(title, fontsize=8, loc="left")
        axis.set_ylabel("kHz", fontsize=8)
    axes[-1].set_xlabel("s")
    _save(figure, path)


def boxes(groups: Mapping[str, Sequence[float]], label: str, title: str, path: Path) -> None:
    """A box a group: median, quartiles, 1.5 interquartile ranges, outliers; the mean as a triangle.

    Args:
        groups: name -> values; nan are left out.
        label: of the axis.
        title: of the picture.
        path: PNG.
    """
    figure, axes = _axes(1, 1, (max(5, 0.8 * len(groups)), 4.5))
    values = [[v for v in group if np.isfinite(v)] for group in groups.values()]
    names = [f"{name}\n{len(v)}" for name, v in zip(groups, values, strict=True)]
    axes[0].boxplot(values, tick_labels=names, showmeans=True)
    axes[0].set_title(title, fontsize=9)
    axes[0].set(ylabel=label)
    axes[0].grid(axis="y", alpha=0.3)
    axes[0].tick_params(axis="x", labelsize=7, labelrotation=45)
    _save(figure, path)


def improvement(
    before: Sequence[float], after: Sequence[float], label: str, title: str, path: Path
) -> None:
    """Gain over the mixture against the mixture's own value, a dot a source, darker where several
    lie (thesis Fig. 5.5)."""
    figure, axes = _axes(1, 1, (5, 5))
    x, y = np.asarray(before, float), np.asarray(after, float)
    axes[0].axhline(0, color="grey", linewidth=0.8)
    axes[0].scatter(x, y - x, s=14, alpha=0.5, linewidths=0)
    axes[0].set_title(title, fontsize=9)
    axes[0].set(xlabel=f"{label} of the mixture (dB)", ylabel=f"{label} improvement (dB)")
    _save(figure, path)


def locations(pictures: Any, maps: Any, names: Sequence[str], path: Path) -> None:
    """Every picture with what is located in it as heat over it.

    Args:
        pictures: (S, 3, H, W) uint8 RGB.
        maps: (S, H', W') in [0, 1], of the same extent.
        names: S titles.
        path: PNG.
    """
    figure, axes = _axes(1, len(names), (3 * len(names), 3.4))
    for axis, picture, heat, name in zip(axes, pictures, maps, names, strict=True):
        height, width = picture.shape[1:]
        extent = (0, width, height, 0)
        axis.imshow(np.moveaxis(np.asarray(picture), 0, -1), extent=extent)
        shown = axis.imshow(
            heat, cmap="inferno", alpha=0.5, extent=extent, interpolation="bilinear"
        )
        low, high = float(heat.min()), float(heat.max())
        axis.set_title(f"{name}: {low:.2f} to {high:.2f}", fontsize=9)
        axis.set_axis_off()
        shown.set_clim(low, max(high, low + 1e-6))
    _save(figure, path)


def _axes(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
    # Figure, not pyplot: no global state, and no display is looked for.
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    return figure, list(grid.ravel())


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
