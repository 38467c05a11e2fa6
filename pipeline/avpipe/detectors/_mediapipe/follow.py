"""The recipes `performer` and `ensemble`: people followed over a whole recording.

1. People from every `key_frames`-th picture, linked over time (`people`). Dark pictures have been
   stretched before (`light`).
2. A body for each on every frame, from the region of the last key frame: steadier joints.
3. Hands of every arm (`hands`); hands that fill the picture where no arm leads to them (`loose`).

Everybody who may be a player is followed; who is one is decided in the end, over the whole
recording. What is found in a frame depends on the frames, never on how they come in blocks.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from avpipe.detectors._mediapipe import arms, chain, regions
from avpipe.detectors._mediapipe.blocks import NOBODY, SHOULDERS, Block, Place, Rules
from avpipe.detectors._mediapipe.chain import Body, Region
from avpipe.detectors._mediapipe.hands import Hands
from avpipe.detectors._mediapipe.loose import LooseHands
from avpipe.detectors._mediapipe.people import People, Sight, gap
from avpipe.detectors._mediapipe.regions import Points
from avpipe.detectors._people import cast

_CANDIDATES = 3
"""People followed at a time to find the one performer among them."""
_CROWDED = 0.85
"""The region of a body in which somebody else sits is narrowed to this: the pose model takes the
nearest arm for the player's, whoever's it is."""


class Follow:
    """The recipe for one recording.

    Args:
        players: how many there are.
        tiles: see `People`.
    """

    def __init__(self, rules: Rules, players: int, *, tiles: bool) -> None:
        self.rules = rules
        self.loose = LooseHands(rules.key_frames) if players == 1 else None
        self._players = players
        most = max(_CANDIDATES, players + 1)
        self._people = People(rules.key_frames, most, tiles=tiles)
        self._hands = Hands(rules)

    def __call__(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks, finished but for what later ones have to say about them (`Block.late`)."""
        for block in blocks:
            self._find_bodies(block)
            if self.loose:
                self.loose.drop_made_up_bodies(block)
            self._hands.find(block)
            if self.loose:
                self.loose.find(block)
            yield block

    def players(self) -> list[list[int]]:
        """The numbers of the people that each player is, the most prominent first."""
        bodily = [person for person in self._people.everybody if person.found]
        found = cast(bodily, self._players, gap)
        numbers = [[person.number for person in player] for player in found]
        numbers += [[]] * (self._players - len(numbers))
        return [[*numbers[0], NOBODY]] if self._players == 1 else numbers

    def _find_bodies(self, block: Block) -> None:
        sights = self._people.look(block)
        where = {
            (sight.person.number, t): _own(sight.region, [s.region for s in present])
            for t, present in enumerate(sights)
            for sight in present
        }
        self._find_in(block, where)
        alone = [(t, present[0]) for t, present in enumerate(sights) if len(present) == 1]
        lost = [(t, sight) for t, sight in alone if (sight.person.number, t) not in block.bodies]
        self._find_in(block, _looked_for(block, lost))
        for t, present in enumerate(sights):
            _part(block, t, present)
            for person, _, seen in present:
                person.followed += 1
                if (person.number, t) in block.bodies:
                    person.found += 1
                    if seen == block.start + t:
                        person.frames.append(seen)

    def _find_in(self, block: Block, where: dict[Place, Region]) -> None:
        found = chain.bodies(
            block.pictures,
            [(t, region) for (_, t), region in where.items()],
        )
        block.bodies |= {
            place: body for place, body in zip(where, found, strict=True) if body is not None
        }


def _own(region: Region, everybody: list[Region]) -> Region:
    """The region, narrower where somebody else is in it."""
    apart = [float(np.abs(other[:2] - region[:2]).max()) for other in everybody]
    if sum(gap < region[2] / 2 for gap in apart) == 1:
        return region
    return arms.only(region[None] * (1, 1, _CROWDED, _CROWDED, 1))


def _looked_for(block: Block, lost: list[tuple[int, Sight]]) -> dict[Place, Region]:
    """Who is alone and has left the region of the last key frame, where he is now."""
    frames = [t for t, _ in lost]
    found = chain.detect(
        block.pictures, chain.whole(block.pictures, frames), "body", chain.THRESHOLD
    )
    return {
        (sight.person.number, t): arms.only(regions.body(seen.keypoints[:1]))
        for (t, sight), seen in zip(lost, found, strict=True)
        if len(seen.scores)
    }


def _part(block: Block, t: int, present: list[Sight]) -> None:
    """A body that two people have been given belongs to the one seen last, or else the surer."""
    taken: list[Body] = []
    found = [s for s in present if (s.person.number, t) in block.bodies]
    ranked = [(s.seen, block.bodies[s.person.number, t].presence, s.person.number) for s in found]
    for _, _, person in sorted(ranked, reverse=True):
        body = block.bodies[person, t]
        if any(_is_same(body, other) for other in taken):
            del block.bodies[person, t]
        else:
            taken.append(body)


def _is_same(one: Body, other: Body) -> bool:
    width = float(np.linalg.norm(np.diff(one.xy[SHOULDERS], axis=0)))
    return _gap(one.xy, other.xy) < 0.5 * width


def _gap(one: Points, other: Points) -> float:
    return float(np.median(np.linalg.norm(one[:25] - other[:25], axis=1)))
