from typing import NamedTuple

import numpy as np
import pytest

from avpipe.detectors._sides import Wrists, assign


class Hand(NamedTuple):
    xy: np.ndarray
    score: float
    label: str


def hand(x: float, score: float = 0.9, label: str = "left") -> Hand:
    return Hand(np.full((21, 2), x, np.float32), score, label)


def wrists(left: float, right: float, visibility: float = 0.9, shoulders: float = 100) -> Wrists:
    xy = np.array([[left, left], [right, right]], np.float32)
    return Wrists(xy, np.full(2, visibility, np.float32), shoulders)


def test_a_hand_goes_to_the_nearer_wrist_whatever_its_label_says():
    found = hand(190, label="left")
    assert assign([found], wrists(left=100, right=200)) == {"right": found}


def test_two_hands_go_to_their_own_wrists():
    near_left, near_right = hand(110, label="right"), hand(195, label="right")
    sides = assign([near_right, near_left], wrists(left=100, right=200))
    assert sides["left"] is near_left
    assert sides["right"] is near_right


def test_the_same_hand_found_twice_is_dropped_once():
    once, again = hand(198), hand(190)
    assert assign([again, once], wrists(left=100, right=200)) == {"right": once}


def test_two_hands_near_one_wrist_are_both_kept_where_the_other_wrist_is_close():
    here, there = hand(101), hand(103)
    sides = assign([there, here], wrists(left=100, right=120))
    assert sides["left"] is here
    assert sides["right"] is there


@pytest.mark.parametrize("pose", [None, wrists(left=100, right=200, visibility=0.1)])
def test_labels_decide_where_no_wrists_are_seen(pose: Wrists | None):
    left, right = hand(190, label="left"), hand(100, label="right")
    assert assign([left, right], pose) == {"left": left, "right": right}


def test_of_two_hands_with_one_label_the_better_one_keeps_it():
    worse, better = hand(1, score=0.6), hand(2, score=0.8)
    assert assign([worse, better], None) == {"left": better, "right": worse}


def test_no_hands_give_no_sides():
    assert assign([], wrists(left=100, right=200)) == {}
