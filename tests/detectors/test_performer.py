import numpy as np
import pytest

from avpipe.detectors._mediapipe.blocks import Block, Found, Origin, Rules
from avpipe.detectors._mediapipe.chain import Body, Hand
from avpipe.detectors._mediapipe.performer import Performer, _spread


class Scene:
    """Pictures of a still person whose hand model answers by a script.

    Stands in for the network only: the hand lies where `hands` puts it, if the region looks there.
    """

    height = width = 1000

    def __init__(self, frames: range, hands: dict[int, float]) -> None:
        self._frames, self._hands = frames, hands

    def __len__(self) -> int:
        return len(self._frames)

    def run(self, name, index, regions):
        assert name == "hand"
        rows = []
        for t, region in zip(index, regions, strict=True):
            presence = self._hands.get(self._frames[t], 0.0)
            rows.append((hand_shape(region), [presence], [0.1]))
        return tuple(np.array(column, np.float32) for column in zip(*rows, strict=True))


SHAPE = np.stack([np.linspace(0, 30, 21), -np.linspace(0, 60, 21)], -1)
WRIST = np.array([300.0, 500.0])


def hand_shape(region: np.ndarray) -> np.ndarray:
    """(63,) the still hand in crop px of an arbitrary region."""
    cx, cy, side, _, rotation = region
    offset = WRIST + SHAPE - (cx, cy)
    cos, sin = np.cos(rotation), np.sin(rotation)
    turned = np.stack([offset @ (cos, sin), offset @ (-sin, cos)], -1) / side + 0.5
    return np.column_stack([turned * 224, np.zeros(21)]).ravel()


def body(visibility: float = 0.9) -> Body:
    xy = np.zeros((39, 2))
    xy[[11, 12]] = [[500, 200], [300, 200]]
    xy[13], xy[14] = [360, 400], [850, 800]
    xy[15], xy[16] = WRIST, [900, 900]
    seen = np.full(39, visibility)
    seen[16] = 0.0
    return Body(xy, seen, 1.0)


def block(frames: range, hands: dict[int, float]) -> Block:
    made = Block(frames.start, Scene(frames, hands))
    made.bodies = {t: body() for t in range(len(frames))}
    return made


def found(presence: float = 0.9, rightness: float = 0.1, shift: float = 0.0) -> Found:
    return Found(Hand(WRIST + SHAPE + shift, presence, rightness), Origin.DIRECT)


@pytest.fixture
def performer() -> Performer:
    return Performer(Rules(key_frames=5, fallback_frames=5, wrist_gate=0.35))


def test_a_hand_is_followed_both_ways_until_it_is_not_there(performer):
    seen = block(range(100, 110), dict.fromkeys([101, 102, 103, 104, 105, 106, 108], 0.8))
    seen.hands[4, "left"] = found()
    performer._propagate(seen, 1, {})
    assert sorted(t for t, _ in seen.hands) == [4, 5, 6]
    performer._propagate(seen, -1, {})
    assert sorted(t for t, _ in seen.hands) == [1, 2, 3, 4, 5, 6]
    assert {hand.origin for (t, _), hand in seen.hands.items() if t != 4} == {Origin.PROPAGATED}
    np.testing.assert_allclose(seen.hands[1, "left"].hand.xy, WRIST + SHAPE, atol=1e-3)


def test_a_hand_comes_in_from_the_neighbouring_block(performer):
    everywhere = dict.fromkeys(range(20), 0.8)
    for step in (1, -1):
        seen = block(range(0, 8), everywhere)
        performer._propagate(seen, step, {"left": found()})
        assert len(seen.hands) == 8
        nothing = block(range(0, 8), everywhere)
        performer._propagate(nothing, step, {"right": found()})
        assert not nothing.hands


def test_a_hand_away_from_its_wrist_is_not_accepted(performer):
    seen = block(range(0, 1), {})
    assert performer._accept(seen, [(0, "left")], [found(shift=60).hand], Origin.DIRECT) == []
    assert performer._accept(seen, [(0, "left")], [found(shift=20).hand], Origin.DIRECT)


@pytest.mark.parametrize("order", [("left", "right"), ("right", "left")])
def test_one_hand_found_for_both_sides_stays_on_the_side_it_looks_like(performer, order):
    seen = block(range(0, 1), {})
    seen.bodies[0].xy[[14, 16]] = [WRIST - (0, 100), WRIST + 5]
    hand = found(rightness=0.95).hand
    kept = performer._accept(seen, [(0, side) for side in order], [hand, hand], Origin.DIRECT)
    assert kept == [(0, "right")]
    assert list(seen.hands) == [(0, "right")]


def test_holes_are_sides_without_a_hand_whose_wrist_is_in_view(performer):
    seen = block(range(0, 3), {})
    seen.hands[1, "left"] = found()
    seen.bodies[2] = body(visibility=0.3)
    assert performer._holes(seen) == [(0, "left")]


def test_long_holes_are_tried_at_their_start_and_then_now_and_then():
    holes = [(t, "left") for t in (0, 1, 2, 7, 8, 9, 10, 11, 12)] + [(8, "right")]
    assert _spread(sorted(holes), 3) == [(0, "left"), (7, "left"), (8, "right"), (10, "left")]
