"""Views of keypoints in another topology, and the body with both hands put together.

A mapping is declared in the file of the topology that is asked for. A joint that is the mean of
several (a neck between shoulders) has the least of their confidences and no position unless all of
them have one; a joint that the source does not have is (0, 0) with confidence 0.
"""

import numpy as np

from avpipe.errors import AvpipeError
from avpipe.keypoints.topologies import names, topology
from avpipe.types import Bool, Keypoints


def convert(keypoints: Keypoints, name: str) -> Keypoints:
    """The same person over the same T frames in topology `name`.

    Raises:
        AvpipeError: no mapping is declared; the text names a joint that is missing and what could
            be asked for instead.
    """
    source, target = keypoints.topology, topology(name)
    if source.name == name:
        return keypoints
    if source.name not in target.mappings:
        raise AvpipeError(_no_mapping(keypoints, name))
    frames = len(keypoints)
    xy = np.zeros((frames, len(target), 2), np.float32)
    confidence = np.zeros((frames, len(target)), np.float32)
    filled = np.zeros((frames, len(target)), np.bool_)
    known, was_filled = _known(keypoints), _filled(keypoints)
    for joint, sources in target.mappings[source.name].items():
        j, k = target.index(joint), [source.index(s) for s in sources]
        confidence[:, j] = keypoints.confidence[:, k].min(axis=1)
        if len(k) == 1:
            xy[:, j], filled[:, j] = keypoints.xy[:, k[0]], was_filled[:, k[0]]
        else:
            placed = known[:, k].all(axis=1)
            mean = keypoints.xy[:, k].mean(axis=1, dtype=np.float64)
            xy[:, j] = np.where(placed[:, None], mean, 0)
            filled[:, j] = placed & was_filled[:, k].any(axis=1)
    return Keypoints(xy, confidence, target, None if keypoints.filled is None else filled)


def compose_openpose67(
    body: Keypoints, left_hand: Keypoints | None, right_hand: Keypoints | None
) -> Keypoints:
    """Body and hands as one skeleton.

    Args:
        body: T frames in `body25`, or in what has a mapping to it (`blazepose33`).
        left_hand: T frames in `hand21`, the player's own left; None: never detected.
        right_hand: likewise.
    """
    body25, hand21 = convert(body, "body25"), topology("hand21")
    frames = len(body)
    absent = Keypoints(
        np.zeros((frames, len(hand21), 2), np.float32),
        np.zeros((frames, len(hand21)), np.float32),
        hand21,
    )
    hands = [absent if hand is None else hand for hand in (left_hand, right_hand)]
    for hand in hands:
        if hand.topology.name != hand21.name or len(hand) != frames:
            raise AvpipeError(f"a hand must be hand21 of {frames} frames like the body, not {hand}")
    parts = [body25, *hands]
    filled = None
    if any(part.filled is not None for part in parts):
        filled = np.concatenate([_filled(part) for part in parts], axis=1)
    return Keypoints(
        np.concatenate([part.xy for part in parts], axis=1),
        np.concatenate([part.confidence for part in parts], axis=1),
        topology("openpose67"),
        filled,
    )


def _filled(keypoints: Keypoints) -> Bool:
    if keypoints.filled is None:
        return np.zeros(keypoints.confidence.shape, np.bool_)
    return keypoints.filled


def _known(keypoints: Keypoints) -> Bool:
    """(T, K) True where the position means something."""
    known: Bool = (keypoints.confidence > 0) | _filled(keypoints)
    return known


def _no_mapping(keypoints: Keypoints, name: str) -> str:
    source, target = keypoints.topology, topology(name)
    views = [n for n in names() if source.name in topology(n).mappings]
    missing = next((j for j in target.joints if j not in source.joints), None)
    return (
        f"no mapping from {source.name} to {name}"
        + (f": it has no {missing}" if missing else "")
        + f"; {source.name} can be viewed as {', '.join(views) or 'nothing else'}"
    )
