"""What can be compared, and the figures of it."""

import json

import numpy as np
import pytest

from avpipe import cli
from avpipe.comparison import DatasetPairs, compare, detections, of_files, pick
from avpipe.errors import UsageError
from avpipe.keypoints.exchange import KeypointsFile, write
from avpipe.types import Segment
from detected_dataset import FRAMES, skeleton
from detected_dataset import write as write_dataset


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("compare"))[0]


def test_a_store_knows_what_detected_its_videos(out):
    found = detections(out)
    assert sorted(d.name for d in found) == ["finder", "toy"]
    assert [len(d.keys) for d in found] == [1, 1]
    old = pick(found, "toy")
    assert old.label == f"toy (toy 1.0) {old.digest[:8]}"
    assert pick(found, old.digest[:5]) is old
    assert pick(found, "finder 2.0").name == "finder"


@pytest.mark.parametrize(
    ("selector", "said"),
    [("0)", "several detections.*how they differ"), ("openpose", "no detection"), ("", "no ")],
)
def test_what_is_not_one_detection_is_said_with_what_there_is(out, selector, said):
    with pytest.raises(UsageError, match=said) as error:
        pick(detections(out), selector)
    assert "toy (toy 1.0)" in str(error.value)


def test_a_pair_has_both_keypoints_and_the_segments_of_each(out):
    found = detections(out)
    pairs = DatasetPairs(out, pick(found, "toy"), pick(found, "finder"))
    assert list(pairs) == ["filmed"]
    pair = pairs["filmed"]
    np.testing.assert_array_equal(pair.a.xy, skeleton().xy)
    assert pair.segments_a == [Segment(0, FRAMES)]
    assert pair.segments_b == [Segment(0, 100)]
    assert pair.fps == 25
    assert pair.video is not None
    with pytest.raises(UsageError, match="no recording of"):
        DatasetPairs(out, found[0], found[1], ids=["nobody"])


def test_the_figures_say_what_changes(out):
    found = detections(out)
    result = compare("old", "new", DatasetPairs(out, pick(found, "toy"), pick(found, "finder")))
    document = json.loads(json.dumps(result.as_json()))
    assert document["coverage"]["any"] == {"a": 1.0, "b": 0.8}
    assert document["distance"]["left hand"]["px"]["50"] == pytest.approx(10, rel=0.006)
    assert document["distance"]["left hand"]["shoulders"]["99"] == pytest.approx(0.1, rel=0.006)
    assert document["distance"]["left hand"]["px"]["joints"] == 100 * 21
    assert document["distance"]["right hand"]["px"]["99"] == 0
    assert document["jitter"]["a"]["body"]["px"] == 0
    assert document["segments"]["changed_recordings"] == ["filmed"]
    assert document["segments"]["moved_frames"] == 25
    assert document["segments"]["b"]["hours"] == pytest.approx(4 / 3600)
    assert document["by_recording"][0]["segments"] == {"a": [[0, 125]], "b": [[0, 100]]}
    first = document["worst"][0]
    assert (first["recording"], first["frame"]) == ("filmed", 100)
    assert first["disagreement"] == pytest.approx(2 / 3)
    titles = [title for title, _, _ in result.tables()]
    assert "1 of 1 recordings change" in titles[-1]


def test_two_files_are_compared(tmp_path):
    for name, keypoints in (("a", skeleton()), ("b", skeleton(5))):
        write(tmp_path / f"{name}.csv", KeypointsFile(keypoints, 25.0), "csv")
    pair = of_files(tmp_path / "a.csv", tmp_path / "b.csv")
    result = compare("a", "b", {pair.recording: pair})
    assert result.as_json()["distance"]["left hand"]["px"]["50"] == pytest.approx(5, rel=0.006)
    assert not result.changed
    write(tmp_path / "c.h5", KeypointsFile(skeleton(), 30.0), "h5")
    with pytest.raises(UsageError, match="25 frames per second"):
        of_files(tmp_path / "a.csv", tmp_path / "c.h5")


def test_the_command_lists_and_compares(out, tmp_path, capsys):
    assert cli.run(["compare", str(out), "--json"]) == 0
    assert {d["detection"].split()[0] for d in json.loads(capsys.readouterr().out)} == {
        "toy", "finder",
    }  # fmt: skip
    pictures = tmp_path / "pictures"
    assert (
        cli.run(["compare", str(out), "toy", "finder", "--pictures", str(pictures), "--json"]) == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert document["recordings"] == 1
    assert document["page"] == str(pictures / "index.html")
    assert (pictures / "worst-01.png").is_file()
    assert cli.run(["compare", str(out), "toy", "finder"]) == 0
    assert "left hand" in capsys.readouterr().out
    assert cli.run(["compare", str(out), "toy"]) == 2
    assert cli.run(["compare", str(tmp_path / "a.h5")]) == 2
