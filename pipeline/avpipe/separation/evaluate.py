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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avpipe import jsontext, open_dataset
from avpipe.errors import UsageError
from avpipe.separation import mixture_lists, plots, scores, tables, testsets
from avpipe.separation.outputs import check_free
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
LISTED = "mixtures.csv"
PLOTS = ("sdr", "improvement")
"""Of every system."""


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
    cut_off: tuple[float, ...]
    """Seconds of every piece that are in none of its segments, of those that have such an end."""
    table: str
    """Markdown: the systems and the published rows, SDR by instrument and by number of sources, the
    differences, and what was left out."""

    def facts(self) -> dict[str, Any]:
        """What results.json says."""
        return {
            "mixtures": self.mixtures,
            "missing": self.missing,
            "cut_off": {"pieces": len(self.cut_off), "seconds": sum(self.cut_off)},
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
        out: folder for results.json, scores.csv, table.md, mixtures.csv and plots; existing files
            are not overwritten.
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
    if target is not None:
        check_free(target, _files([*map(str, systems), BESIDE], wiener))
    both = {str(system): load_system(system, device) for system in systems}
    if not both:
        raise UsageError("nothing to evaluate: name trainings, oracle or mixture")
    loaded = {name: separator for name, (separator, _) in both.items()}
    looks = {name: look for name, (_, look) in both.items()}
    trained = [s for name, s in loaded.items() if name not in BOUNDS]
    front_end = (trained or list(loaded.values()))[0].front_end
    _check_alike(loaded)
    folder = Path(data)
    if not folder.is_dir():
        raise UsageError(f"{folder} does not exist: name a built dataset or a folder of ensembles")
    dataset = open_dataset(folder) if (folder / "MANIFEST.json").exists() else None
    cut_off: tuple[float, ...] = ()
    if dataset is not None and "stems" not in dataset.fields:
        if segment_samples is not None:
            raise UsageError(
                f"mixtures are drawn from {folder}, as long as the separators' window: segments are"
                " cut of ensembles"
            )
        drawn = (mixing, mixtures, mixture_list, accompaniment, seed)
        found, missing, write_list = _mixed(dataset, front_end, list(looks.values()), *drawn)
        pieces = list(found)
    else:
        _refuse_seeing(looks)
        missing, write_list = 0, None
        if dataset is not None:
            whole = list(testsets.built_ensembles(dataset, front_end.sample_rate))
        else:
            whole = list(testsets.ensembles(folder, front_end.sample_rate))
        if segment_samples is not None and segment_samples < 1:
            raise UsageError(f"segments of {segment_samples} samples: must be at least 1")
        pieces = [segment for piece in whole for segment in piece.segments(segment_samples)]
        if not pieces:
            raise UsageError(f"no piece of {folder} has {segment_samples} samples")
        if segment_samples is not None:
            ends = (len(piece.mixture) % segment_samples for piece in whole)
            cut_off = tuple(samples / front_end.sample_rate for samples in ends if samples)
        if any(given is not None for given in (mixing, mixture_list, accompaniment)):
            raise UsageError(
                f"{folder} holds mixtures of its own: a list of mixtures, the categories to mix and"
                " an accompaniment are for datasets without stems"
            )
    _refuse_indistinct(loaded, pieces)
    spelled = _spellings(pieces, loaded.values())
    runs = {name: as_system(s, looks[name], spelled, device) for name, s in loaded.items()}
    if wiener:
        for name, separator in list(loaded.items()):
            if name not in BOUNDS:
                runs[f"{name}{FILTERED}"] = filtered(runs[name], separator)
                loaded[f"{name}{FILTERED}"] = separator
    if any(piece.published for piece in pieces):
        runs[BESIDE] = lambda piece: piece.published
    report = _report(runs, pieces, loaded, missing, cut_off, device)
    if target is not None:
        _write(report, target)
        if write_list is not None:
            write_list(target / LISTED)
    return report


def _files(systems: Sequence[str], wiener: bool) -> list[str]:
    """Names of all that may be written."""
    if wiener:
        systems = [*systems, *(f"{system}{FILTERED}" for system in systems)]
    plotted = [f"{kind}-{name}.png" for name in _short(systems).values() for kind in PLOTS]
    return ["results.json", "scores.csv", "table.md", LISTED, *plotted]


def _short(systems: Iterable[str]) -> dict[str, str]:
    """System -> its name in file names: the last part of its path, or all of it where several
    systems have that."""
    paths = {system: Path(system).absolute() for system in systems}
    shared = Counter(path.name for path in set(paths.values()))
    return {
        system: (path.name if shared[path.name] == 1 else "--".join(path.parts[1:])).replace(
            " ", "-"
        )
        for system, path in paths.items()
    }


def _spellings(pieces: Iterable[Piece], separators: Iterable["Separator"]) -> dict[str, str]:
    """Plain name of an instrument -> how all rows spell it: as what is tested on, or as the first
    separator that knows it."""
    from avpipe.separation.data import plain

    played = (piece.instrument(name) for piece in pieces for name in piece.sources)
    spelled: dict[str, str] = {}
    for name in chain(played, *(separator.classes for separator in separators)):
        spelled.setdefault(plain(name), name)
    return spelled


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
) -> tuple[Iterator[Piece], int, Callable[[Path], None]]:
    """Mixtures, how many of a list are missing, and what writes the list of the others."""
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
    sight = Sight.load(dataset, bank, looks[0]) if fields else None
    found = testsets.mixtures(bank, drawn, how, sight, besides)
    return found, missing, partial(mixture_lists.write_list, bank, drawn)


def _report(
    runs: Mapping[str, System],
    pieces: Sequence[Piece],
    loaded: Mapping[str, "Separator"],
    missing: int,
    cut_off: tuple[float, ...],
    device: str,
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
                scored.name, scored.mixture, scored.sources, run(scored), scored.shared, device
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
        cut_off=cut_off,
        table="\n".join(
            [
                tables.overall(summaries, labelled, published=real),
                tables.grouped(summaries, "by_instrument"),
                tables.grouped(summaries, "by_sources"),
                tables.remarks(differences, reasons, merged, len(pieces), missing, cut_off),
            ]
        ),
    )


def _write(report: Report, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    scores.write_rows(report.rows, out / "scores.csv")
    (out / "table.md").write_text(report.table, encoding="utf-8")
    short = _short(report.rows)
    for name, rows in report.rows.items():
        playing = [row for row in rows if np.isfinite(row.sdr)]
        groups: dict[str, list[float]] = {}
        for row in sorted(playing, key=lambda row: row.instrument):
            groups.setdefault(row.instrument, []).append(row.sdr)
        if groups:
            plots.boxes(groups, "SDR (dB)", name, out / f"{PLOTS[0]}-{short[name]}.png")
        before, after = [r.mixture_si_sdr for r in rows], [r.si_sdr for r in rows]
        improved = out / f"{PLOTS[1]}-{short[name]}.png"
        plots.improvement(before, after, "SI-SDR", name, improved)
    (out / "results.json").write_text(jsontext.dumps(report.facts()) + "\n", encoding="utf-8")
