"""Scores as Markdown: tables of the systems beside the published rows, and remarks on them."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avpipe.separation.scores import METRICS

TITLES = {
    "sdr": "SDR",
    "sir": "SIR",
    "sar": "SAR",
    "si_sdr": "SI-SDR",
    "sd_sdr": "SD-SDR",
    "pes": "PES",
    "pes_published": "PES as published",
    "eps": "EPS",
}
PUBLISHED = Path(__file__).with_name("published.csv")


def overall(
    summaries: Mapping[str, Mapping[str, Any]], labelled: Mapping[str, bool], published: bool
) -> str:
    """Markdown: mean ± standard deviation of every system; below, the published means.

    Args:
        summaries: system -> `summary`.
        labelled: system -> whether it is told which instruments play.
        published: add the rows of the literature (URMP, 40 pieces).
    """
    shown = [name for name in METRICS if name != "eps"]
    lines = [
        f"| system | labels | {' | '.join(TITLES[m] for m in shown)} | n |",
        f"|---|---|{'---|' * len(shown)}---|",
    ]
    for system, values in summaries.items():
        cells = [_cell(values["all"][metric]) for metric in shown]
        told = {True: "yes", False: "no", None: "–"}[labelled.get(system)]
        count = values["all"]["sdr"]["count"]
        lines.append(f"| {system} | {told} | {' | '.join(cells)} | {count} |")
    if published:
        lines += [_published_line(row, shown) for row in _read_published()]
    return "\n".join(lines) + "\n"


def grouped(summaries: Mapping[str, Mapping[str, Any]], grouping: str) -> str:
    """Markdown: SDR of every system, mean ± standard deviation (median), a column a group.

    Args:
        summaries: system -> `summary`.
        grouping: `by_instrument` or `by_sources`.
    """
    groups = sorted(
        {
            name
            for values in summaries.values()
            for name, group in values[grouping].items()
            if group["sdr"]["count"]
        }
    )
    titles = [f"{name} sources" if grouping == "by_sources" else name for name in groups]
    lines = [f"| SDR | {' | '.join(titles)} |", f"|---|{'---|' * len(titles)}"]
    for system, values in summaries.items():
        cells = []
        for name in groups:
            found = values[grouping].get(name, {}).get("sdr", {"count": 0})
            median = f" ({found['median']:.2f})" if found["count"] else ""
            cells.append(_cell(found) + median)
        lines.append(f"| {system} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def remarks(
    differences: Mapping[str, Mapping[str, Mapping[str, float]]],
    dropped: Mapping[str, Mapping[str, int]],
    merged: Mapping[str, int],
    mixtures: int,
    missing: int,
    cut_off: Sequence[float],
) -> str:
    """Markdown list: paired differences with their intervals, what was left out and why (that
    nothing was, too), and of which systems the players of one instrument are one source."""
    lines = []
    for pair, metrics_of in differences.items():
        for metric, found in metrics_of.items():
            if found["mixtures"]:
                lines.append(
                    f"- {pair}: {TITLES[metric]} {found['mean']:+.2f} dB, 95 % interval"
                    f" {found['low']:+.2f} to {found['high']:+.2f}, {found['mixtures']} mixtures"
                )
    if not any(dropped.values()):
        lines.append(f"- 0 of {mixtures} mixtures without SDR, SIR and SAR")
    for system, reasons in dropped.items():
        for reason, count in reasons.items():
            lines.append(
                f"- {system}: {count} of {mixtures} mixtures without SDR, SIR and SAR: {reason}"
            )
    for system, count in merged.items():
        if count:
            lines.append(
                f"- {system}: in {count} of {mixtures} mixtures the players of an instrument are"
                " scored together: a label does not tell them apart"
            )
    if cut_off:
        lines.append(
            f"- the ends of {len(cut_off)} pieces, {sum(cut_off):.1f} s in all, are shorter than a"
            " segment and left out"
        )
    if missing:
        lines.append(
            f"- {missing} listed mixtures left out: not all their recordings are for testing"
        )
    return "\n".join(lines) + "\n"


def _cell(statistics: Mapping[str, float]) -> str:
    if not statistics["count"]:
        return "–"
    return f"{statistics['mean']:.2f} ± {statistics['std']:.2f}"


def _read_published() -> list[dict[str, str]]:
    with PUBLISHED.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _published_line(row: Mapping[str, str], shown: Sequence[str]) -> str:
    # Their PES is the mean without exact silence.
    titles = {"pes": "", "pes_published": "PES"}
    cells = [row.get(titles.get(metric, TITLES[metric]), "") or "–" for metric in shown]
    labels = row["labels"] or "–"
    return f"| {row['system']} ({row['source']}) | {labels} | {' | '.join(cells)} | – |"
