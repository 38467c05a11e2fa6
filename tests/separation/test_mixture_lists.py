"""Test pairs as mixtures of a dataset's test part."""

import numpy as np
import pytest

from avpipe import open_dataset
from avpipe.errors import UsageError
from avpipe.separation import data, mixture_lists
from avpipe.separation.evaluate import evaluate
from sound_dataset import RATE

SAMPLES = 65_535


def bank(notes):
    return data.load(open_dataset(notes), "test", (), RATE, SAMPLES)


def test_a_pair_is_the_middles_of_its_recordings(notes, tmp_path):
    held_out = bank(notes)
    first, second = held_out.recordings[:2]
    path = tmp_path / "testsep.csv"
    path.write_text(f"/{held_out.names[0]}/{first}.wav, /{held_out.names[1]}/{second}.wav\n")
    drawn, missing = mixture_lists.read_list(held_out, path)
    assert missing == 0
    assert drawn.segments.tolist() == [[0, 1]]
    assert drawn.classes.tolist() == [held_out.classes[:2].tolist()]
    inside = drawn.first_samples[0] - held_out.starts[:2]
    np.testing.assert_array_equal(inside, (held_out.lengths[:2] - SAMPLES) // 2)
    assert (drawn.gains == 1).all()
    report = evaluate(["mixture"], notes, mixture_list=path)
    assert report.mixtures == 1
    assert {row.instrument for row in report.rows["mixture"]} == {
        held_out.names[c] for c in held_out.classes[:2]
    }


def test_pairs_of_recordings_that_are_gone_are_left_out_and_counted(notes, tmp_path):
    first, second, third = bank(notes).recordings[:3]
    path = tmp_path / "testsep.csv"
    path.write_text(f"{first},{second}\n{first},gone0000000\n{third}, {first}\n")
    drawn, missing = mixture_lists.read_list(bank(notes), path)
    assert missing == 1
    assert drawn.segments.tolist() == [[0, 1], [2, 0]]
    report = evaluate(["mixture"], notes, mixture_list=path)
    assert (report.mixtures, report.missing) == (2, 1)
    assert "- 1 listed mixtures left out" in report.table


def test_files_that_cannot_be_used_are_one_clear_line(notes, tmp_path):
    path = tmp_path / "testsep.csv"
    path.write_text("/cello/gone0000000.wav, /tuba/gone0000001.wav\n")
    with pytest.raises(UsageError, match=r"no mixture can be made, .*avpipe manifest split"):
        mixture_lists.read_list(bank(notes), path)
    path.write_text("\n/cello/gone0000000.wav,/cello/gone0000000.mp4,120\n")
    with pytest.raises(UsageError, match=r"testsep.csv row 2: names gone0000000 alone"):
        mixture_lists.read_list(bank(notes), path)
