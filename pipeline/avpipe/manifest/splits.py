"""Splits for lists that were published without one.

What must not be torn apart (the segments of one video, the songs of one singer, the versions of
one performance) is a group. The part of a group follows from a hash of its name, so that a
recording that is added or dies never moves another one.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from avpipe.manifest.location import video_id
from avpipe.types import Recording


def fill(recordings: Sequence[Recording], rule: Mapping[str, Any]) -> list[Recording]:
    """The recordings, those without a split with the one that the rule gives.

    Args:
        recordings: a split that one of them has already holds for its whole group.
        rule: `parts` (part -> share, adding up to 1), `by` (column of the group; where it is
            empty or not given, the video), `seed`.
    """
    column = rule.get("by")
    groups = [(column and r.extra.get(column)) or video_id(r) for r in recordings]
    given = {g: r.split for g, r in zip(groups, recordings, strict=True) if r.split is not None}
    return [
        replace(r, split=r.split or given.get(g) or _part(g, rule["parts"], rule.get("seed", 0)))
        for g, r in zip(groups, recordings, strict=True)
    ]


def _part(group: str, parts: Mapping[str, float], seed: int) -> str:
    digest = hashlib.sha256(f"{seed} {group}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    for part, share in parts.items():
        if position < share:
            return part
        position -= share
    return part
