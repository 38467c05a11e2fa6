import json

import numpy as np
import pytest

from avpipe.errors import AvpipeError
from avpipe.keypoints import files, topology
from avpipe.types import Keypoints


def person(frames=3, filled=True):
    rng = np.random.default_rng(0)
    t = topology("solos47")
    return Keypoints(
        rng.random((frames, 47, 2), np.float32),
        rng.random((frames, 47), np.float32),
        t,
        rng.random((frames, 47)) < 0.5 if filled else None,
    )


@pytest.mark.parametrize("filled", [True, False])
@pytest.mark.parametrize("frames", [0, 3])
def test_what_is_saved_is_what_is_loaded(tmp_path, frames, filled):
    saved = person(frames, filled)
    files.save(tmp_path, "skeleton", saved)
    loaded = files.load(tmp_path, "skeleton", "solos47")
    np.testing.assert_array_equal(loaded.xy, saved.xy)
    np.testing.assert_array_equal(loaded.confidence, saved.confidence)
    assert (loaded.filled is not None) == filled
    if filled:
        np.testing.assert_array_equal(loaded.filled, saved.filled)


def test_files_are_mapped_not_read(tmp_path):
    files.save(tmp_path, "skeleton", person())
    assert isinstance(files.load(tmp_path, "skeleton", "solos47").xy, np.memmap)


def test_the_same_keypoints_give_the_same_bytes_whatever_their_layout(tmp_path):
    one = person()
    other = Keypoints(
        np.asfortranarray(one.xy), one.confidence.astype(np.float64), one.topology, one.filled
    )
    for folder, keypoints in (("a", one), ("b", other)):
        (tmp_path / folder).mkdir()
        files.save(tmp_path / folder, "skeleton", keypoints)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_arrays_of_another_topology_are_an_error(tmp_path):
    files.save(tmp_path, "skeleton", person())
    with pytest.raises(AvpipeError, match="keypoints of body25 must be"):
        files.load(tmp_path, "skeleton", "body25")


def test_the_summary_names_fields_and_topologies(tmp_path):
    path = tmp_path / "detect.json"
    files.write_summary(path, 3, {"skeleton": person()})
    expected = {"present": True, "frames": 3, "fields": {"skeleton": "solos47"}}
    assert json.loads(path.read_text()) == expected
    assert files.read_summary(path) == files.Summary(**expected)


def test_without_video_the_summary_still_says_how_long_the_recording_is(tmp_path):
    files.write_summary(tmp_path / "detect.json", 8, None)
    assert files.read_summary(tmp_path / "detect.json") == files.Summary(False, 8, {})
