"""Splits keep together what belongs together and do not move when a list changes."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from avpipe.manifest.splits import fill
from avpipe.types import Recording

RULE = {"parts": {"train": 0.7, "val": 0.15, "test": 0.15}}


def recordings(names, **extra):
    return [Recording(id=name, category="x", extra=extra) for name in names]


@given(st.lists(st.text(min_size=1), unique=True, min_size=1), st.data())
def test_the_split_of_a_recording_does_not_depend_on_the_others(names, data):
    some = data.draw(st.lists(st.sampled_from(names), unique=True))
    whole = {r.id: r.split for r in fill(recordings(names), RULE)}
    part = {r.id: r.split for r in fill(recordings(some), RULE)}
    assert part == {name: whole[name] for name in some}


def test_shares_are_kept_and_the_seed_changes_the_split():
    names = [str(i) for i in range(5000)]
    first = fill(recordings(names), RULE)
    shares = Counter(r.split for r in first)
    assert abs(shares["train"] / 5000 - 0.7) < 0.03
    assert abs(shares["test"] / 5000 - 0.15) < 0.03
    assert fill(recordings(names), RULE) == first
    assert fill(recordings(names), {**RULE, "seed": 1}) != first


def test_segments_of_one_video_and_songs_of_one_singer_stay_together():
    videos = recordings([f"v_{i}" for i in range(50)], video="v")
    assert len({r.split for r in fill(videos, RULE)}) == 1
    songs = recordings([f"s{i}" for i in range(50)], singer="Anna")
    assert len({r.split for r in fill(songs, {**RULE, "by": "singer"})}) == 1
    assert len({r.split for r in fill(songs, RULE)}) == 3


def test_a_published_split_is_kept_and_holds_for_its_group():
    published = Recording(id="a", category="x", split="test_seen", extra={"singer": "Anna"})
    other = Recording(id="b", category="x", extra={"singer": "Anna"})
    rule = {**RULE, "by": "singer"}
    assert [r.split for r in fill([other, published], rule)] == ["test_seen", "test_seen"]
