from typing import NamedTuple

import numpy as np
import pytest

from avpipe.detectors._mediapipe import follow
from avpipe.detectors._mediapipe import people as module
from avpipe.detectors._mediapipe.blocks import Block, Rules
from avpipe.detectors._mediapipe.chain import Body
from avpipe.detectors._mediapipe.decode import Detections
from avpipe.detectors._mediapipe.everybody import _squares
from avpipe.detectors._mediapipe.follow import Follow, _own
from avpipe.detectors._mediapipe.people import People, _distinct, _tiles, gap
from avpipe.detectors._people import cast, links


class Somebody(NamedTuple):
    x: float
    side: float
    score: float = 0.9


def bodies(*people: Somebody | tuple[float, float]) -> Detections:
    """Detections of upright people: middle of the hips, side of the region, score."""
    everybody = [Somebody(*person) for person in people]
    keypoints = np.array(
        [[[x, 600], [x, 600 - side / 2.5], [x, 600 - side / 4], [x, 0]] for x, side, _ in everybody]
    ).reshape(-1, 4, 2)
    scores = np.array([person.score for person in everybody])
    return Detections(scores, np.zeros((len(everybody), 4)), keypoints)


class Pictures:
    height, width = 600, 800

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count


def watch(monkeypatch, script: list[Detections], *, block: int = 1000, **options) -> tuple:
    """What `People` make of detections: the sights of every frame, and everybody."""
    options = {"key_frames": 5, "most": 3, "tiles": False} | options
    people, looked = People(**options), []
    sights = []
    for start in range(0, len(script), block):
        part = Block(start, Pictures(min(block, len(script) - start)))

        def proposals(part: Block, frames: list[int], windows: list) -> list[Detections]:
            looked.extend(part.start + t for t in frames)
            return [script[part.start + t] for t in frames]

        monkeypatch.setattr(module, "_proposals", proposals)
        sights += people.look(part)
    for person in people.everybody:
        person.followed = person.found = 1
        person.frames = person.detected
    return sights, people.everybody, looked


def main(people: list) -> list[float]:
    """Hips' x of the performer's parts, the most prominent first."""
    return [float(person.torso[0, 0]) for person in cast(people, 1, gap)[0]]


def test_the_performer_is_the_one_most_seen_over_the_whole_recording(monkeypatch):
    script = [bodies((100, 250))] * 20 + [bodies((100, 250), (500, 350))] * 100
    _, everybody, _ = watch(monkeypatch, script)
    assert main(everybody) == [500]
    assert main(watch(monkeypatch, script[::-1])[1]) == [500]


def test_who_may_turn_out_to_be_the_performer_is_followed_from_the_first_sight(monkeypatch):
    sights, everybody, _ = watch(monkeypatch, [bodies((100, 300), (500, 200))] * 6)
    assert [{s.person.number for s in frame} for frame in sights] == [{0, 1}] * 6
    assert len(everybody) == 2


def test_people_in_the_background_are_not_followed(monkeypatch):
    sights, *_ = watch(monkeypatch, [bodies((100, 300), (500, 100), (700, 110))] * 6)
    assert {s.person.number for frame in sights for s in frame} == {0}


def test_the_performer_is_followed_while_somebody_larger_passes_by(monkeypatch):
    script = [bodies((100, 200))] * 50 + [bodies((600, 600), (100, 200))] * 10
    sights, everybody, _ = watch(monkeypatch, script)
    assert [s.person.number for s in sights[-1]] == [0, 1]
    assert main(everybody) == [100]


def test_not_more_than_so_many_are_followed_at_a_time(monkeypatch):
    crowd = [bodies(*[(100 + 100 * i, 200) for i in range(8)])] * 3
    assert {len(frame) for frame in watch(monkeypatch, crowd)[0]} == {3}


def test_a_performer_who_was_lost_and_is_found_elsewhere_is_the_same_one(monkeypatch):
    script = [bodies((100, 300))] * 50 + [bodies()] * 40 + [bodies((600, 300))] * 30
    _, everybody, _ = watch(monkeypatch, script)
    assert main(everybody) == [100, 600]


def test_where_nobody_is_detected_any_more_the_last_one_is_looked_for(monkeypatch):
    script = [bodies((100, 300))] * 10 + [bodies()] * 90
    sights, *_ = watch(monkeypatch, script)
    assert [s.person.number for s in sights[-1]] == [0]
    both = [bodies((100, 300), (600, 290))] * 10 + [bodies((100, 300))] * 90
    sights, *_ = watch(monkeypatch, both)
    assert [len(sights[t]) for t in (9, 34, 35, 99)] == [2, 2, 1, 1]


def test_every_frame_is_looked_at_until_somebody_is_seen(monkeypatch):
    script = [bodies()] * 7 + [bodies((100, 300))] * 20
    for block in (1, 4, 1000):
        sights, everybody, looked = watch(monkeypatch, script, block=block)
        assert [len(frame) for frame in sights] == [0] * 7 + [1] * 20
        assert everybody[0].detected == [7, 10, 15, 20, 25]
        assert set(looked) >= set(range(8))


@pytest.mark.parametrize("block", [1, 4, 1000])
def test_squares_are_looked_at_where_nobody_is_in_the_whole_nor_was_lately(monkeypatch, block):
    looked = []

    def proposals(part: Block, frames: list[int], windows: list) -> list[Detections]:
        if len(windows) == 1:
            return [bodies()] * len(frames)
        looked.extend(part.start + t for t in frames)
        return [bodies((100, 120)) if part.start + t >= 10 else bodies() for t in frames]

    monkeypatch.setattr(module, "_proposals", proposals)
    people = People(key_frames=5, most=3, tiles=False)
    for start in range(0, 44, block):
        people.look(Block(start, Pictures(min(block, 44 - start))))
    assert looked == [0, 5, 10, 40]
    assert [person.detected for person in people.everybody] == [[10, 40]]


def test_a_body_that_the_pose_model_hardly_ever_finds_is_not_the_performer(monkeypatch):
    _, everybody, _ = watch(monkeypatch, [bodies((100, 300), (600, 200))] * 10)
    everybody[0].followed = 10
    assert main(everybody) == [600]


def test_players_who_come_back_get_their_own_place(monkeypatch):
    """A leaves and comes back where he was; B comes while A is away, and stays."""
    a, b = (100, 300), (600, 290)
    script = [bodies(a)] * 50 + [bodies(b)] * 60 + [bodies(a, b)] * 30
    _, everybody, _ = watch(monkeypatch, script, most=3)
    players = cast(everybody, 2, gap)
    places = [{round(float(p.torso[0, 0])) for p in player} for player in players]
    assert sorted(places, key=min) == [{100}, {600}]
    assert sum(map(len, players)) == 3


def test_who_walks_past_somebody_and_hides_them_is_not_taken_for_them(monkeypatch):
    script = []
    for t in range(0, 100):
        walker, sitter = (20 + 6 * t, 300), (300, 300)
        hidden = abs(walker[0] - sitter[0]) < 60
        script.append(bodies(walker) if hidden else bodies(walker, sitter))
    _, everybody, _ = watch(monkeypatch, script)
    assert [round(float(person.torso[0, 0])) for person in everybody] == [20 + 6 * 95, 300]


def test_who_walks_behind_somebody_comes_out_on_the_other_side(monkeypatch):
    script = [bodies(*([] if 30 <= t < 50 else [(100 + 8 * t, 300)])) for t in range(70)]
    _, everybody, _ = watch(monkeypatch, script)
    assert [person.detected[-1] for person in everybody] == [65]


def test_of_several_nobody_becomes_another_size_and_somebody_alone_may(monkeypatch):
    """Of somebody alone a close-up may show a part."""
    neighbour = (600, 300)
    script = [bodies((100, 300), neighbour)] * 10 + [bodies((110, 150), neighbour)] * 10
    _, everybody, _ = watch(monkeypatch, script)
    assert [person.detected for person in everybody] == [[0, 5], [0, 5, 10, 15], [10, 15]]
    script = [bodies((100, 300))] * 10 + [bodies((110, 150))] * 10
    _, everybody, _ = watch(monkeypatch, script)
    assert [person.detected for person in everybody] == [[0, 5, 10, 15]]


def test_a_body_in_reach_of_another_one_is_looked_at_more_closely():
    one, far, near = (np.array([x, 400.0, 300, 300, 0]) for x in (200, 360, 340))
    assert _own(one, [one, far]) is one
    for region in (one, near):
        narrower = _own(region, [one, near])
        assert narrower[2] == pytest.approx(0.85 * 300, rel=0.03)
        np.testing.assert_allclose(narrower[:2], region[:2], atol=3)


def test_two_tracks_on_the_same_body_are_one_player(monkeypatch):
    """What is detected is first the one, then the other, and both at once in between."""
    one, other = (300, 300), (370, 300)
    script = [bodies(one)] * 20 + [bodies(one, other)] * 1 + [bodies(other)] * 29

    def body(pictures: Pictures, where: list) -> list[Body]:
        xy = np.linspace((200, 0), (400, 600), 39)
        return [Body(xy, np.ones(39), 1.0)] * len(where)

    monkeypatch.setattr(module, "_proposals", lambda _, frames, __: [script[t] for t in frames])
    monkeypatch.setattr(follow.chain, "bodies", body)
    recipe = Follow(Rules(key_frames=5, fallback_frames=5, wrist_gate=1.0), 2, tiles=True)
    block = Block(0, Pictures(len(script)))
    recipe._find_bodies(block)
    assert {person for person, _ in block.bodies} == {0, 1}
    assert sorted(map(sorted, recipe.players())) == [[], [0, 1]]


def test_somebody_seen_beside_the_performer_is_somebody_else():
    class Track(NamedTuple):
        frames: list[int]
        weight: float

    long, beside, after = Track([0, 1, 2], 9.0), Track([2, 3], 5.0), Track([5], 1.0)
    assert cast([beside, long, after], 1) == [[long, after]]


def test_the_nearest_are_linked_first_and_nobody_twice():
    assert links(np.array([[0.3, 0.1], [0.2, 0.15]]), 0.25) == [(0, 1), (1, 0)]
    assert links(np.array([[0.3], [0.2]]), 0.25) == [(1, 0)]
    assert links(np.zeros((0, 3)), 1) == []


@pytest.mark.parametrize(("height", "width"), [(480, 1120), (480, 2000), (1080, 620), (576, 576)])
def test_tiles_cover_a_long_picture_and_overlap_by_half(height, width):
    tiles, side = _tiles(height, width), min(height, width)
    if height == width:
        assert tiles == []
        return
    along = np.array([tile[0] if width > height else tile[1] for tile in tiles])
    assert along[0] == side / 2
    assert along[-1] == max(height, width) - side / 2
    assert (np.diff(along) <= side / 2).all()


def test_somebody_whose_hips_each_window_guesses_elsewhere_is_one_person():
    found = bodies((300, 300), (310, 300), (345, 300))
    found.keypoints[1, 0] = 150, 900
    assert _distinct([found]).keypoints[:, 2, 0].tolist() == [300, 345]


@pytest.mark.parametrize(("height", "width"), [(480, 7000), (2000, 200), (16, 9), (8, 128)])
def test_looking_at_the_parts_of_a_picture_takes_a_bounded_number_of_squares(height, width):
    assert 0 < len(_squares(height, width)) <= 400
    assert 0 < len(_tiles(height, width)) <= 40


@pytest.mark.parametrize(("height", "width"), [(1, 100), (2, 16384), (7, 100), (20000, 20)])
def test_pictures_that_are_hardly_more_than_a_line_have_no_parts(height, width):
    assert _squares(height, width) == _tiles(height, width) == []


def test_what_two_windows_show_is_one_person_where_it_is_surest():
    one = bodies(Somebody(100, 300, 0.6), Somebody(500, 300, 0.8))
    other = bodies(Somebody(104, 310, 0.9))
    found = _distinct([one, other])
    assert found.scores.tolist() == [0.9, 0.8]
    assert found.keypoints[:, 0, 0].tolist() == [104, 500]
