"""Which shard a recording belongs to: decided when it is first packed, then kept."""

from collections.abc import Mapping


def assign(
    sizes: Mapping[str, int], previous: Mapping[str, int] | None, target_bytes: int
) -> dict[str, int]:
    """Shard number of every recording.

    Shards are filled in the order of `sizes` until the next recording would exceed
    `target_bytes`; one larger than that has a shard of its own. Recordings of `previous` keep
    their number and the others go into new shards, so that new recordings rewrite nothing.

    Args:
        sizes: recording -> bytes of all its fields together, in manifest order.
        previous: the published assignment; None gives the layout of a build from scratch.
        target_bytes: size of a full shard, all fields together.
    """
    kept = previous or {}
    assigned = {}
    number, filled = max(kept.values(), default=-1) + 1, 0
    for recording, size in sizes.items():
        if recording in kept:
            assigned[recording] = kept[recording]
            continue
        if filled and filled + size > target_bytes:
            number, filled = number + 1, 0
        assigned[recording] = number
        filled += size
    return assigned
