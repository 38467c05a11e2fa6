"""The array of the Solos release."""

import numpy as np
import pytest

from avpipe.errors import RecordingFailed
from avpipe.keypoints import hand_visibility
from imported_keypoints import ID, load, write_solos


@pytest.mark.parametrize("header", [True, False])
def test_rows_keep_their_layout_and_lose_what_was_never_detected(tmp_path, rows, header):
    found = load("solos", write_solos(tmp_path, header=header))
    assert found.keys() == {"skeleton"}
    skeleton = found["skeleton"]
    assert skeleton.topology.name == "solos47"
    np.testing.assert_array_equal(skeleton.xy, rows[..., :2])
    np.testing.assert_array_equal(skeleton.confidence, rows[..., 2])
    visible = hand_visibility(skeleton.confidence, skeleton.topology)
    assert visible.tolist() == [False] * 9 + [True] * 51


def test_rows_are_those_of_the_recording(tmp_path, rows):
    folder = write_solos(tmp_path, {ID: [20, 45], "other": [0, 20]})
    skeleton = load("solos", folder, 25)["skeleton"]
    np.testing.assert_array_equal(skeleton.xy, rows[20:45, :, :2])


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"other": [0, 60]}, f"holds no keypoints of {ID}"),
        ({ID: [0, 61]}, "has 60 rows"),
        ({ID: [5, 5]}, "no range of rows"),
        ({ID: "all"}, "no range of rows"),
        ([ID], "not a table"),
    ],
)
def test_ranges_that_cannot_be_are_a_failure_of_the_recording(tmp_path, ranges, message):
    with pytest.raises(RecordingFailed, match=message):
        load("solos", write_solos(tmp_path, ranges))


@pytest.mark.parametrize("array", [np.zeros((60, 47, 3), np.float32), np.zeros((60, 3, 47))])
def test_an_array_of_another_kind_is_refused(tmp_path, array):
    np.save(write_solos(tmp_path) / "skeleton.npy", array)
    with pytest.raises(RecordingFailed, match="not float32"):
        load("solos", tmp_path)
    (tmp_path / "skeleton.npy").write_bytes(b"\0" * 100)
    with pytest.raises(RecordingFailed, match="100 bytes are not rows"):
        load("solos", tmp_path)
