"""What separators are tested on: fixed mixtures of a dataset's recordings, or real ensembles.

Both give `Piece`s: a mixture and its true sources, summed by instrument.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avpipe.errors import UsageError
from avpipe.separation.sound import read_mono, resample
from avpipe.types import Float32

if TYPE_CHECKING:
    from avpipe.separation.data import AudioBank
    from avpipe.separation.mixing import Draw, Mixing
    from avpipe.separation.pictures import Pictures

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
    frames: Mapping[str, Any]
    """Instrument -> (T, 3, 224, 224) uint8 tensor of its player; none in ensembles."""

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
                self.frames,
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
        yield Piece(name, mixture, sources, published, {})
    if not found:
        raise UsageError(
            f"{folder} has no pieces of two or more instruments: neither AuMix_*.wav with"
            " AuSep_*.wav, nor *_mix.wav with *_orig.wav"
        )


def mixtures(
    bank: "AudioBank", drawn: "Draw", mixing: "Mixing", pictures: "Pictures | None" = None
) -> Iterator[Piece]:
    """The drawn mixtures of a dataset's recordings, and what is seen of the players."""
    from avpipe.separation import mixing as mixer

    for number in range(len(drawn.classes)):
        one = drawn.part(number, number + 1)
        batch = mixer.batch(bank, one, mixing, "cpu")
        shown = None if pictures is None else pictures.frames(one)[0]
        sources: dict[str, Float32] = {}
        frames: dict[str, Any] = {}
        for place, category in enumerate(one.classes[0].tolist()):
            if category >= 0:
                track = batch.sources[0, place].numpy()
                name = bank.names[category]
                sources[name] = sources[name] + track if name in sources else track
                if shown is not None:
                    frames.setdefault(name, shown[place])
        yield Piece(f"{number:05d}", batch.mixture[0].numpy(), sources, {}, frames)


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


def read_list(bank: "AudioBank", path: Path) -> "Draw":
    """The mixtures of a published list, to be found in a bank: one that `write_list` wrote, or
    test pairs as `avpipe.separation.pairs` knows them.

    Raises:
        UsageError: it is no such list, or names a segment that the bank does not have.
    """
    from avpipe.separation.mixing import Draw
    from avpipe.separation.pairs import read_pairs

    if not _is_ours(path):
        return read_pairs(bank, path)
    places = {key: i for i, key in enumerate(zip(bank.recordings, bank.start_frames, strict=True))}
    grouped: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                segment = places[row["recording"], int(row["start_frame"])]
                first = int(bank.starts[segment]) + int(row["first_sample"])
                grouped[row["mixture"]].append((segment, first, float(row["gain"])))
    except KeyError as error:
        raise UsageError(f"{path}: {error} is neither a column nor a segment to test on") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is not a list of mixtures: {error}") from error
    if not grouped:
        raise UsageError(f"{path} lists no mixtures")
    most = max(map(len, grouped.values()))
    shape = (len(grouped), most)
    segments, firsts = np.full(shape, -1), np.full(shape, -1)
    gains = np.ones(shape, np.float32)
    for i, sources in enumerate(grouped.values()):
        for j, (segment, first, gain) in enumerate(sources):
            segments[i, j], firsts[i, j], gains[i, j] = segment, first, gain
    classes = np.where(segments >= 0, bank.classes[segments], -1)
    return Draw(firsts, classes, segments, gains)


def _is_ours(path: Path) -> bool:
    """Whether a file begins as `write_list` begins, or cannot be read at all."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().startswith(f"{LIST_COLUMNS[0]},")
    except (OSError, UnicodeDecodeError):
        return True


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
