import json

import numpy as np
import pytest

from avpipe.config import configure
from avpipe.errors import UsageError
from avpipe.keypoints import files, topology
from avpipe.keypoints import interpolate as fill
from avpipe.stages import Job, interpolate
from avpipe.types import Keypoints, Recording


def keypoints(name, frames=60, seed=0):
    """Walks with gaps of a few frames."""
    rng = np.random.default_rng(seed)
    k = len(topology(name))
    xy = rng.normal(0, 3, (frames, k, 2)).cumsum(axis=0) + 300
    confidence = rng.uniform(0.1, 1, (frames, k)) * (rng.random((frames, k)) < 0.7)
    xy[confidence == 0] = 0
    return Keypoints(xy.astype(np.float32), confidence.astype(np.float32), topology(name))


@pytest.fixture
def run(tmp_path):
    def run(fields, frames=60, **parameters):
        detect, out = tmp_path / "detect", tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        detect.mkdir(exist_ok=True)
        out.mkdir()
        for field, k in (fields or {}).items():
            files.save(detect, field, k)
        files.write_summary(detect / "detect.json", frames, fields)
        config = configure(interpolate.Config, parameters, "[interpolate]")
        facts = interpolate.run(Job(Recording("r", "Violin"), config, {"detect": detect}, out))
        json.dumps(facts)  # as the sidecar will hold it
        return out, facts

    return run


@pytest.mark.parametrize("legacy", [False, True])
def test_the_skeleton_is_filled_as_the_function_fills_it(run, legacy):
    found = keypoints("openpose67")
    out, _ = run({"skeleton": found}, legacy=legacy)
    xy, filled = fill(found.xy, found.confidence, found.topology, legacy)
    made = files.load(out, "skeleton", "openpose67")
    np.testing.assert_array_equal(made.xy, xy)
    np.testing.assert_array_equal(made.filled, filled)
    np.testing.assert_array_equal(made.confidence, found.confidence)
    assert filled.any()


def test_the_longest_gap_is_a_parameter(run):
    found = keypoints("openpose67")
    found.confidence[19:32, 4] = 0.5
    found.confidence[20:31, 4] = 0
    longer, _ = run({"skeleton": found}, max_fill_frames=11)
    shorter, _ = run({"skeleton": found}, max_fill_frames=10)
    assert files.load(longer, "skeleton", "openpose67").filled[20:31, 4].all()
    assert not files.load(shorter, "skeleton", "openpose67").filled[20:31, 4].any()


def test_other_fields_are_passed_on_unfilled(run):
    face = keypoints("face468", seed=1)
    out, facts = run({"skeleton": keypoints("openpose67"), "face_landmarks": face})
    made = files.load(out, "face_landmarks", "face468")
    np.testing.assert_array_equal(made.xy, face.xy)
    np.testing.assert_array_equal(made.confidence, face.confidence)
    assert not made.filled.any()
    assert facts["face_landmarks"]["filled"] == 0
    assert facts["face_landmarks"]["detected"] == pytest.approx(0.7, abs=0.02)
    assert facts["skeleton"]["filled"] == pytest.approx(0.3, abs=0.05)


def test_the_summary_says_what_is_there(run):
    out, _ = run({"skeleton": keypoints("solos47")})
    assert files.read_summary(out / "interpolate.json") == files.Summary(
        present=True, frames=60, fields={"skeleton": "solos47"}
    )


def test_without_video_there_is_nothing_but_the_summary(run):
    out, facts = run(None, frames=75)
    assert [p.name for p in out.iterdir()] == ["interpolate.json"]
    assert files.read_summary(out / "interpolate.json") == files.Summary(False, 75, {})
    assert facts == {"frames": 75}


def test_the_same_input_gives_the_same_bytes(run):
    fields = {"skeleton": keypoints("openpose67")}
    (one, _), (other, _) = run(fields), run(fields)
    for file in one.iterdir():
        assert file.read_bytes() == (other / file.name).read_bytes()


def test_a_negative_limit_is_an_error():
    with pytest.raises(UsageError, match="max_fill_frames must be at least 0"):
        configure(interpolate.Config, {"max_fill_frames": -1}, "[interpolate]")


def test_nothing_outside_shapes_the_result():
    assert interpolate.tool(interpolate.Config()) == {}
