"""Every file of the detectors folder is a detector or an importer, and keeps its word."""

import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from avpipe import detectors
from avpipe.config import key_parameters
from avpipe.dag import line
from avpipe.detectors._frames import checked
from avpipe.errors import ToolMissing, UsageError
from avpipe.manifest import read_manifest

NAMES = detectors.names()


def test_the_folder_is_the_list():
    assert {"mediapipe-solutions", "openpose", "face-alignment"} <= set(NAMES)
    assert {"import:openpose", "import:alphapose", "import:solos"} <= set(NAMES)
    assert len({detectors.module(name) for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_detector_has_all_that_is_asked_of_it(name):
    module = detectors.module(name)
    assert module.__doc__
    assert "Source: " in module.__doc__
    assert module.Config.__doc__
    assert dataclasses.is_dataclass(module.Config)
    assert module.Config.__dataclass_params__.frozen
    assert set(module.DEVICES) <= {"cuda", "cpu"}
    assert "cpu" in module.DEVICES
    assert module.CITATION.startswith("@")
    assert set(getattr(module, "FIELDS", ())) <= {"skeleton", "face_landmarks"}
    assert callable(module.identity)
    if name.startswith("import:"):
        assert callable(module.load)
        assert callable(module.inputs)
        assert "folder" not in key_parameters(module.Config())
    else:
        assert callable(module.create)


@pytest.mark.parametrize("name", NAMES)
def test_an_identity_is_complete_or_says_in_one_line_what_is_missing(name):
    module = detectors.module(name)
    config = module.Config()
    identity, missing = None, ""
    try:
        identity = module.identity(config)
    except ToolMissing as error:
        missing = str(error)
    if identity is None:
        assert re.fullmatch(r"[^\n]{20,}", missing)
        return
    assert json.loads(json.dumps(identity)) == identity
    assert identity["detector"] == name
    assert identity["parameters"] == key_parameters(config)
    assert all(
        re.fullmatch("[0-9a-f]{64}", digest) for digest in identity.get("models", {}).values()
    )


@pytest.mark.parametrize(
    ("detector", "wanted", "message"),
    [
        ("face-alignment", ("audio",), r"no skeleton, which segment.source = 'hands' needs"),
        ("import:solos", ("audio", "mouths"), r"no face_landmarks, which mouths needs"),
    ],
)
def test_a_detector_without_the_wanted_keypoints_is_refused_before_anything_runs(
    detector, wanted, message
):
    with pytest.raises(UsageError, match=message):
        line(read_manifest("demo"), wanted=wanted, settings={"detect": {"detector": detector}})


def test_looking_at_all_detectors_loads_no_model():
    code = f"""
import sys
from avpipe import detectors
from avpipe.errors import ToolMissing
for name in {NAMES!r}:
    module = detectors.module(name)
    try:
        module.identity(module.Config())
    except ToolMissing:
        pass
heavy = {{"torch", "mediapipe", "face_alignment", "ai_edge_litert", "cv2", "tensorflow"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("import:")])
def test_cuda_that_is_not_there_is_one_clear_line(name, monkeypatch):
    monkeypatch.setattr(detectors, "_has_cuda", lambda: False)
    offered = "cuda" in detectors.module(name).DEVICES
    with pytest.raises(ToolMissing if offered else UsageError) as caught:
        detectors.create(name, device="cuda")
    said = str(caught.value)
    assert re.fullmatch(
        r"[^\n]+(use device cpu|not on 'cuda'|docker/openpose.Dockerfile[^\n]*)", said
    )


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        None,
        [[[0, 0, 0]]],
    ],
)
def test_frames_that_are_not_rgb_are_refused_in_one_line(frame):
    with pytest.raises(UsageError, match=r"^frame 0 is [^\n]*: give \(H, W, 3\) uint8 RGB$"):
        list(checked([frame]))


def test_frames_of_two_sizes_are_refused_and_strides_do_not_matter():
    frame = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
    with pytest.raises(UsageError, match="one size only"):
        list(checked([frame, frame[1:]]))
    for view in (frame[::-1], frame[:, ::2], frame[..., ::-1], np.asfortranarray(frame)):
        (given,) = checked([view])
        assert given.flags.c_contiguous
        np.testing.assert_array_equal(given, view)
    assert list(checked([])) == []
