"""Lists of test mixtures: our own `mixtures.csv`, exact to the sample, and published pairs.

Published pairs (`avpipe.manifest.mixtures`) name recordings only: a source is then the window in
the middle of the recording's longest segment, at its own level, which is what Sound of Pixels
takes of a whole recording. Videos die; the mixtures they were in are left out and counted.
"""

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from avpipe.errors import UsageError
from avpipe.manifest import read_mixtures

if TYPE_CHECKING:
    from avpipe.separation.data import AudioBank
    from avpipe.separation.mixing import Draw

COLUMNS = ("mixture", "recording", "start_frame", "first_sample", "category", "gain")

Window = tuple[int, int, float]
"""Segment of a bank, first sample in the bank, gain."""


class Listed(NamedTuple):
    """The mixtures of a list that a bank has."""

    drawn: "Draw"
    missing: int
    """Mixtures left out because a recording of theirs is not in the bank."""


def write_list(bank: "AudioBank", drawn: "Draw", path: Path) -> None:
    """Publishes the drawn mixtures: a row a source."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for mixture, (firsts, segments, gains) in enumerate(
            zip(drawn.first_samples, drawn.segments, drawn.gains, strict=True)
        ):
            for first, segment, gain in zip(firsts, segments, gains, strict=True):
                if segment >= 0:
                    where = (bank.recordings[segment], bank.start_frames[segment])
                    inside = first - bank.starts[segment]
                    category = bank.names[bank.classes[segment]]
                    writer.writerow([mixture, *where, inside, category, f"{gain:.9g}"])


def read_list(bank: "AudioBank", path: Path) -> Listed:
    """The mixtures of a list, to be found in a dataset's test part.

    Args:
        bank: the test part.
        path: what `write_list` wrote, of which none may be missing, or published pairs.

    Raises:
        UsageError: it is no such list, names a segment that the bank does not have or one
            recording alone, or no mixture whose recordings the bank all has.
    """
    if _is_ours(path):
        return Listed(_drawn(bank, _windows(bank, path)), 0)
    pairs = read_mixtures(path)
    for row, ids in pairs:
        if len(ids) < 2:
            raise UsageError(f"{path} row {row}: names {ids[0]} alone, a mixture needs two")
    longest = _longest(bank)
    there = [ids for _, ids in pairs if all(name in longest for name in ids)]
    if not there:
        raise UsageError(
            f"{path}: no mixture can be made, the dataset's test part has none of"
            f" {', '.join(pairs[0].ids)}: give it their split with `avpipe manifest split`"
        )
    mixtures = [[_middle(bank, longest[name]) for name in ids] for ids in there]
    return Listed(_drawn(bank, mixtures), len(pairs) - len(there))


def _is_ours(path: Path) -> bool:
    """Whether a file begins as `write_list` begins."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().startswith(f"{COLUMNS[0]},")
    except OSError as error:
        raise UsageError(f"{path} is not a list of mixtures: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a list of mixtures: {error}") from error


def _windows(bank: "AudioBank", path: Path) -> list[list[Window]]:
    places = {key: i for i, key in enumerate(zip(bank.recordings, bank.start_frames, strict=True))}
    grouped: dict[str, list[Window]] = defaultdict(list)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                segment = places[row["recording"], int(row["start_frame"])]
                first = int(bank.starts[segment]) + int(row["first_sample"])
                grouped[row["mixture"]].append((segment, first, float(row["gain"])))
    except KeyError as error:
        raise UsageError(f"{path}: {error} is neither a column nor a segment to test on") from None
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path} is not a list of mixtures: {error}") from error
    if not grouped:
        raise UsageError(f"{path} lists no mixtures")
    return list(grouped.values())


def _longest(bank: "AudioBank") -> dict[str, int]:
    """Recording -> its longest segment in the bank, the first of equal ones."""
    found: dict[str, int] = {}
    for segment, name in enumerate(bank.recordings):
        if name not in found or bank.lengths[segment] > bank.lengths[found[name]]:
            found[name] = segment
    return found


def _middle(bank: "AudioBank", segment: int) -> Window:
    free = int(bank.lengths[segment]) - bank.window
    return segment, int(bank.starts[segment]) + free // 2, 1.0


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
