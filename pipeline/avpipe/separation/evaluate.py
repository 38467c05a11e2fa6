"""Tells how good separators are: on fixed mixtures of held-out recordings, or on real ensembles.

    evaluate(["runs/unet", "oracle", "mixture"], "data/solos")       # mix and separate
    evaluate(["runs/unet"], "URMP/Dataset", segment_samples=65535)   # the protocol of the thesis

All systems get the same mixtures. Labels are the true ones: a separator that reads categories is
told the instruments that play and no others, and stands in the table as such.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avpipe.errors import UsageError
from avpipe.separation import plots, scores, testsets
from avpipe.separation.testsets import Piece
from avpipe.types import Float32

if TYPE_CHECKING:
    from avpipe.separation.interface import Separator
    from avpipe.separation.mixing import Mixing
    from avpipe.separation.pictures import Look

BOUNDS = ("oracle", "mixture")
"""Systems that need no training."""
FILTERED = " + Wiener"
"""Added to the name of a system whose stems go through a Wiener filter."""
BESIDE = "published outputs"
"""System of the estimates that lie beside the pieces."""

System = Callable[[Piece], Mapping[str, Float32]]
"""Estimates of every instrument in the piece, and of others that the system has outputs for."""


@dataclass(frozen=True, eq=False)
class Report:
    """What an evaluation found."""

    rows: dict[str, list[scores.Row]]
    """System -> a row a source."""
    summaries: dict[str, dict[str, Any]]
    """System -> `scores.summary`."""
    dropped: dict[str, dict[str, int]]
    """System -> reason -> mixtures without SDR, SIR and SAR."""
    differences: dict[str, dict[str, Any]]
    """"B - A" -> metric -> mean and 95 % interval, for every system against the first."""
    mixtures: int
    table: str
    """Markdown."""


def evaluate(
    systems: Sequence[str | Path],
    data: str | Path,
    *,
    out: str | Path | None = None,
    mixing: "Mixing | None" = None,
    mixtures: int = 100,
    mixture_list: str | Path | None = None,
    segment_samples: int | None = None,
    wiener: bool = False,
    seed: int = 0,
    device: str = "cpu",
) -> Report:
    """Evaluates systems on one test set.

    Args:
        systems: folders of trainings, `oracle` (ideal binary masks) or `mixture`.
        data: a built dataset, whose test part is mixed, or a folder of ensembles with the players'
            own tracks (see `testsets.ensembles`).
        out: folder for results.json, scores.csv, table.md, mixtures.csv and plots; it must not
            hold results.
        mixing: of a dataset's recordings; None: sums of two different instruments.
        mixtures: how many of them.
        mixture_list: a `mixtures.csv` of an earlier evaluation, instead.
        segment_samples: cut ensembles into segments of so many samples and drop the rest (65,535
            in the thesis); None: whole pieces.
        wiener: give every training a second row, with `wiener` after it.
        seed: of the mixtures.
        device: for torch.

    Raises:
        UsageError: a system or the data cannot be used, or results would be overwritten.
    """
    target = None if out is None else Path(out)
    if target is not None and (target / "results.json").exists():
        raise UsageError(f"{target} holds results: choose another folder")
    loaded = {str(system): _load(system, device) for system in systems}
    if not loaded:
        raise UsageError("nothing to evaluate: name trainings, oracle or mixture")
    front_end = next(iter(loaded.values())).front_end
    _check_alike(loaded)
    folder = Path(data)
    if (folder / "MANIFEST.json").exists():
        look = _look(systems, loaded)
        drawn = (mixing, mixtures, mixture_list, seed)
        pieces = list(_mixed(folder, front_end, look, *drawn, target))
    else:
        _refuse_seeing(loaded)
        whole = testsets.ensembles(folder, front_end.sample_rate)
        pieces = [segment for piece in whole for segment in piece.segments(segment_samples)]
    runs = {name: _system(separator, device) for name, separator in loaded.items()}
    if wiener:
        for name, separator in list(loaded.items()):
            if name not in BOUNDS:
                runs[f"{name}{FILTERED}"] = _filtered(runs[name], separator)
                loaded[f"{name}{FILTERED}"] = separator
    if any(piece.published for piece in pieces):
        runs[BESIDE] = lambda piece: piece.published
    report = _report(runs, pieces, loaded)
    if target is not None:
        _write(report, target)
    return report


def _load(system: str | Path, device: str) -> "Separator":
    from avpipe import separation
    from avpipe.separation import runs

    if str(system) in BOUNDS:
        return separation.create(str(system)).to(device)
    separator, facts = runs.load(Path(system))
    missing = separator.needs - {"categories", "frames"}
    if missing:
        raise UsageError(f"{system} needs {', '.join(sorted(missing))}: test sets have none")
    if not separator.classes:
        separator.classes = facts.classes
    return separator.to(device)


def _check_alike(loaded: Mapping[str, "Separator"]) -> None:
    rates = {name: s.front_end.sample_rate for name, s in loaded.items() if name not in BOUNDS}
    if len(set(rates.values())) > 1:
        raise UsageError(f"systems of different sample rates cannot be compared: {rates}")


def _refuse_seeing(loaded: Mapping[str, "Separator"]) -> None:
    for name, separator in loaded.items():
        if "frames" in separator.needs:
            raise UsageError(f"{name} needs frames of the players: folders of ensembles have none")


def _look(systems: Sequence[str | Path], loaded: Mapping[str, "Separator"]) -> "Look | None":
    """Which pictures the systems that see were trained with; None if none does."""
    from avpipe.separation import runs
    from avpipe.separation.pictures import Look

    looks = {
        Look(recipe["pictures"], recipe["picture_seconds"])
        for system in systems
        if "frames" in loaded[str(system)].needs
        for recipe in (runs.read(Path(system)).recipe,)
    }
    if len(looks) > 1:
        raise UsageError("systems that were shown different pictures cannot be compared at once")
    return looks.pop() if looks else None


def _mixed(
    folder: Path,
    front_end: Any,
    look: "Look | None",
    mixing: "Mixing | None",
    count: int,
    listed: str | Path | None,
    seed: int,
    out: Path | None,
) -> Iterator[Piece]:
    from avpipe import open_dataset
    from avpipe.separation import data, pictures
    from avpipe.separation import mixing as mixer

    how = mixing or mixer.Mixing(combine="sum")
    dataset = open_dataset(folder)
    fields = (pictures.FIELD,) if look else ()
    bank = data.load(dataset, "test", (), front_end.sample_rate, front_end.samples, fields)
    if listed is None:
        mixer.check(bank, how)
        drawn = mixer.draw(bank, how, count, seed, step=0)
    else:
        drawn = testsets.read_list(bank, Path(listed))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        testsets.write_list(bank, drawn, out / "mixtures.csv")
    seen = pictures.Pictures.load(dataset, bank, look) if look else None
    yield from testsets.mixtures(bank, drawn, how, seen)


def _system(separator: "Separator", device: str) -> System:
    """A separator as a function of pieces."""
    import torch

    from avpipe.separation.data import plain
    from avpipe.separation.interface import Context
    from avpipe.separation.windows import separate_long

    known = {plain(name): i for i, name in enumerate(separator.classes)}
    named = separator.output == "classes" or (known and "categories" in separator.needs)

    def run(piece: Piece) -> Mapping[str, Float32]:
        unknown = [name for name in piece.sources if named and plain(name) not in known]
        if unknown:
            raise UsageError(
                f"{piece.name}: {', '.join(unknown)} was not in the training, which knows"
                f" {', '.join(separator.classes)}"
            )
        indices = [known.get(plain(name), i) for i, name in enumerate(piece.sources)]
        references = np.stack(list(piece.sources.values()))[None]
        frames = [piece.frames[name] for name in piece.sources] if piece.frames else None
        context = Context(
            categories=torch.tensor([indices]),
            references=torch.from_numpy(references),
            frames=None if frames is None else torch.stack(frames)[None],
        )
        signal = torch.from_numpy(piece.mixture).to(device)
        stems = separate_long(separator, signal, context.to(device)).cpu().numpy()
        if separator.output == "sources":
            return dict(zip(piece.sources, stems, strict=True))
        names = dict(zip(indices, piece.sources, strict=True))
        return {names.get(i, separator.classes[i]): stem for i, stem in enumerate(stems)}

    return run


def _filtered(run: System, separator: "Separator") -> System:
    """The system with a Wiener filter over the instruments that play."""
    import torch

    from avpipe.separation.wiener import wiener

    def both(piece: Piece) -> Mapping[str, Float32]:
        found = dict(run(piece))
        stems = torch.from_numpy(np.stack([found[name] for name in piece.sources]))
        shared = wiener(separator.front_end, torch.from_numpy(piece.mixture), stems)
        return found | dict(zip(piece.sources, shared.numpy(), strict=True))

    return both


def _report(
    runs: Mapping[str, System], pieces: Sequence[Piece], loaded: Mapping[str, "Separator"]
) -> Report:
    rows: dict[str, list[scores.Row]] = {name: [] for name in runs}
    dropped: dict[str, Counter[str]] = {name: Counter() for name in runs}
    for piece in pieces:
        for name, run in runs.items():
            some, reason = scores.score(piece.name, piece.mixture, piece.sources, run(piece))
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
    real = any("#" in piece.name or piece.published for piece in pieces)
    return Report(
        rows=rows,
        summaries=summaries,
        dropped={name: dict(counts) for name, counts in dropped.items()},
        differences=differences,
        mixtures=len(pieces),
        table=scores.table(summaries, labelled, published=real),
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
    facts = {
        "mixtures": report.mixtures,
        "dropped": report.dropped,
        "differences": report.differences,
        "systems": report.summaries,
    }
    text = json.dumps(_finite(facts), indent=1, allow_nan=False)
    (out / "results.json").write_text(text + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    """nan as null: JSON has no other word for it."""
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
