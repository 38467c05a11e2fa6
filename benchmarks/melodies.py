"""A small, true training: solo melodies of 13 instruments in, real ensembles out.

    OMP_NUM_THREADS=1 PYTHONPATH=pipeline python benchmarks/melodies.py MELODIES URMP WORK

Builds the melodies (`<instrument>/*.flac`, no ensemble among them) as a dataset in WORK, trains on
it with recipe `few-solos`

    unet-label-multiply   the U-Net that is told which instruments play,
    unet                  the same without labels, from the weights of the first, and
    mhunet                the multi-head U-Net, narrower, without labels,

for as many steps as `SYSTEMS` says, and evaluates them on the pieces in the folder URMP, whole and
at 11,025 Hz, beside ideal binary masks, the mixture, and the published outputs that lie beside the
pieces. Nothing is chosen by those pieces: the weights are the best on mixtures of held-out
melodies, and so is decided whether stems go through a Wiener filter. A training that was stopped
goes on; one that is done is taken as it is; of one that was killed the CPU time is not known
(null). Results and pictures go to `results/melodies/`; then the order oracle > trained > mixture is
asserted of what was chosen, by mean SDR. The multi-head U-Net fails it in the results there.

Six tracks of two pieces are few: the differences between the systems are within what one track
decides.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from avpipe import open_dataset
from avpipe.separation import plots, separate
from avpipe.separation.evaluate import BESIDE, Report, evaluate
from avpipe.separation.journal import read_rows
from avpipe.separation.mixing import Mixing
from avpipe.separation.sound import resample
from avpipe.separation.systems import FILTERED
from avpipe.separation.testsets import ensembles
from avpipe.separation.train import Config, train
from machine import RESULTS, machine, save

RECIPE = "few-solos"
SIZE = (640, 900)
"""Of the pictures, px."""
HELD_OUT_MIXTURES = 40
HELD_OUT = Mixing(fewest=3, most=3, combine="sum", gain=(0.25, 1.0))
SYSTEMS: dict[str, dict[str, Any]] = {
    "unet-label-multiply": {
        "separator": "unet",
        "options": {"conditioning": "label-multiply"},
        "changes": {"steps": 9_000},
    },
    "unet": {
        "separator": "unet",
        "changes": {"steps": 800, "rate": 3e-4, "warmup_steps": 50},
        "weights": "unet-label-multiply",
    },
    "mhunet": {
        "separator": "mhunet",
        "options": {"channels": (4, 8, 16, 32, 48, 64)},
        "changes": {"steps": 4_000, "rate": 2e-3, "warmup_steps": 50},
    },
}
"""Name -> what its training has besides the recipe; `weights` names one before."""

MANIFEST = """name = "melodies"
title = "Melodies of single recorded notes"
licence = "see the recordings' own"
citation = "benchmarks/melodies.py"
source = "nowhere"
recordings = "melodies.csv"
fps = 25
sample_rate = 11025
fields = ["audio"]
allow_missing = ["video"]

[segment]
source = "whole"
"""


def built(melodies: Path, work: Path) -> Path:
    """The dataset of the melodies; made if it is not there or not up to date."""
    work.mkdir(parents=True, exist_ok=True)
    manifest = work / "melodies.toml"
    manifest.write_text(MANIFEST, encoding="utf-8")
    with (work / "melodies.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "category"))
        writer.writerows(
            (path.stem, path.parent.name) for path in sorted(melodies.glob("*/*.flac"))
        )
    out = work / "data"
    command = ["build", str(manifest), "--source", str(melodies), "--out", str(out)]
    subprocess.run([sys.executable, "-m", "avpipe", *command], check=True)
    return out


def trained(data: Path, runs: Path) -> dict[str, Path]:
    """Folder of every training."""
    for name, system in SYSTEMS.items():
        rows = read_rows(runs / name / "metrics.csv")
        if rows and rows[-1]["step"] >= _recipe(runs / name)["steps"]:
            continue
        weights = system.get("weights")
        spent = time.process_time()
        train(
            Config(
                data=data,
                out=runs / name,
                recipe=RECIPE,
                separator=system["separator"],
                options=system.get("options", {}),
                changes=system.get("changes", {}),
                weights=runs / weights if weights else None,
                precision="bf16-mixed",
                device="cpu",
                resume=bool(rows),
            )
        )
        _add_cpu_seconds(runs / f"{name}.cpu.json", time.process_time() - spent, bool(rows))
    return {name: runs / name for name in SYSTEMS}


def _recipe(run: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))
    recipe: dict[str, Any] = facts["recipe"]
    return recipe


def _add_cpu_seconds(path: Path, seconds: float, resumed: bool) -> None:
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else 0.0
    known = before is not None and (path.exists() or not resumed)
    path.write_text(json.dumps(round(before + seconds, 1) if known else None), encoding="utf-8")


def facts(run: Path) -> dict[str, Any]:
    """What a training cost and where it got."""
    rows = read_rows(run / "metrics.csv")
    return {
        "steps": int(rows[-1]["step"]),
        "mixtures": int(rows[-1]["step"]) * _recipe(run)["batch"],
        "cpu_seconds": json.loads(run.with_name(f"{run.name}.cpu.json").read_text()),
        "wall_seconds": round(rows[-1]["seconds"]),
        "learning_rate": {f"{r['step']:.0f}": round(r["rate"], 7) for r in rows},
        "validation_si_sdr": {f"{r['step']:.0f}": round(r["validation_si_sdr"], 2) for r in rows},
    }


def sdr_by_piece(report: Report) -> dict[str, dict[str, float]]:
    """System -> piece -> mean SDR of its instruments, and of all pieces' instruments."""
    found: dict[str, dict[str, list[float]]] = {}
    for system, rows in report.rows.items():
        pieces = found.setdefault(Path(system).name, {})
        for row in rows:
            if np.isfinite(row.sdr):
                pieces.setdefault(row.mixture, []).append(row.sdr)
                pieces.setdefault("mean", []).append(row.sdr)
    return {s: {p: round(float(np.mean(v)), 2) for p, v in d.items()} for s, d in found.items()}


def chosen(held_out: Report) -> dict[str, str]:
    """Training -> itself or itself with a Wiener filter, whichever separates the held-out melodies
    better."""
    sdr = {Path(name).name: s["all"]["sdr"]["mean"] for name, s in held_out.summaries.items()}
    return {name: max(name, name + FILTERED, key=lambda n: sdr[n]) for name in SYSTEMS}


def pictures(folders: dict[str, Path], best: dict[str, str], urmp: Path, out: Path) -> None:
    """Spectrograms of the mixture, the truth and every separated file."""
    for piece in ensembles(urmp, 11_025):
        for name, run in folders.items():
            mixture = urmp / f"{piece.name}_mix.wav"
            found = separate(mixture, run, list(piece.sources), wiener=best[name] != name)
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
    for name in ("melodies", "urmp", "work"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    data = built(arguments.melodies, arguments.work)
    folders = trained(data, arguments.work / "runs")
    systems: list[str | Path] = ["mixture", "oracle", *folders.values()]
    held_out = evaluate(systems, data, mixing=HELD_OUT, mixtures=HELD_OUT_MIXTURES, wiener=True)
    best = chosen(held_out)
    report = evaluate(systems, arguments.urmp, wiener=True)
    by_piece = sdr_by_piece(report)
    out = RESULTS / "melodies"
    out.mkdir(parents=True, exist_ok=True)
    pictures(folders, best, arguments.urmp, out)
    table = report.table
    for name, folder in folders.items():
        table = table.replace(str(folder), name)
    (out / "table.md").write_text(table, encoding="utf-8")
    dataset = open_dataset(data)
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
            "chosen_on_held_out_melodies": best,
            "mean_sdr_of_held_out_melodies": {
                Path(name).name: round(s["all"]["sdr"]["mean"], 2)
                for name, s in held_out.summaries.items()
            },
            "mean_sdr_by_piece": by_piece,
            "above_the_published_outputs": {
                name: {
                    piece: sdr > by_piece[BESIDE][piece]
                    for piece, sdr in by_piece[best[name]].items()
                }
                for name in SYSTEMS
            },
            "systems": {
                Path(name).name: {m: v for m, v in s["all"].items() if v["count"]}
                for name, s in report.summaries.items()
            },
        },
    )
    for name in best.values():
        low, sdr, high = (by_piece[system]["mean"] for system in ("mixture", name, "oracle"))
        assert low < sdr < high, f"{name}: mean SDR {sdr} dB, mixture {low}, ideal masks {high}"


if __name__ == "__main__":
    main()
