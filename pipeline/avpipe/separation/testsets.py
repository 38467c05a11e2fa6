"""What separators are tested on: fixed mixtures of a dataset's recordings, or real ensembles.

Both give `Piece`s: a mixture and its true sources, summed by instrument.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
            raise UsageError(
                f"{mix.parent} has {len(tracks)} tracks AuSep_* for {len(players)} players"
                f" ({' '.join(players)}): add what is missing, or move the folder away"
            )
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
