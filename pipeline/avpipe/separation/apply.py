"""Separates a recording with a trained separator.

    separate("duet.mp4", "runs/mhunet", ["violin", "cello"], out="stems")

The recording may have any length, rate and number of channels: channels are averaged, windows of
the separator's length overlap, and the stems come back with the recording's rate and length. What
lies above half the separator's rate is in no stem, unless the stems must add up to the recording.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avpipe.errors import UsageError
from avpipe.separation.outputs import check_free
from avpipe.separation.sound import read_mono, resample
from avpipe.separation.testsets import ACCOMPANIMENT, numbered
from avpipe.types import Float32

if TYPE_CHECKING:
    from avpipe.separation.interface import Separator
    from avpipe.separation.player_videos import Style
    from avpipe.separation.runs import Run
    from avpipe.separation.sight import Scene
    from avpipe.separation.windows import See

LOCATIONS = "locations.png"


@dataclass(frozen=True, eq=False)
class Separated:
    """Stems of a recording."""

    mixture: Float32
    """(N,) the recording, mono, in [-1, 1]."""
    stems: dict[str, Float32]
    """Instrument -> (N,)."""
    sample_rate: int
    """Hz, of the recording."""
    channels: int
    """Of the recording, before they were averaged."""
    files: tuple[Path, ...]
    """What was written."""


def separate(
    recording: str | Path,
    run: str | Path,
    instruments: Sequence[str] | None = None,
    *,
    out: str | Path | None = None,
    exact_sum: bool = False,
    wiener: bool = False,
    players: int | None = None,
    videos: "Style | None" = None,
    scene: "Scene | None" = None,
    device: str = "cpu",
) -> Separated:
    """Stems of the instruments of a recording.

    Args:
        recording: a sound or video file.
        run: folder of a training.
        instruments: which are played, by the names of the training's classes. None: all classes,
            for a separator that is not told the labels. A separator that sees takes them as the
            players in the picture from left to right, by any names, and numbers those that are
            given more than once (violin-1, violin-2); `accompaniment` is what they leave of the
            recording.
        out: folder for `<instrument>.wav` (32-bit float) and `spectrograms.png`; existing files
            are not overwritten; `locations.png` too, of a separator that knows where in the
            picture the sources are. None: nothing is written.
        exact_sum: share what the stems miss of the mixture equally among them, so that they add
            up to it, sample by sample.
        wiener: share the mixture out by the power of the stems, bin by bin (`wiener`); only where
            the instruments named are all that sound.
        players: how many are in the picture, for a separator that sees: they are called
            `player-1`, ... from left to right, where `instruments` does not name them.
        videos: also write `<instrument>.mp4` of every player, named from left to right: `crop`,
            the player's part of the picture, or `dim`, all of it with the others darkened; the
            sound is the stem.
        scene: the players that a separator sees, in the order of `instruments`; None: those of
            the recording (`players.watch`).
        device: for torch.

    Raises:
        UsageError: no such file, no sound, no such training, an unknown instrument, something
            that would be overwritten.
    """
    from avpipe.separation import player_videos, runs
    from avpipe.separation.footage import opened
    from avpipe.separation.players import watch

    if videos and instruments is None and players is None:
        raise UsageError("videos of the players: name them, or their instruments, left to right")

    separator, facts = runs.load(Path(run))
    names = _names(separator, facts, _called(instruments, players))
    target = None if out is None else Path(out)
    files = _files(target, names, videos, separator.locates)
    mixture, rate, channels = read_mono(Path(recording))
    look = facts.look(separator)
    see = None
    with ExitStack() as open_files:
        seen = [name for name in names if name != ACCOMPANIMENT]
        if videos or (look.needs and scene is None):
            footage = open_files.enter_context(opened(Path(recording), len(seen)))
        if look.needs:
            scene = scene or watch(footage, look, device)
            see = partial(scene.context, look)
        stems = _stems(
            separator.to(device), mixture, rate, names, facts.classes, see, device, wiener
        )
        if exact_sum:
            stems = stems + (mixture - stems.sum(0)) / len(stems)
        named = dict(zip(names, stems, strict=True))
        if target is not None:
            _write(target, mixture, named, rate)
            if see is not None and separator.locates:
                _locate(separator, see, len(mixture) / rate, seen, target)
            if videos:
                shown = [target / f"{name}.mp4" for name in seen]
                player_videos.write(footage, stems[: len(seen)], rate, shown, videos)
    return Separated(mixture, named, rate, channels, files)


def _called(instruments: Sequence[str] | None, players: int | None) -> Sequence[str] | None:
    if players is None:
        return instruments
    if players < 1:
        raise UsageError(f"players = {players}: must be at least 1")
    if instruments is None:
        return [f"player-{number + 1}" for number in range(players)]
    named = sum(name != ACCOMPANIMENT for name in instruments)
    if named != players:
        raise UsageError(f"{players} players and {named} names: give one name a player")
    return instruments


def _names(
    separator: "Separator",
    facts: "Run",
    instruments: Sequence[str] | None,
) -> list[str]:
    from avpipe.separation.data import plain

    classes = facts.classes
    if instruments is None:
        if separator.output == "sources" and "categories" not in separator.needs:
            raise UsageError("how many sources are there? Say how many players, or name them")
        if "categories" in separator.needs:
            raise UsageError(f"which instruments are played? Of {', '.join(classes)}")
        return list(classes)
    if separator.output == "sources" and "categories" not in separator.needs and instruments:
        names = numbered([name for name in instruments if name != ACCOMPANIMENT])
        return [*names, ACCOMPANIMENT] if ACCOMPANIMENT in instruments else names
    known = {plain(name): name for name in classes}
    unknown = [name for name in instruments if plain(name) not in known]
    if unknown or not instruments:
        raise UsageError(
            f"the training knows no {', '.join(unknown) or 'instrument'}: it has"
            f" {', '.join(classes)}"
        )
    names = [known[plain(name)] for name in instruments]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(
            f"{twice} is named more than once: a label does not tell its players apart, name it"
            " once for all of them"
        )
    unlearnt = [name for name in names if facts.learnt and name not in facts.learnt]
    if unlearnt:
        raise UsageError(
            f"the training heard no {', '.join(unlearnt)}: it learnt {', '.join(facts.learnt)}"
        )
    return names


def _files(
    out: Path | None, names: Sequence[str], videos: "Style | None", locations: bool
) -> tuple[Path, ...]:
    if out is None:
        if videos:
            raise UsageError("videos of the players need a folder to be written to: name out")
        return ()
    films = [out / f"{name}.mp4" for name in names if videos and name != ACCOMPANIMENT]
    pictures = [out / "spectrograms.png", *([out / LOCATIONS] if locations else [])]
    files = (*(out / f"{name}.wav" for name in names), *pictures, *films)
    check_free(out, [path.name for path in files])
    return files


def _stems(
    separator: "Separator",
    mixture: Float32,
    rate: int,
    names: Sequence[str],
    classes: Sequence[str],
    see: "See | None",
    device: str,
    filtered: bool,
) -> Float32:
    """(S, N) in the order of `names`, at the mixture's rate."""
    import torch

    from avpipe.separation.interface import Context
    from avpipe.separation.stems import completed
    from avpipe.separation.wiener import wiener
    from avpipe.separation.windows import separate_long

    own = separator.front_end.sample_rate
    signal = torch.from_numpy(resample(mixture, rate, own)).to(device)
    known_names = set(names) <= set(classes)
    numbers = [classes.index(name) for name in names] if known_names else range(len(names))
    indices = torch.tensor([list(numbers)], device=device)
    stems = separate_long(separator, signal, Context(categories=indices), see)
    by_class = separator.output == "classes"
    stems = stems[indices[0]] if by_class else completed(stems, signal, names)
    if filtered:
        stems = wiener(separator.front_end, signal, stems)
    back = resample(stems.cpu().numpy(), own, rate)[:, : len(mixture)]
    return np.pad(back, ((0, 0), (0, len(mixture) - back.shape[1])))


def _locate(
    separator: "Separator", see: "See", duration: float, names: Sequence[str], out: Path
) -> None:
    """Where the players of the middle of the recording sound, over their pictures."""
    from avpipe.separation import plots

    clip = separator.front_end.samples / separator.front_end.sample_rate
    frames = see(max(0.0, (duration - clip) / 2), clip).get("frames")
    maps = separator.locations(frames.to(next(separator.parameters()).device))
    pictures = frames[0, :, frames.shape[2] // 2]
    plots.locations(pictures.numpy(), maps[0].cpu().numpy(), names, out / LOCATIONS)


def _write(out: Path, mixture: Float32, stems: dict[str, Float32], rate: int) -> None:
    import soundfile

    from avpipe.separation import plots

    out.mkdir(parents=True, exist_ok=True)
    for name, stem in stems.items():
        soundfile.write(out / f"{name}.wav", stem, rate, subtype="FLOAT")
    plots.spectrograms({"mixture": mixture, **stems}, rate, out / "spectrograms.png")
