"""Keypoints in a file of their own: what is written is read."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avpipe.errors import UsageError
from avpipe.keypoints import topology
from avpipe.keypoints.exchange import FORMATS, KeypointsFile, read, write
from avpipe.types import Keypoints


def person(frames, seed=0, name="openpose67", fps=25.0):
    """Random keypoints, half of them not detected."""
    random, k = np.random.default_rng(seed), len(topology(name))
    seen = random.random((frames, k)) < 0.5
    xy = random.normal(300, 200, (frames, k, 2)).astype(np.float32) * seen[:, :, None]
    confidence = (random.random((frames, k)) * seen).astype(np.float32)
    detector = {"detector": "toy", "parameters": {"threshold": 0.5}}
    return KeypointsFile(Keypoints(xy, confidence, topology(name)), fps, "skeleton", detector)


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 4), st.integers(0, 99), st.sampled_from(["openpose67", "hand21", "face468"]),
    st.sampled_from([25.0, 29.97, 12.5]), st.sampled_from(FORMATS),
)  # fmt: skip
def test_what_is_written_is_read_to_the_last_bit(tmp_path_factory, frames, seed, name, fps, format):
    path = tmp_path_factory.mktemp("exchange") / f"a.{format}"
    written = person(frames, seed, name, fps)
    write(path, written, format)
    found = read(path)
    np.testing.assert_array_equal(found.keypoints.xy, written.keypoints.xy)
    np.testing.assert_array_equal(found.keypoints.confidence, written.keypoints.confidence)
    assert found.keypoints.topology.name == name
    assert found.fps == (fps if format != "csv" or frames > 1 else 25.0)
    if format != "csv":
        assert (found.field, found.detector) == ("skeleton", written.detector)


@pytest.mark.parametrize("format", FORMATS)
def test_long_videos_are_written_in_parts(tmp_path, format):
    written = person(600)
    write(tmp_path / f"a.{format}", written, format)
    np.testing.assert_array_equal(read(tmp_path / f"a.{format}").keypoints.xy, written.keypoints.xy)


def test_json_names_the_joints_of_every_frame_and_leaves_out_what_is_not_detected(tmp_path):
    content = person(2)
    write(tmp_path / "a.json", content, "json")
    document = json.loads((tmp_path / "a.json").read_text())
    assert [frame["seconds"] for frame in document["frames"]] == [0, 0.04]
    layout, found = content.keypoints.topology, document["frames"][1]["joints"]
    seen = [layout.joints[k] for k in np.flatnonzero(content.keypoints.confidence[1] > 0)]
    assert list(found) == seen
    x, y, confidence = found[seen[0]]
    k = layout.index(seen[0])
    assert np.float32(x) == content.keypoints.xy[1, k, 0]
    assert np.float32(y) == content.keypoints.xy[1, k, 1]
    assert np.float32(confidence) == content.keypoints.confidence[1, k]
    assert ["neck", "nose"] in document["bones"]


def test_csv_is_a_row_a_frame(tmp_path):
    write(tmp_path / "a.csv", person(3), "csv")
    table = pd.read_csv(tmp_path / "a.csv")
    assert len(table) == 3
    assert list(table.columns[:5]) == ["frame", "seconds", "nose_x", "nose_y", "nose_confidence"]
    assert table.shape[1] == 2 + 3 * 67


def test_h5_holds_what_a_keypoints_shard_holds_of_a_recording(tmp_path):
    content = person(3)
    write(tmp_path / "a.h5", content, "h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["xy"].shape == (3, 67, 2)
        assert file["xy"].dtype == file["confidence"].dtype == np.float32
        assert file.attrs["topology"].decode() == "openpose67"
        assert [j.decode() for j in file.attrs["joints"]] == list(topology("openpose67").joints)
        assert (file.attrs["fps"], file.attrs["frames"]) == (25, 3)
    write(tmp_path / "b.h5", content, "h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("content", [b"", b"nonsense", b'{"format": "other"}', b"[1, 2]"])
def test_what_is_no_such_file_is_one_line_that_names_it(tmp_path, format, content):
    path = tmp_path / f"a.{format}"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"a\.{format} is no file of keypoints") as found:
        read(path)
    assert "\n" not in str(found.value)


def test_a_missing_file_and_another_ending_are_said(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        read(tmp_path / "gone.h5")
    with pytest.raises(UsageError, match="end with h5, json, csv"):
        read(tmp_path / "a.npy")


def test_values_that_are_no_numbers_are_refused(tmp_path):
    write(tmp_path / "a.json", person(1), "json")
    document = json.loads((tmp_path / "a.json").read_text())
    joints = document["frames"][0]["joints"]
    joints[next(iter(joints))] = [float("nan"), 0, 1]
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match="finite"):
        read(tmp_path / "a.json")
    write(tmp_path / "a.h5", person(1), "h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["xy"][0, 0] = np.nan
    with pytest.raises(UsageError, match="finite"):
        read(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": [{"joints": [1]}]}, "no attribute"),
        ({"frames": [{"joints": {"tail": [1, 2, 1]}}]}, "no joint 'tail'"),
        ({"frames": [{"joints": {"nose": [1, 2, 5]}}]}, "not in \\[0, 1\\]"),
        ({"topology": "other"}, "unknown topology"),
        ({"fps": 0}, "fps is 0"),
        ({"fps": "fast"}, "could not convert"),
    ],
)
def test_a_document_that_somebody_changed_is_one_line_that_names_it(tmp_path, change, message):
    write(tmp_path / "a.json", person(1), "json")
    document = json.loads((tmp_path / "a.json").read_text()) | change
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match=rf"a\.json is no file of keypoints.*{message}"):
        read(tmp_path / "a.json")


def test_h5_does_not_follow_links_out_of_the_file(tmp_path):
    write(tmp_path / "secret.h5", person(2), "h5")
    write(tmp_path / "a.h5", person(2), "h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["xy"]
        file["xy"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/xy")
    with pytest.raises(UsageError, match="xy"):
        read(tmp_path / "a.h5")
