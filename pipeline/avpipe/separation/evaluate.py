"""Tells how good separators are: on fixed mixtures of held-out recordings, or on real ensembles.

    evaluate(["runs/unet", "oracle", "mixture"], "data/solos")       # mix and separate
    evaluate(["runs/unet"], "data/urmp", segment_samples=65535)      # the protocol of the thesis

All systems get the same mixtures. Labels are the true ones: a separator that reads categories is
told the instruments that play and no others, and stands in the table as such.

Where recordings of one instrument sound together, each player is scored for itself if the separator
sees who is who. Of one that knows labels at most, the players of an instrument are scored together,
and a mixture that has only one instrument is left out, and counted.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avpipe import jsontext, open_dataset
from avpipe.errors import UsageError
from avpipe.separation import mixture_lists, plots, scores, tables, testsets
from avpipe.separation.systems import BOUNDS, FILTERED, System, as_system, filtered, load_system
from avpipe.separation.testsets import Piece

if TYPE_CHECKING:
    from avpipe.dataset import Dataset
    from avpipe.separation.interface import Separator
    from avpipe.separation.look import Look
    from avpipe.separation.mixing import Mixing

INDISTINCT = "all play one instrument, a label does not tell the players apart"
"""Why a mixture is left out."""
BESIDE = "published outputs"
"""System of the estimates that lie beside the pieces."""


@dataclass(frozen=True, eq=False)
class Report:
    """What an evaluation found."""

    rows: dict[str, list[scores.Row]]
    """System -> a row a source."""
    summaries: dict[str, dict[str, Any]]
    """System -> `scores.summary`."""
    dropped: dict[str, dict[str, int]]
    """System -> reason -> mixtures without SDR, SIR and SAR."""
    merged: dict[str, int]
    """System -> mixtures in which the players of an instrument are one source."""
    differences: dict[str, dict[str, Any]]
    """"B - A" -> metric -> mean and 95 % interval, for every system against the first."""
    mixtures: int
    missing: int
    """Mixtures of a list whose recordings the dataset does not all hold for testing."""
    table: str
    """Markdown: the systems and the published rows, SDR by instrument and by number of sources, the
    differences, and what was left out."""

    def facts(self) -> dict[str, Any]:
        """What results.json says."""
        return {
            "mixtures": self.mixtures,
            "missing": self.missing,
            "dropped": self.dropped,
            "merged": self.merged,
            "differences": self.differences,
            "systems": self.summaries,
        }


def evaluate(
    systems: Sequence[str | Path],
    data: str | Path,
    *,
    out: str | Path | None = None,
    mixing: "Mixing | None" = None,
    mixtures: int = 100,
    mixture_list: str | Path | None = None,
    segment_samples: int | None = None,
    accompaniment: str | Path | None = None,
    wiener: bool = False,
    seed: int = 0,
    device: str = "cpu",
) -> Report:
    """Evaluates systems on one test set.

    Args:
        systems: folders of trainings, `oracle` (ideal binary masks: every bin to its loudest
            source) or `mixture`.
        data: a built dataset, whose test part is mixed, or whose clips are taken as they are if it
            has `stems`; or a folder of ensembles with the players' own tracks (see
            `testsets.ensembles`).
        out: folder for results.json, scores.csv, table.md, mixtures.csv and plots; it must not
            hold results.
        mixing: of a dataset's recordings; None: sums of two different instruments.
        mixtures: how many of them.
        mixture_list: a file that lists them instead: a `mixtures.csv` of an earlier evaluation, or
            a published list of pairs (see `mixture_lists.read_list`).
        segment_samples: cut ensembles into segments of so many samples and drop the rest (65,535
            in the thesis); None: whole pieces.
        accompaniment: a built dataset of sound; something of its test part is in every mixture.
        wiener: give every training a second row, with `wiener` after it.
        seed: of the mixtures.
        device: for torch.

    Raises:
        UsageError: a system or the data cannot be used, or results would be overwritten.
    """
    target = None if out is None else Path(out)
    if target is not None and (target / "results.json").exists():
        raise UsageError(f"{target} holds results: choose another folder")
    both = {str(system): load_system(system, device) for system in systems}
    if not both:
        raise UsageError("nothing to evaluate: name trainings, oracle or mixture")
    loaded = {name: separator for name, (separator, _) in both.items()}
    looks = {name: look for name, (_, look) in both.items()}
    trained = [s for name, s in loaded.items() if name not in BOUNDS]
    front_end = (trained or list(loaded.values()))[0].front_end
    _check_alike(loaded)
    folder = Path(data)
    dataset = open_dataset(folder) if (folder / "MANIFEST.json").exists() else None
    if dataset is not None and "stems" not in dataset.fields:
        drawn = (mixing, mixtures, mixture_list, accompaniment, seed)
        found, missing = _mixed(dataset, front_end, list(looks.values()), *drawn, target)
        pieces = list(found)
    else:
        _refuse_seeing(looks)
        missing = 0
        if dataset is not None:
            whole = testsets.built_ensembles(dataset, front_end.sample_rate)
        else:
            whole = testsets.ensembles(folder, front_end.sample_rate)
        pieces = [segment for piece in whole for segment in piece.segments(segment_samples)]
        if any(given is not None for given in (mixing, mixture_list, accompaniment)):
            raise UsageError(
                f"{folder} holds mixtures of its own: a list of mixtures, the categories to mix and"
                " an accompaniment are for datasets without stems"
            )
    _refuse_indistinct(loaded, pieces)
    runs = {name: as_system(s, looks[name], device) for name, s in loaded.items()}
    if wiener:
        for name, separator in list(loaded.items()):
            if name not in BOUNDS:
                runs[f"{name}{FILTERED}"] = filtered(runs[name], separator)
                loaded[f"{name}{FILTERED}"] = separator
    if any(piece.published for piece in pieces):
        runs[BESIDE] = lambda piece: piece.published
    report = _report(runs, pieces, loaded, missing)
    if target is not None:
        _write(report, target)
    return report


def _check_alike(loaded: Mapping[str, "Separator"]) -> None:
    rates = {name: s.front_end.sample_rate for name, s in loaded.items() if name not in BOUNDS}
    if len(set(rates.values())) > 1:
        raise UsageError(f"systems of different sample rates cannot be compared: {rates}")


def _refuse_seeing(looks: Mapping[str, "Look"]) -> None:
    for name, look in looks.items():
        if look.needs:
            raise UsageError(
                f"{name} needs {', '.join(sorted(look.needs))} of the players: ensembles with"
                " tracks have none"
            )


def _refuse_indistinct(loaded: Mapping[str, "Separator"], pieces: Sequence[Piece]) -> None:
    for name, separator in loaded.items():
        if not separator.tells_players_apart and all(p.of_one_instrument for p in pieces):
            raise UsageError(f"{name} cannot be scored: in every mixture {INDISTINCT}")


def _mixed(
    dataset: "Dataset",
    front_end: Any,
    looks: Sequence["Look"],
    mixing: "Mixing | None",
    count: int,
    listed: str | Path | None,
    accompaniment: str | Path | None,
    seed: int,
    out: Path | None,
) -> tuple[Iterator[Piece], int]:
    """Mixtures, and how many of a list are missing."""
    from avpipe.separation import data
    from avpipe.separation import mixing as mixer
    from avpipe.separation.sight import Sight

    for look in looks:
        look.check(dataset)
    fields = sorted({field for look in looks for field in look.fields})
    moving = any(look.moving for look in looks)
    clip = (front_end.sample_rate, front_end.samples)
    bank = data.load(dataset, "test", (), *clip, fields, on_frames=moving)
    besides = None
    if accompaniment is not None:
        other = data.load(open_dataset(Path(accompaniment)), "test", (), *clip)
        besides = (other, mixer.draw(other, mixer.Mixing(1, 1), count, seed, step=1))
    how = mixing or mixer.Mixing(*((1, 1) if besides else (2, 2)), combine="sum")
    missing = 0
    if listed is None:
        drawn = testsets.draw(bank, how, count, seed)
    elif besides is None:
        drawn, missing = mixture_lists.read_list(bank, Path(listed))
    else:
        raise UsageError("a list of mixtures names no accompaniment: give one of the two")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        mixture_lists.write_list(bank, drawn, out / "mixtures.csv")
    sight = Sight.load(dataset, bank, looks[0]) if fields else None
    return testsets.mixtures(bank, drawn, how, sight, besides), missing


def _report(
    runs: Mapping[str, System],
    pieces: Sequence[Piece],
    loaded: Mapping[str, "Separator"],
    missing: int,
) -> Report:
    rows: dict[str, list[scores.Row]] = {name: [] for name in runs}
    dropped: dict[str, Counter[str]] = {name: Counter() for name in runs}
    merged: dict[str, int] = dict.fromkeys(runs, 0)
    by_label = {name for name, s in loaded.items() if not s.tells_players_apart}
    for piece in pieces:
        for name, run in runs.items():
            if name in by_label and piece.of_one_instrument:
                dropped[name][INDISTINCT] += 1
                continue
            scored = piece.by_instrument() if name in by_label else piece
            merged[name] += scored is not piece
            some, reason = scores.score(
                scored.name, scored.mixture, scored.sources, run(scored), scored.shared
            )
            rows[name] += some
            if reason:
                dropped[name][reason] += 1
    summaries = {name: scores.summary(some) for name, some in rows.items()}
    first, *others = runs
    differences = {
        f"{other} - {first}": {
            metric: scores.paired_difference(rows[first], rows[other], metric)
            for metric in ("sdr", "si_sdr")
        }
        for other in others
    }
    labelled = {
        # The Wiener filter shares the mixture out among the instruments that play.
        name: "categories" in s.needs or name.endswith(FILTERED)
        for name, s in loaded.items()
        if name not in BOUNDS
    }
    reasons = {name: dict(counts) for name, counts in dropped.items()}
    real = any("#" in piece.name or piece.published for piece in pieces)
    return Report(
        rows=rows,
        summaries=summaries,
        dropped=reasons,
        merged=merged,
        differences=differences,
        mixtures=len(pieces),
        missing=missing,
        table="\n".join(
            [
                tables.overall(summaries, labelled, published=real),
                tables.grouped(summaries, "by_instrument"),
                tables.grouped(summaries, "by_sources"),
                tables.remarks(differences, reasons, merged, len(pieces), missing),
            ]
        ),
    )


def _write(report: Report, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    scores.write_rows(report.rows, out / "scores.csv")
    (out / "table.md").write_text(report.table, encoding="utf-8")
    for name, rows in report.rows.items():
        file = Path(name).name.replace(" ", "-")
        playing = [row for row in rows if np.isfinite(row.sdr)]
        groups: dict[str, list[float]] = {}
        for row in sorted(playing, key=lambda row: row.instrument):
            groups.setdefault(row.instrument, []).append(row.sdr)
        if groups:
            plots.boxes(groups, "SDR (dB)", out / f"sdr-{file}.png")
        before, after = [r.mixture_si_sdr for r in rows], [r.si_sdr for r in rows]
        plots.improvement(before, after, "SI-SDR", out / f"improvement-{file}.png")
    (out / "results.json").write_text(jsontext.dumps(report.facts()) + "\n", encoding="utf-8")
