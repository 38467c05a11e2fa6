"""Which shard a recording goes into."""

from hypothesis import given
from hypothesis import strategies as st

from avpipe.shards import assign

SIZES = st.dictionaries(st.text("abcdef", min_size=1), st.integers(0, 100), max_size=30)


def test_shards_are_filled_in_manifest_order():
    sizes = {"d": 60, "c": 30, "b": 20, "a": 90, "e": 1}
    assert assign(sizes, None, 100) == {"d": 0, "c": 0, "b": 1, "a": 2, "e": 2}


def test_a_recording_above_the_target_has_a_shard_of_its_own():
    assert assign({"a": 10, "b": 500, "c": 10}, None, 100) == {"a": 0, "b": 1, "c": 2}


@given(sizes=SIZES, target=st.integers(1, 200))
def test_no_shard_exceeds_the_target_unless_one_recording_does(sizes, target):
    assigned = assign(sizes, None, target)
    assert list(assigned) == list(sizes)
    numbers = list(assigned.values())
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(len(set(numbers))))
    for number in set(numbers):
        inside = [sizes[r] for r in assigned if assigned[r] == number]
        assert sum(inside) <= target or len([size for size in inside if size]) == 1


@given(old=SIZES, new=SIZES, target=st.integers(1, 200))
def test_what_was_packed_stays_and_new_recordings_go_into_new_shards(old, new, target):
    before = assign(old, None, target)
    after = assign(old | new, before, target)
    assert {r: after[r] for r in old} == before
    first_new = max(before.values(), default=-1) + 1
    assert all(after[r] >= first_new for r in after if r not in old)
    assert assign(old | new, after, target) == after
