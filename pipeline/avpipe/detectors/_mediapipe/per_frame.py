"""The recipe that agrees with MediaPipe's own solutions in static mode: every frame by itself.

The most prominent body, up to two hands from palms of the whole picture, assigned to the body's
wrists as the detector `mediapipe-solutions` does.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

import numpy as np

from avpipe.detectors._mediapipe import chain, regions
from avpipe.detectors._mediapipe.blocks import SHOULDERS, WRIST, Block, Found, Origin, Rules
from avpipe.detectors._mediapipe.chain import Body
from avpipe.detectors._sides import SIDES, Wrists, assign


class PerFrame:
    """The recipe; nothing is remembered from frame to frame."""

    loose = None

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def __call__(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks, finished."""
        for block in blocks:
            self._find(block)
            yield block

    def players(self) -> list[list[int]]:
        """The only person is the only player."""
        return [[0]]

    def _find(self, block: Block) -> None:
        pictures, every = block.pictures, range(len(block))
        people = chain.detect(pictures, chain.whole(pictures, every), "body", chain.THRESHOLD)
        around = [
            (t, regions.body(found.keypoints[:1])[0])
            for t, found in enumerate(people)
            if len(found.scores)
        ]
        bodies = chain.bodies(pictures, around)
        block.bodies = {(0, t): body for (t, _), body in zip(around, bodies, strict=True) if body}
        palms = chain.palm_regions(pictures, chain.whole(pictures, every))
        where = [(t, region) for t, found in enumerate(palms) for region in found]
        hands = zip(where, chain.hands(pictures, where), strict=True)
        for t, found in groupby(hands, key=lambda pair: pair[0][0]):
            sides = assign([hand for _, hand in found if hand], _wrists(block.bodies.get((0, t))))
            for side, hand in sides.items():
                block.hands[0, t, side] = Found(hand, Origin.PALM)


def _wrists(body: Body | None) -> Wrists | None:
    if body is None:
        return None
    joints = [WRIST[side] for side in SIDES]
    left, right = body.xy[SHOULDERS]
    return Wrists(body.xy[joints], body.visibility[joints], float(np.linalg.norm(left - right)))
