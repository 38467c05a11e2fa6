"""A small, true training: solo melodies of 13 instruments in, real ensembles out.

    OMP_NUM_THREADS=1 PYTHONPATH=pipeline python benchmarks/melodies.py DATASET URMP RUNS

Trains the U-Net told which instruments play (label-multiply) and the one that is not, with recipe
`short`, on DATASET (built from single melodies, no ensemble among them) within `SECONDS` each, and
evaluates both on the pieces in the folder URMP, which were never trained on, whole and at 11,025
Hz, with and without a Wiener filter, beside ideal binary masks, the mixture, and the published
outputs that lie beside the pieces. Trainings that RUNS already holds are taken as they are; one
that was stopped goes on by `avpipe train --resume`. Results and pictures go to `results/melodies/`.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from avpipe import open_dataset
from avpipe.separation import plots, separate
from avpipe.separation.evaluate import Report, evaluate
from avpipe.separation.journal import read_rows
from avpipe.separation.sound import resample
from avpipe.separation.testsets import ensembles
from avpipe.separation.train import Config, train
from machine import RESULTS, machine, save

SECONDS = 2_700.0
SIZE = (640, 900)
"""Of the pictures, px."""
SYSTEMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "unet-label-multiply": (
        {"conditioning": "label-multiply"},
        {},
    ),
    "unet": ({}, {"milestones": (500, 650)}),
}
"""Name -> options of the separator, changes of the recipe."""


def trained(data: Path, runs: Path) -> dict[str, Path]:
    """Folder of every training."""
    folders = {name: runs / name for name in SYSTEMS}
    for name, (options, changes) in SYSTEMS.items():
        if not folders[name].exists():
            train(
                Config(
                    data=data,
                    out=folders[name],
                    options=options,
                    changes=changes,
                    seconds=SECONDS,
                    device="cpu",
                )
            )
    return folders


def facts(run: Path) -> dict[str, Any]:
    """What a training cost and where it got."""
    rows = read_rows(run / "metrics.csv")
    last = rows[-1]
    return {
        "steps": int(last["step"]),
        "mixtures": int(last["step"]) * 8,
        "wall_seconds": round(last["seconds"]),
        "learning_rate_at_step": {f"{row['step']:.0f}": row["rate"] for row in rows},
        "validation_si_sdr_first": round(rows[0]["validation_si_sdr"], 2),
        "validation_si_sdr_last": round(last["validation_si_sdr"], 2),
    }


def sdr_by_piece(report: Report) -> dict[str, dict[str, float]]:
    """System -> piece -> mean SDR of its instruments."""
    found: dict[str, dict[str, list[float]]] = {}
    for system, rows in report.rows.items():
        for row in rows:
            if np.isfinite(row.sdr):
                found.setdefault(Path(system).name, {}).setdefault(row.mixture, []).append(row.sdr)
    return {s: {p: round(float(np.mean(v)), 2) for p, v in d.items()} for s, d in found.items()}


def pictures(folders: dict[str, Path], urmp: Path, out: Path) -> None:
    """Spectrograms of the mixture, the truth and every separated file."""
    for piece in ensembles(urmp, 11_025):
        for name, run in folders.items():
            mixture = urmp / f"{piece.name}_mix.wav"
            found = separate(mixture, run, list(piece.sources), wiener=True)
            signals = {"mixture": piece.mixture}
            for instrument, truth in piece.sources.items():
                stem = next(s for n, s in found.stems.items() if _same(n, instrument))
                signals[f"{instrument}, true"] = truth
                signals[f"{instrument}, by {name}"] = resample(stem, found.sample_rate, 11_025)
            path = out / f"{piece.name}-{name}.png"
            plots.spectrograms(signals, 11_025, path)
            Image.open(path).quantize(48).resize(SIZE).save(path, optimize=True)


def _same(name: str, instrument: str) -> bool:
    return name.lower().replace("_", "") == instrument.replace("_", "")


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("dataset", "urmp", "runs"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    folders = trained(arguments.dataset, arguments.runs)
    out = RESULTS / "melodies"
    out.mkdir(parents=True, exist_ok=True)
    systems: list[str | Path] = ["mixture", "oracle", *folders.values()]
    report = evaluate(systems, arguments.urmp, wiener=True)
    pictures(folders, arguments.urmp, out)
    table = report.table
    for name, folder in folders.items():
        table = table.replace(str(folder), name)
    (out / "table.md").write_text(table, encoding="utf-8")
    dataset = open_dataset(arguments.dataset)
    save(
        "melodies",
        {
            "what": __doc__.splitlines()[0] if __doc__ else "",
            "machine": machine("torch", "lightning", "numpy"),
            "trained_on": {
                "recordings": len(set(dataset.index["recording"])),
                "dataset": dataset.name,
            },
            "trainings": {name: facts(folder) for name, folder in folders.items()},
            "mean_sdr_by_piece": sdr_by_piece(report),
            "systems": {
                Path(name).name: {m: v for m, v in s["all"].items() if v["count"]}
                for name, s in report.summaries.items()
            },
        },
    )


if __name__ == "__main__":
    main()
