"""What separators are tested on: fixed mixtures of a dataset's recordings, or real ensembles.

Both give `Piece`s: a mixture and its true sources, summed by instrument.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from avpipe.errors import UsageError
from avpipe.separation.sound import read_mono, resample
from avpipe.types import Float32

if TYPE_CHECKING:
    from avpipe.separation.data import AudioBank
    from avpipe.separation.mixing import Draw, Mixing
    from avpipe.separation.sight import Scene, Sight

INSTRUMENTS: Mapping[str, str] = {
    "bn": "bassoon",
    "cl": "clarinet",
    "db": "double_bass",
    "fl": "flute",
    "hn": "horn",
    "ob": "oboe",
    "sax": "saxophone",
    "tba": "tuba",
    "tbn": "trombone",
    "tpt": "trumpet",
    "va": "viola",
    "vc": "cello",
    "vn": "violin",
}
"""URMP's abbreviations."""

ACCOMPANIMENT = "accompaniment"
"""Name of a source that is only heard."""

LIST_COLUMNS = ("mixture", "recording", "start_frame", "first_sample", "category", "gain")


@dataclass(frozen=True, eq=False)
class Piece:
    """One mixture to separate."""

    name: str
    mixture: Float32
    """(N,)."""
    sources: Mapping[str, Float32]
    """Instrument -> (N,) what it plays in the mixture; some may be silent throughout."""
    published: Mapping[str, Float32]
    """Instrument -> (N,) estimate that lies beside the piece (`*_sep.wav`); mostly none."""
    scene: "Scene | None"
    """The players, in the order of the sources; None for ensembles. A source after them only
    accompanies."""

    def segments(self, samples: int | None) -> Iterator["Piece"]:
        """Consecutive parts of so many samples, the incomplete last one dropped; None: itself."""
        if samples is None:
            yield self
            return
        for number in range(len(self.mixture) // samples):
            part = slice(number * samples, (number + 1) * samples)
            yield Piece(
                f"{self.name}#{number}",
                self.mixture[part],
                {k: v[part] for k, v in self.sources.items()},
                {k: v[part] for k, v in self.published.items()},
                self.scene,
            )


def ensembles(folder: Path, sample_rate: int) -> Iterator[Piece]:
    """Real mixtures with the players' own tracks, from a folder.

    Either URMP as published (`<piece>/AuMix_*.wav`, `<piece>/AuSep_<k>_<instrument>_*.wav`), or
    excerpts (`<piece>_mix.wav`, `<piece>_<instrument>_orig.wav`, and maybe an estimate
    `<piece>_<instrument>_sep.wav`). Tracks of one instrument are added up. Pieces with fewer than
    two instruments are left out, as the thesis does.

    Raises:
        UsageError: there are no such pieces.
    """
    found = 0
    for name, mix, tracks, estimates in (*_excerpts(folder), *_urmp(folder)):
        if len({instrument for instrument, _ in tracks}) < 2:
            continue
        found += 1
        mixture = _read(mix, sample_rate)
        sources: dict[str, Float32] = {}
        for instrument, path in tracks:
            track = _fit(_read(path, sample_rate), len(mixture))
            sources[instrument] = sources[instrument] + track if instrument in sources else track
        published = {i: _fit(_read(path, sample_rate), len(mixture)) for i, path in estimates}
        yield Piece(name, mixture, sources, published, None)
    if not found:
        raise UsageError(
            f"{folder} has no pieces of two or more instruments: neither AuMix_*.wav with"
            " AuSep_*.wav, nor *_mix.wav with *_orig.wav"
        )


def mixtures(
    bank: "AudioBank",
    drawn: "Draw",
    mixing: "Mixing",
    sight: "Sight | None" = None,
    accompaniment: "tuple[AudioBank, Draw] | None" = None,
) -> Iterator[Piece]:
    """The drawn mixtures of a dataset's recordings, and how their players look.

    Recordings of one category are one source, of which the first player is seen. What accompanies
    is the last source, under the name `ACCOMPANIMENT`.
    """
    from avpipe.separation import mixing as mixer

    for number in range(len(drawn.classes)):
        one, besides = drawn.part(number, number + 1), None
        if accompaniment is not None:
            besides = (accompaniment[0], accompaniment[1].part(number, number + 1))
        batch = mixer.batch(bank, one, mixing, "cpu", besides)
        tracks = batch.sources[0].numpy()
        sources: dict[str, Float32] = {}
        players: list[int] = []
        for place, category in enumerate(one.classes[0].tolist()):
            if category >= 0:
                name = bank.names[category]
                if name in sources:
                    sources[name] = sources[name] + tracks[place]
                else:
                    sources[name] = tracks[place]
                    players.append(place)
        scene = None
        if sight is not None:
            scene = sight.scene(one.segments[0][players], one.first_samples[0][players])
        if besides is not None:
            sources[ACCOMPANIMENT] = tracks[-1]
        yield Piece(f"{number:05d}", batch.mixture[0].numpy(), sources, {}, scene)


def write_list(bank: "AudioBank", drawn: "Draw", path: Path) -> None:
    """Publishes the drawn mixtures: a row a source."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LIST_COLUMNS)
        for mixture, (firsts, segments, gains) in enumerate(
            zip(drawn.first_samples, drawn.segments, drawn.gains, strict=True)
        ):
            for first, segment, gain in zip(firsts, segments, gains, strict=True):
                if segment >= 0:
                    where = (bank.recordings[segment], bank.start_frames[segment])
                    inside = first - bank.starts[segment]
                    category = bank.names[bank.classes[segment]]
                    writer.writerow([mixture, *where, inside, category, f"{gain:.9g}"])


class Listed(NamedTuple):
    """The mixtures of a list that a bank has."""

    drawn: "Draw"
    missing: int
    """Mixtures left out because a recording of theirs is not in the bank."""


def read_list(bank: "AudioBank", path: Path) -> Listed:
    """The mixtures of a published list, to be found in a bank.

    Either a `mixtures.csv`, of which none may be missing, or a list without a header that names the
    recordings of a mixture in each row, as paths (`/cello/ID.wav, /flute/ID.wav`) or ids: then the
    middle of the longest segment of each is taken.

    Raises:
        UsageError: it is no such list, names a segment that the bank does not have, or no mixture
            whose recordings the bank all has.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file, skipinitialspace=True) if row]
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is not a list of mixtures: {error}") from error
    if len(rows) and set(LIST_COLUMNS) & set(rows[0]):
        named = [dict(zip(rows[0], row, strict=False)) for row in rows[1:]]
        mixtures, missing = _windows_of(bank, named, path), 0
    else:
        mixtures = [m for row in rows if (m := _middles_of(bank, row))]
        missing = len(rows) - len(mixtures)
    if not rows:
        raise UsageError(f"{path} lists no mixtures")
    if not mixtures:
        raise UsageError(
            f"{path} lists no mixture whose recordings are all for testing: give them split = test"
            " in the manifest"
        )
    return Listed(_drawn(bank, mixtures), missing)


Window = tuple[int, int, float]
"""Segment of a bank, first sample in the bank, gain."""


def _windows_of(bank: "AudioBank", rows: list[dict[str, str]], path: Path) -> list[list[Window]]:
    places = {key: i for i, key in enumerate(zip(bank.recordings, bank.start_frames, strict=True))}
    grouped: dict[str, list[Window]] = defaultdict(list)
    try:
        for row in rows:
            segment = places[row["recording"], int(row["start_frame"])]
            first = int(bank.starts[segment]) + int(row["first_sample"])
            grouped[row["mixture"]].append((segment, first, float(row["gain"])))
    except KeyError as error:
        raise UsageError(f"{path}: {error} is neither a column nor a segment to test on") from None
    except ValueError as error:
        raise UsageError(f"{path} is not a list of mixtures: {error}") from error
    return list(grouped.values())


def _middles_of(bank: "AudioBank", names: Sequence[str]) -> list[Window]:
    """Of one mixture; none if a recording is missing."""
    found: list[Window] = []
    for name in names:
        recording = PurePosixPath(name.strip()).stem
        segments = [i for i, known in enumerate(bank.recordings) if known == recording]
        if not segments:
            return []
        longest = max(segments, key=lambda i: int(bank.lengths[i]))
        room = int(bank.lengths[longest]) - bank.window
        found.append((longest, int(bank.starts[longest]) + room // 2, 1.0))
    return found


def _drawn(bank: "AudioBank", mixtures: Sequence[Sequence[Window]]) -> "Draw":
    from avpipe.separation.mixing import Draw

    shape = (len(mixtures), max(map(len, mixtures)))
    segments, firsts = np.full(shape, -1), np.full(shape, -1)
    gains = np.ones(shape, np.float32)
    for i, sources in enumerate(mixtures):
        for j, (segment, first, gain) in enumerate(sources):
            segments[i, j], firsts[i, j], gains[i, j] = segment, first, gain
    classes = np.where(segments >= 0, bank.classes[segments], -1)
    return Draw(firsts, classes, segments, gains)


Tracks = list[tuple[str, Path]]


def _excerpts(folder: Path) -> Iterable[tuple[str, Path, Tracks, Tracks]]:
    for mix in sorted(folder.glob("*_mix.wav")):
        name = mix.name.removesuffix("_mix.wav")
        originals, estimates = (
            [
                (_instrument(path.name.split("_")[-2], path), path)
                for path in sorted(folder.glob(f"{name}_*_{kind}.wav"))
            ]
            for kind in ("orig", "sep")
        )
        yield name, mix, originals, estimates


def _urmp(folder: Path) -> Iterable[tuple[str, Path, Tracks, Tracks]]:
    for mix in sorted(folder.glob("*/AuMix_*.wav")):
        # The folder's name lists the players in the order of the tracks; piece 15's third track
        # is called a trumpet but is the trombone that the name says.
        players = mix.parent.name.split("_")[2:]
        tracks = sorted(mix.parent.glob("AuSep_*.wav"))
        if len(tracks) != len(players):
            raise UsageError(f"{mix.parent} has {len(tracks)} tracks for {len(players)} players")
        named = [(_instrument(p, t), t) for p, t in zip(players, tracks, strict=True)]
        yield mix.parent.name, mix, named, []


def _instrument(short: str, path: Path) -> str:
    if short not in INSTRUMENTS:
        raise UsageError(f"{path.name}: {short!r} is none of {', '.join(INSTRUMENTS)}")
    return INSTRUMENTS[short]


def _read(path: Path, sample_rate: int) -> Float32:
    signal, rate, _ = read_mono(path)
    return resample(signal, rate, sample_rate)


def _fit(signal: Float32, samples: int) -> Float32:
    """Cut or padded with silence."""
    return np.pad(signal[:samples], (0, max(0, samples - len(signal))))


def instruments(pieces: Sequence[Piece]) -> set[str]:
    """All that play in some pieces."""
    return {name for piece in pieces for name in piece.sources}
