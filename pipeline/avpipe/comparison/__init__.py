"""What a change of detector changes: two detections of the same frames side by side.

`metrics` are pure functions of two `Keypoints`; `pairs` finds what to compare, in the store of a
dataset or in two files; `result` adds it up. Pictures and page: `avpipe.report.comparison`.
"""

from collections.abc import Mapping

from avpipe.comparison.pairs import DatasetPairs, Detection, Pair, detections, of_files, pick
from avpipe.comparison.result import Compared, Result

__all__ = [
    "Compared",
    "DatasetPairs",
    "Detection",
    "Pair",
    "Result",
    "compare",
    "detections",
    "of_files",
    "pick",
]


def compare(a: str, b: str, pairs: Mapping[str, Pair]) -> Result:
    """Compares all pairs, one after the other.

    Args:
        a: what the first of every pair is called.
        b: likewise the second.
        pairs: recording -> pair; at least one.
    """
    return Result(a, b, tuple(Compared.of(pair) for pair in pairs.values()))
