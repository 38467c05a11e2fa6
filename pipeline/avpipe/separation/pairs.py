"""Published test pairs (`avpipe.manifest.mixtures`) as mixtures of a built dataset.

A source is the window in the middle of the recording's longest segment, at its own level: what
Sound of Pixels takes of a whole recording. Recordings that are not there (videos die) take their
mixtures along, and how many that is is said.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avpipe.errors import UsageError
from avpipe.manifest import read_mixtures

if TYPE_CHECKING:
    from avpipe.separation.data import AudioBank
    from avpipe.separation.mixing import Draw


def read_pairs(bank: "AudioBank", path: Path) -> "Draw":
    """The mixtures of a file.

    Args:
        bank: the dataset's test part.
        path: rows like `/cello/ID.wav,/tuba/ID.wav`.

    Raises:
        UsageError: it is no such file, a row names one recording only, or none can be made.
    """
    from avpipe.separation.mixing import Draw

    listed = read_mixtures(path)
    longest = _longest(bank)
    for row, ids in listed:
        if len(ids) < 2:
            raise UsageError(f"{path} row {row}: names {ids[0]} alone, a mixture needs two")
    there = [ids for _, ids in listed if all(name in longest for name in ids)]
    if not there:
        raise UsageError(
            f"{path}: no mixture can be made, the dataset's test part has none of"
            f" {', '.join(listed[0].ids)}: give it their split with `avpipe manifest split`"
        )
    if len(there) < len(listed):
        absent = dict.fromkeys(n for _, ids in listed for n in ids if n not in longest)
        warnings.warn(
            f"{path}: {len(listed) - len(there)} of {len(listed)} mixtures are left out, for"
            f" {len(absent)} of their recordings are not in the dataset's test part:"
            f" {', '.join(list(absent)[:5])}{', ...' if len(absent) > 5 else ''}",
            stacklevel=2,
        )
    shape = (len(there), max(map(len, there)))
    segments, firsts = np.full(shape, -1), np.full(shape, -1)
    for i, ids in enumerate(there):
        for j, name in enumerate(ids):
            segment = longest[name]
            free = bank.lengths[segment] - bank.window
            segments[i, j], firsts[i, j] = segment, bank.starts[segment] + free // 2
    classes = np.where(segments >= 0, bank.classes[segments], -1)
    return Draw(firsts, classes, segments, np.ones(shape, np.float32))


def _longest(bank: "AudioBank") -> dict[str, int]:
    """Recording -> its longest segment in the bank, the first of equal ones."""
    found: dict[str, int] = {}
    for segment, name in enumerate(bank.recordings):
        if name not in found or bank.lengths[segment] > bank.lengths[found[name]]:
            found[name] = segment
    return found
