import numpy as np
import pytest

from avpipe.detectors._mediapipe.decode import Detections
from avpipe.detectors._mediapipe.people import People, Players


def bodies(*people: tuple[float, float, float]) -> Detections:
    """Detections of upright people: x of the hips, size, score."""
    keypoints = np.array([[[x, 300.0], [x, 300.0 - size]] for x, size, _ in people])
    keypoints = keypoints.reshape(-1, 2, 2)
    scores = np.array([score for _, _, score in people])
    return Detections(scores, np.zeros((len(people), 4)), keypoints)


def performer(people: People, t: int, found: Detections) -> np.ndarray | None:
    """The region of the most prominent person present."""
    present = people.look(t, found)
    return present[0].region if present else None


def test_the_larger_of_two_people_is_the_performer_whoever_scores_better():
    region = performer(People(), 0, bodies((100, 50, 0.9), (400, 150, 0.7)))
    assert region[0] == pytest.approx(400, abs=8)


def test_the_performer_stays_when_somebody_larger_passes_by():
    people = People()
    for t in range(0, 100, 5):
        people.look(t, bodies((100, 100, 0.9)))
    passing = performer(people, 100, bodies((600, 200, 0.95), (102, 100, 0.6)))
    assert passing[0] == pytest.approx(102, abs=8)


def test_who_is_seen_longer_becomes_the_performer():
    people = People()
    people.look(0, bodies((600, 150, 0.9)))
    for t in range(5, 60, 5):
        region = performer(people, t, bodies((100, 100, 0.9)))
    assert region[0] == pytest.approx(100, abs=8)


def test_a_missed_detection_keeps_the_performers_region():
    people = People()
    before = performer(people, 0, bodies((100, 100, 0.9)))
    assert performer(people, 5, bodies((600, 90, 0.9)))[0] == before[0]
    assert performer(people, 10, bodies())[0] == before[0]


def test_after_a_cut_the_one_who_is_there_is_the_performer():
    people = People()
    for t in range(0, 500, 5):
        people.look(t, bodies((100, 100, 0.9)))
    for t in range(500, 530, 5):
        region = performer(people, t, bodies((600, 60, 0.6)))
    assert region[0] == pytest.approx(600, abs=8)


def test_nobody_is_nobody():
    people = People()
    assert performer(people, 0, bodies()) is None
    people.look(5, bodies((100, 100, 0.9)))
    assert performer(people, 31, bodies()) is None


def test_not_more_than_some_people_are_remembered():
    people = People()
    for t in range(100):
        people.look(t, bodies((t * 1000.0, 100 + t, 0.9)))
    assert len(people._people) <= 16


def test_a_single_player_is_looked_for_where_he_was_last():
    players = Players(1, 5)
    players._recast(players._everybody.look(0, bodies((100, 100, 0.9))))
    players._recast(players._everybody.look(500, bodies()))
    assert players._cast[0].region[0] == pytest.approx(100, abs=8)
    players._recast(players._everybody.look(505, bodies((600, 90, 0.9))))
    assert players._cast[0].region[0] == pytest.approx(600, abs=8)


def test_players_keep_their_person_and_a_free_one_takes_who_is_left():
    players = Players(2, 5)
    everybody = players._everybody
    players._recast(everybody.look(0, bodies((100, 100, 0.9))))
    first = players._cast[0]
    players._recast(everybody.look(5, bodies((600, 200, 0.9), (100, 100, 0.9))))
    assert players._cast[0] is first
    assert players._cast[1].region[0] == pytest.approx(600, abs=8)
    for t in range(10, 50, 5):
        players._recast(everybody.look(t, bodies((600, 200, 0.9))))
    assert players._cast[0] is None
    assert players._cast[1].region[0] == pytest.approx(600, abs=8)
