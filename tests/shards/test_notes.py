"""Notes in shards: what sounds in the segments, and clips of it."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import avpipe
from avpipe.annotations import NOTE
from avpipe.errors import AvpipeError
from avpipe.shards import pack, verify
from avpipe.shards.check import shard_problems
from tiny_dataset import facts, member

SEGMENTS = [(25, 75), (100, 200)]
"""[1 s, 3 s) and [4 s, 8 s)."""
NOTES = np.array(
    [
        (0.0, 1.0, 220.0, 0, 0),  # ends where the first segment starts
        (0.5, 1.0, 221.0, 1, 0),
        (2.0, 3.0, 222.0, 2, 1),  # in both
        (3.0, 1.0, 223.0, 0, 0),  # between them
        (5.0, 0.5, 224.0, 0, 0),
        (7.5, 2.0, 225.0, 1, 0),
        (8.0, 2.0, 226.0, 1, 0),  # after the last
    ],
    NOTE,
)


@pytest.fixture
def out(tmp_path) -> Path:
    plain = member(tmp_path / "w", "trio", SEGMENTS)
    np.save(plain.artifacts["audio"] / "notes.npy", NOTES)
    trio = replace(
        plain,
        artifacts={**plain.artifacts, "notes": plain.artifacts["audio"]},
        digests={**plain.digests, "notes": "n"},
        media={"notes": {"names": ["vn", "vc"], "notes": len(NOTES)}},
    )
    other = member(tmp_path / "w", "without", [(0, 200)])
    pack(tmp_path / "out", facts(fields=("audio", "skeleton", "notes")), [trio, other])
    return tmp_path / "out"


def test_a_shard_holds_the_notes_that_sound_in_the_segments(out):
    assert verify(out).ok
    with h5py.File(out / "shards" / "notes-00000.h5") as file:
        assert list(file) == ["trio"]
        assert list(file["trio"].attrs["names"]) == [b"vn", b"vc"]
        assert file["trio/pitch_hz"][()].tolist() == [221, 222, 224, 225]
        assert file["trio/onset_seconds"][()].tolist() == [0.5, 2, 5, 7.5]


def test_a_clip_has_what_sounds_in_it_timed_from_its_start(out):
    dataset = avpipe.open_dataset(out)
    first, second = dataset.clip(0).fields["notes"], dataset.clip(1).fields["notes"]
    assert first.pitch_hz.tolist() == [221, 222]
    assert first.intervals.tolist() == [[-0.5, 0.5], [1, 4]]
    assert second.intervals.tolist() == [[-2, 1], [1, 1.5], [3.5, 5.5]]
    assert (second.names, second.source.tolist(), second.player.tolist()) == (
        ("vn", "vc"),
        [1, 0, 0],
        [2, 0, 1],
    )
    assert second["vc"].intervals.tolist() == [[-2, 1]]
    with pytest.raises(AvpipeError, match="no source 'va'; there are vn, vc"):
        second["va"]
    window = dataset.clip(1, start_frame=25, frames=10, fields=("notes",))
    assert window.audio is None
    assert window.fields["notes"].intervals.tolist() == [[0, 0.5]]
    assert len(dataset.clip(1, start_frame=60, frames=10).fields["notes"]) == 0
    assert "notes" not in dataset.clip(2).fields


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("duration_seconds", [1, 3, 0.5, 9], "1 notes lie outside the 16 s of the recording"),
        ("onset_seconds", [-1, 2, 5, 7.5], "lie outside the 16 s"),
        ("duration_seconds", [1, 3, 0, 2], "1 notes last no time; the first of them begins at 5.0"),
        ("pitch_hz", [0, 222, -1, 225], "2 notes have no pitch"),
        ("onset_seconds", [2, 0.5, 5, 7.5], "are not in the order of their onsets"),
        ("onset_seconds", [0.5, 2, 5, 8.1], "sound in no segment"),
        ("source", [0, 1, 0, 2], "are of no source that is named"),
        ("player", [0, 1, 0, -1], "are of no player"),
        ("pitch_hz", [1, np.nan, 2, 3], "pitch_hz holds values that are not finite"),
    ],
)
def test_notes_that_cannot_be_are_found(out, column, values, words):
    path = out / "shards" / "notes-00000.h5"
    with h5py.File(path, "r+") as file:
        file[f"trio/{column}"][...] = values
    assert words in "\n".join(shard_problems(path))


def test_columns_of_different_lengths_are_found(out):
    path = out / "shards" / "notes-00000.h5"
    with h5py.File(path, "r+") as file:
        kept = file["trio/player"][:3]
        del file["trio/player"]
        file["trio/player"] = kept
    assert "player is (3,), its segments need (4,)" in "\n".join(shard_problems(path))
