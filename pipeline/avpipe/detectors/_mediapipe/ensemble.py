"""The recipe for several players: the performer's recipe for each of them.

They share the pictures and the search for bodies. A body that two players have found stays with
the one where the pose model is surer.
"""

from collections.abc import Iterable, Iterator
from itertools import tee

import numpy as np

from avpipe.detectors._mediapipe.blocks import SHOULDERS, Block, Rules
from avpipe.detectors._mediapipe.people import Players
from avpipe.detectors._mediapipe.performer import Performer
from avpipe.detectors._mediapipe.regions import Points
from avpipe.detectors._sides import SIDES


class Ensemble:
    """The recipe for one recording."""

    def __init__(self, rules: Rules, players: int) -> None:
        cast = Players(players, rules.key_frames)
        self._performers = [Performer(rules, cast, player) for player in range(players)]

    def __call__(self, blocks: Iterable[Block]) -> Iterator[tuple[Block, ...]]:
        """Finished blocks, one a player."""
        copies = tee(blocks, len(self._performers))
        parts = [
            performer(Block(block.start, block.pictures) for block in copy)
            for performer, copy in zip(self._performers, copies, strict=True)
        ]
        for together in zip(*parts, strict=True):
            _part(together)
            yield together


def _part(players: tuple[Block, ...]) -> None:
    """A body that two players have found belongs to the surer one."""
    for index, block in enumerate(players):
        for t, body in list(block.bodies.items()):
            width = np.linalg.norm(np.diff(body.xy[SHOULDERS], axis=0))
            for other in players[:index]:
                twin = other.bodies.get(t)
                gap = np.inf if twin is None else _gap(body.xy, twin.xy)
                if twin is not None and gap < 0.5 * width:
                    loser = block if body.presence <= twin.presence else other
                    _forget(loser, t)


def _gap(one: Points, other: Points) -> float:
    return float(np.median(np.linalg.norm(one[:25] - other[:25], axis=1)))


def _forget(block: Block, t: int) -> None:
    block.bodies.pop(t, None)
    for side in SIDES:
        block.hands.pop((t, side), None)
