"""What separators are tested on: fixed mixtures of a dataset's recordings, or real ensembles.

Both give `Piece`s: a mixture and its true sources, a source a player. In ensembles players of one
instrument are one source, as the thesis has it; mixtures of recordings keep them apart.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avpipe.errors import UsageError
from avpipe.separation.sound import read_mono, resample
from avpipe.types import Float32, Stems

if TYPE_CHECKING:
    from avpipe.dataset import Dataset
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
    """Name -> (N,) what it plays in the mixture; some may be silent throughout. A name is an
    instrument, or one with the number of its player, where several play it."""
    published: Mapping[str, Float32]
    """Instrument -> (N,) estimate that lies beside the piece (`*_sep.wav`); mostly none."""
    scene: "Scene | None"
    """The players, in the order of the sources; None for ensembles. A source after them only
    accompanies."""
    shared: Mapping[str, str] = field(default_factory=dict)
    """Name -> instrument, of the sources that are not the only one of their instrument."""

    def instrument(self, name: str) -> str:
        """What the source of this name plays."""
        return self.shared.get(name, name)

    @property
    def of_one_instrument(self) -> bool:
        """Whether all its sources are players of one instrument."""
        return len(self.sources) > 1 and len({*map(self.instrument, self.sources)}) == 1

    def by_instrument(self) -> "Piece":
        """The same mixture with the players of one instrument as one source, whose first player is
        seen."""
        if not self.shared:
            return self
        sources: dict[str, Float32] = {}
        first: list[int] = []
        for place, (name, track) in enumerate(self.sources.items()):
            instrument = self.instrument(name)
            if instrument in sources:
                sources[instrument] = sources[instrument] + track
            else:
                sources[instrument] = track
                first.append(place)
        scene = None if self.scene is None else self.scene.part(first)
        return replace(self, sources=sources, scene=scene, shared={})

    def segments(self, samples: int | None) -> Iterator["Piece"]:
        """Consecutive parts of so many samples, the incomplete last one dropped; None: itself."""
        if samples is None:
            yield self
            return
        for number in range(len(self.mixture) // samples):
            part = slice(number * samples, (number + 1) * samples)
            yield replace(
                self,
                name=f"{self.name}#{number}",
                mixture=self.mixture[part],
                sources={k: v[part] for k, v in self.sources.items()},
                published={k: v[part] for k, v in self.published.items()},
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


def built_ensembles(dataset: "Dataset", sample_rate: int) -> Iterator[Piece]:
    """The same from a built dataset with the field `stems`: its clips, and what is in them.

    Raises:
        UsageError: no clip has two or more instruments.
    """
    found = 0
    for i in range(len(dataset)):
        clip = dataset.clip(i, fields=("audio", "stems"))
        stems: Stems | None = clip.fields.get("stems")
        if clip.audio is None or stems is None or len(stems) < 2:
            continue
        found += 1
        rate = clip.sample_rate
        tracks = {
            INSTRUMENTS.get(name, name): resample(stems[name], rate, sample_rate)
            for name in stems.names
        }
        mixture = resample(clip.audio, rate, sample_rate)
        yield Piece(clip.recording, mixture, tracks, {}, None)
    if not found:
        raise UsageError(f"{dataset.path}: no clip has stems of two or more instruments")


def mixtures(
    bank: "AudioBank",
    drawn: "Draw",
    mixing: "Mixing",
    sight: "Sight | None" = None,
    accompaniment: "tuple[AudioBank, Draw] | None" = None,
) -> Iterator[Piece]:
    """The drawn mixtures of a dataset's recordings, and how their players look.

    Every recording is a source; those of one category are numbered. What accompanies is the last
    source, under the name `ACCOMPANIMENT`.
    """
    from avpipe.separation import mixing as mixer

    for number in range(len(drawn.classes)):
        one, besides = drawn.part(number, number + 1), None
        if accompaniment is not None:
            besides = (accompaniment[0], accompaniment[1].part(number, number + 1))
        batch = mixer.batch(bank, one, mixing, "cpu", besides)
        tracks = batch.sources[0].numpy()
        places = np.flatnonzero(one.classes[0] >= 0)
        played = [bank.names[category] for category in one.classes[0][places]]
        names = numbered(played)
        sources = dict(zip(names, tracks[places], strict=True))
        shared = {n: i for n, i in zip(names, played, strict=True) if n != i}
        scene = None
        if sight is not None:
            scene = sight.scene(one.segments[0][places], one.first_samples[0][places])
        if besides is not None:
            sources[ACCOMPANIMENT] = tracks[-1]
        yield Piece(f"{number:05d}", batch.mixture[0].numpy(), sources, {}, scene, shared)


def numbered(names: Sequence[str]) -> list[str]:
    """Names that occur more than once with the number of each: violin-1, cello, violin-2."""
    seen: Counter[str] = Counter()
    told = []
    for name in names:
        seen[name] += 1
        told.append(f"{name}-{seen[name]}" if names.count(name) > 1 else name)
    return told


def draw(bank: "AudioBank", mixing: "Mixing", count: int, seed: int) -> "Draw":
    """Mixtures in which every source is another recording: nobody is mixed with themselves.

    Raises:
        UsageError: the bank has too few categories, or recordings of them.
    """
    from avpipe.separation import mixing as mixer

    mixer.check(bank, mixing)
    names, recordings = np.unique(bank.recordings, return_inverse=True)
    pairs = np.unique(np.stack([bank.classes, recordings]), axis=1)
    same = mixing.categories == "same"
    most = int(np.bincount(pairs[0]).max()) if same else len(names)
    if most < mixing.most:
        raise UsageError(
            f"mixtures of {mixing.most} recordings{' of one category' if same else ''} need as many"
            f" to test on: there are {most}"
        )
    kept: list[Draw] = []
    step = found = 0
    while found < count:
        drawn = mixer.draw(bank, mixing, count, seed, step)
        recording = np.where(drawn.segments >= 0, recordings[drawn.segments], -1)
        once = [len(np.unique(row[row >= 0])) == (row >= 0).sum() for row in recording]
        kept.append(mixer.Draw._make(values[once] for values in drawn))
        found, step = found + sum(once), step + 1
    return mixer.Draw._make(map(np.concatenate, zip(*kept, strict=True))).part(0, count)


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
