import numpy as np
import pytest

from avpipe.detectors._mediapipe.blocks import Block, Found, Origin, Rules
from avpipe.detectors._mediapipe.chain import Body, Hand
from avpipe.detectors._mediapipe.collect import Recording
from avpipe.detectors._mediapipe.hands import Hands


class Scene:
    """Pictures of a still person whose hand model answers by a script.

    Stands in for the network only: the hand lies where `hands` puts it, if the region looks there.
    """

    height = width = 1000

    def __init__(
        self, frames: range, hands: dict[int, float], corner: tuple[int, int] = (0, 0)
    ) -> None:
        self._frames, self._hands, self._corner = frames, hands, corner

    def __len__(self) -> int:
        return len(self._frames)

    def cut(self, index, box):
        return Scene(self._frames[index : index + 1], self._hands, box[:2])

    def run(self, name, index, regions):
        if name == "palm":
            return np.zeros((len(index), 2016, 18)), np.full((len(index), 2016, 1), -99.0)
        if name == "hand_recrop":
            return (np.tile([128.0, 128, 128, 0], (len(index), 1)),)
        assert name == "hand"
        rows = []
        for t, region in zip(index, regions, strict=True):
            presence = self._hands.get(self._frames[t], 0.0)
            rows.append(
                (hand_shape(region + np.array([*self._corner, 0, 0, 0])), [presence], [0.1])
            )
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
    made.bodies = {(7, t): body() for t in range(len(frames))}
    return made


def found(presence: float = 0.9, rightness: float = 0.1, claim: float = 0.9) -> Found:
    return Found(Hand(WRIST + SHAPE, presence, rightness), Origin.DIRECT, claim)


def rules() -> Rules:
    return Rules(key_frames=5, fallback_frames=5, wrist_gate=0.35)


class OneArm(Hands):
    """Hands whose first step finds them in scripted frames only."""

    def __init__(self, direct: set[int]) -> None:
        super().__init__(rules())
        self.direct = direct

    def _find_sure_ones(self, block):
        slots = [(7, t, "left") for t in range(len(block)) if block.start + t in self.direct]
        hands = {slot: found() for slot in slots}
        block.hands |= hands
        return hands

    def _find_unsure_ones(self, block):
        return {}


def frames_of(direct: set[int], present: range, total: int, length: int) -> dict[int, Origin]:
    """Frames with a left hand and how it was found, for blocks of a length."""
    hands, seen = OneArm(direct), {}
    for start in range(0, total, length):
        here = block(range(start, min(start + length, total)), dict.fromkeys(present, 0.8))
        hands.find(here)
        for (_, t, _), one in (here.hands | here.late).items():
            np.testing.assert_allclose(one.hand.xy, WRIST + SHAPE, atol=1e-3)
            assert start + t not in seen
            seen[start + t] = one.origin
    return seen


@pytest.mark.parametrize("length", [1, 3, 8, 1000])
def test_a_hand_is_followed_both_ways_until_it_is_not_there_whatever_the_blocks(length):
    seen = frames_of({20}, range(4, 30), 40, length)
    assert sorted(seen) == list(range(4, 30))
    assert {t for t, origin in seen.items() if origin is Origin.DIRECT} == {20}
    assert {origin for t, origin in seen.items() if t != 20} == {Origin.PROPAGATED}


@pytest.mark.parametrize("length", [1, 50, 1000])
def test_a_hand_is_followed_backwards_for_five_seconds_at_most(length):
    assert min(frames_of({190}, range(200), 200, length)) == 190 - 125


@pytest.mark.parametrize("length", [1, 4, 1000])
def test_a_hand_is_not_followed_across_frames_without_the_arm(length):
    hands, seen = OneArm({12}), set()
    for start in range(0, 20, length):
        here = block(range(start, min(start + length, 20)), dict.fromkeys(range(20), 0.8))
        for t in range(len(here)):
            if here.start + t in (8, 15):
                here.bodies[7, t] = body(visibility=0.3)
        hands.find(here)
        seen |= {start + t for _, t, _ in here.hands | here.late}
    assert seen == set(range(9, 15))


@pytest.mark.parametrize("length", [1, 4, 1000])
def test_a_hand_is_looked_for_afresh_on_key_frames_and_where_it_was_lost(length):
    """Found on frames 0, 5 and 10, followed in between; hidden in frame 7, then found again."""
    hands, origins = Hands(rules()), {}
    present = dict.fromkeys(set(range(13)) - {7}, 0.95)
    for start in range(0, 13, length):
        here = block(range(start, min(start + length, 13)), present)
        for t in range(len(here)):
            here.bodies[7, t].xy[[17, 19]] = np.add(WRIST, [[-9, -30], [9, -30]])
        hands.find(here)
        origins |= {start + t: one.origin for (_, t, _), one in here.hands.items()}
    direct = {t for t, origin in origins.items() if origin is Origin.DIRECT}
    assert direct == {0, 5, 8, 9, 10}
    assert sorted(origins) == sorted(present)


@pytest.mark.parametrize("length", [1, 4, 1000])
def test_an_unsure_hand_on_a_key_frame_gives_way_to_one_that_is_followed(length):
    hands, origins = Hands(rules()), {}
    present = dict.fromkeys(range(12), 0.95) | {5: 0.7}
    for start in range(0, 12, length):
        here = block(range(start, min(start + length, 12)), present)
        for t in range(len(here)):
            here.bodies[7, t].xy[[17, 19]] = np.add(WRIST, [[-9, -30], [9, -30]])
        hands.find(here)
        origins |= {start + t: one.origin for (_, t, _), one in here.hands.items()}
    assert {t for t, origin in origins.items() if origin is Origin.DIRECT} == {0, 10}
    assert len(origins) == 12


def test_an_unsure_hand_is_looked_at_again_from_its_own_landmarks():
    class Closer(Scene):
        """The hand model is sure only of regions that stand upright on the hand."""

        def run(self, name, index, regions):
            outputs = super().run(name, index, regions)
            if name == "hand":
                near = np.linalg.norm(regions[:, :2] - (WRIST + SHAPE[9]), axis=1) < 40
                outputs[1][:, 0] = np.where(near, 0.97, 0.3)
            return outputs

    here = Block(0, Closer(range(1), {}))
    here.bodies = {(7, 0): body()}
    here.bodies[7, 0].xy[[17, 19]] = np.add(WRIST, [[-60, 40], [-40, 60]])
    Hands(rules()).find(here)
    assert here.hands[7, 0, "left"].hand.presence == pytest.approx(0.97)


def test_a_hand_off_the_wrist_is_refused():
    hands, here = Hands(rules()), block(range(0, 1), {})
    far = found().hand
    here.bodies[7, 0].xy[15] = WRIST + np.array([71, 0])
    assert hands._accepted(here, (7, 0, "left"), far, Origin.DIRECT) is None
    here.bodies[7, 0].xy[15] = WRIST + np.array([69, 0])
    assert hands._accepted(here, (7, 0, "left"), far, Origin.DIRECT) is not None


def test_one_hand_found_for_both_sides_stays_on_the_side_it_looks_like():
    here = block(range(0, 1), {0: 0.9})
    offsets = {14: (0, -100), 16: (5, 5), 17: (0, 0), 19: (9, -30), 18: (0, 0), 20: (9, -30)}
    for joint, offset in offsets.items():
        here.bodies[7, 0].xy[joint] = WRIST + np.array(offset)
    here.bodies[7, 0].visibility[16] = 0.9
    Hands(rules()).find(here)
    assert list(here.hands) == [(7, 0, "left")]
    assert 0 < here.hands[7, 0, "left"].rival < here.hands[7, 0, "left"].claim


def recorded(*frames: dict[tuple[int, str], Found]) -> Recording:
    """A recording of one person; the hands of every frame."""
    recording = Recording()
    here = block(range(0, len(frames)), {})
    people = {person for hands in frames for person, _ in hands}
    here.bodies = {(person, t): body() for person in people for t in range(len(frames))}
    for t, hands in enumerate(frames):
        here.hands |= {(person, t, side): one for (person, side), one in hands.items()}
    recording.append(here)
    return recording


def sides(recording: Recording, person: int = 1) -> list[str]:
    (player,) = recording.players([[person]], ())
    return ["".join("LR"[s] for s in np.flatnonzero(row)) for row in player.origins]


def test_a_hand_that_both_arms_find_keeps_its_side_over_time():
    left = {(1, "left"): found(claim=0.9)._replace(rival=0.4)}
    right = {(1, "right"): found(claim=0.7)._replace(rival=0.6)}
    assert sides(recorded(left, left, right, left)) == ["L"] * 4
    assert sides(recorded(right, right, right)) == ["R"] * 3
    certain = {(1, "right"): found(claim=0.7)}
    assert sides(recorded(left, left, certain, left)) == ["L", "L", "R", "L"]


def test_a_hand_that_two_arms_have_stays_with_the_better_claim_over_the_run():
    one, other = found(claim=0.9), found(claim=0.5)
    both = {(1, "left"): one, (1, "right"): other}
    turned = {(1, "left"): other, (1, "right"): one}
    assert sides(recorded(both, both, turned)) == ["L"] * 3
    two_people = recorded({(1, "left"): other, (2, "right"): one})
    assert sides(two_people, 1) == [""]
    assert sides(recorded({(1, "left"): other, (2, "right"): one}), 2) == ["R"]


def test_a_hand_that_is_only_ever_seen_over_a_better_one_is_that_hand_once_more():
    real, ghost = found(claim=0.9), found(claim=0.4)
    over = ghost._replace(hand=ghost.hand._replace(xy=WRIST + SHAPE[::-1]))
    away = ghost._replace(hand=ghost.hand._replace(xy=WRIST + SHAPE + 200))
    assert sides(recorded(*[{(1, "left"): real, (1, "right"): over}] * 4)) == ["L"] * 4
    neighbours = {(1, "left"): real, (2, "left"): over}
    assert sides(recorded(neighbours, neighbours), 2) == ["", ""]
    came = [{(1, "left"): real, (1, "right"): right} for right in (away, away, over, over)]
    assert sides(recorded(*came)) == ["LR"] * 4
    alone = [{(1, "right"): over}, {}, {(1, "left"): real, (1, "right"): over}]
    assert sides(recorded(*alone)) == ["R", "", "L"]
