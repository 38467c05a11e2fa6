"""Agreement of segments with released ones."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import avpipe
from avpipe import cli
from avpipe.fidelity import agreement, iou
from avpipe.manifest.reference import Released, read_reference
from avpipe.media import ffmpeg
from avpipe.types import Segment

GOLDEN = Path(__file__).parent / "golden"
RESOURCES = Path(__file__).parent / "resources"

FRAMES = 40


@st.composite
def disjoint(draw):
    cuts = sorted(draw(st.lists(st.integers(0, FRAMES), unique=True, max_size=8)))
    return list(zip(cuts[::2], cuts[1::2], strict=False))


def mask(ranges):
    frames = np.zeros(FRAMES, bool)
    for start, stop in ranges:
        frames[start:stop] = True
    return frames


@given(disjoint(), disjoint())
def test_iou_is_that_of_the_frames(first, second):
    a, b = mask(first), mask(second)
    expected = (a & b).sum() / (a | b).sum() if (a | b).any() else 1.0
    assert iou(first, second) == pytest.approx(expected)
    assert iou(second, first) == iou(first, second)


def test_only_recordings_that_both_have_are_compared():
    released = {
        "a": Released(1000, (Segment(0, 500),)),
        "b": Released(1000, ()),
        "not built": Released(1000, (Segment(0, 9),)),
    }
    found = agreement(released, {"a": [(0, 250), (300, 500)], "b": [], "new": [(0, 5)]}, fps=25)
    assert [(c.recording, c.iou, c.ours, c.released) for c in found.recordings] == [
        ("a", 0.9, 2, 1),
        ("b", 1.0, 0, 0),
    ]
    assert found.mean_iou == pytest.approx(0.95)
    assert (found.segments, found.released_segments) == (2, 1)
    assert (found.hours, found.released_hours) == pytest.approx((450 / 90000, 500 / 90000))


def test_nothing_in_common_has_no_mean():
    assert agreement({}, {"a": [(0, 5)]}, fps=25).mean_iou is None


def test_the_released_segments_of_solos_agree_with_themselves():
    manifest = avpipe.read_manifest("solos")
    released = read_reference(manifest)
    ours = {name: [(s.start, s.stop) for s in r.segments] for name, r in released.items()}
    found = agreement(released, ours, manifest.fps)
    assert len(found.recordings) == 754
    assert found.mean_iou == 1.0
    assert found.hours == found.released_hours == pytest.approx(64.230, abs=5e-4)


@pytest.mark.parametrize(("legacy", "least"), [("false", 0.998), ("true", 1.0)])
def test_the_released_detections_of_a_recording_give_its_released_segments(
    legacy, least, tmp_path, capsys
):
    """What was detected in 1619 real frames of Solos, through a build, beside its timestamps."""
    name = "OqH9szlahwU"
    detected = np.load(GOLDEN / f"solos_{name}_detected.npz")["detected"]
    release, mirror = tmp_path / "release", tmp_path / "mirror"
    for folder in (release, mirror):
        folder.mkdir()
    rows = np.zeros((len(detected), 3, 47), np.float32)
    rows[:, 2] = detected
    np.save(release / "skeleton.npy", rows)
    ranges = {name: [0, len(rows)], "_counter": len(rows)}
    (release / "skeleton_dict.json").write_text(json.dumps(ranges))
    clip = str(RESOURCES / "urmp_09_tpt_crop.mp4")
    command = [str(ffmpeg.executable()), "-v", "error", "-stream_loop", "-1", "-i", clip]
    command += ["-vf", "scale=64:-2", "-preset", "ultrafast", "-t", str(len(rows) / 25)]
    subprocess.run([*command, str(mirror / f"{name}.mp4")], check=True)
    out = ["--out", str(tmp_path / "out")]
    build = ["build", "solos", "--ids", name, "--source", str(mirror), *out, "--workers", "1"]
    build += ["--detector", "import:solos", "--set", f'detect.options={{folder="{release}"}}']
    assert cli.run([*build, "--set", f"segment.legacy={legacy}"]) == 0
    capsys.readouterr()
    assert cli.run(["stats", "solos", *out, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["agreement"]
    assert (found["segments"], found["released_segments"]) == (1, 1)
    assert found["mean_iou"] >= least
    assert found["hours"] == pytest.approx(found["released_hours"], rel=1e-3)
