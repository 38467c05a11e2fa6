"""What holds for every importer of keypoints."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from avpipe import detectors
from avpipe.config import configure, key_parameters
from avpipe.dag import line
from avpipe.errors import RecordingFailed, ToolMissing, UsageError
from avpipe.keypoints import files
from avpipe.manifest import read_manifest
from avpipe.stages import Job, detect
from avpipe.types import Recording
from imported_keypoints import (
    FRAMES,
    ID,
    RECORDING,
    imported,
    load,
    person,
    write_alphapose,
    write_openpose,
    write_solos,
)


@pytest.mark.parametrize("lacking", [-2, -1, 1, 2])
def test_a_frame_or_two_more_or_less_are_fitted_at_the_end(tmp_path, rows, lacking):
    frames = FRAMES + lacking
    skeleton = load("solos", write_solos(tmp_path), frames)["skeleton"]
    assert len(skeleton) == frames
    np.testing.assert_array_equal(skeleton.xy[:FRAMES], rows[:frames, :, :2])
    assert not skeleton.confidence[FRAMES:].any()


@pytest.mark.parametrize("frames", [57, 63])
def test_a_larger_difference_is_a_failure_unless_it_is_allowed(tmp_path, rows, frames):
    write_solos(tmp_path)
    with pytest.raises(RecordingFailed, match=rf"60 frames for a video of {frames}"):
        load("solos", tmp_path, frames)
    assert len(load("solos", tmp_path, frames, slack_frames=3)["skeleton"]) == frames
    write_alphapose(tmp_path / f"{ID}.json", rows, 26)
    with pytest.raises(RecordingFailed, match="60 frames for a video of 57"):
        load("alphapose", tmp_path, 57)


@pytest.mark.parametrize("format_", ["openpose", "alphapose", "solos"])
def test_without_its_files_an_importer_says_where_they_should_be(tmp_path, format_):
    module = detectors.module(f"import:{format_}")
    with pytest.raises(ToolMissing, match=r"--set detect.options.folder=DIR"):
        module.identity(module.Config())
    with pytest.raises(ToolMissing, match=rf"no folder {tmp_path}/none"):
        module.identity(module.Config(folder=str(tmp_path / "none")))
    if format_ == "solos":
        with pytest.raises(ToolMissing, match=r"holds no skeleton.npy"):
            module.identity(module.Config(folder=str(tmp_path)))
        write_solos(tmp_path, {})
    assert imported(format_, tmp_path) is None
    with pytest.raises(RecordingFailed, match=f"holds no keypoints of {ID}"):
        load(format_, tmp_path)


def test_an_importer_looks_at_no_frames():
    with pytest.raises(UsageError, match="takes keypoints from files"):
        detectors.create("import:solos")


def test_the_digest_is_that_of_the_recordings_own_files(tmp_path, rows):
    other = Recording("other", "Saxophone")
    folders = {name: tmp_path / name for name in ("openpose", "alphapose", "solos")}
    for recording in (RECORDING, other):
        write_openpose(folders["openpose"] / recording.id, [[person(row)] for row in rows[:3]])
        write_alphapose(folders["alphapose"] / f"{recording.id}.json", rows, 26)
    write_solos(folders["solos"], {ID: [0, 30], "other": [30, 60]})
    before = {n: (imported(n, f), imported(n, f, other)) for n, f in folders.items()}

    changed = folders["openpose"] / ID / f"{ID}_{1:012d}_keypoints.json"
    changed.write_text(changed.read_text().replace('"version": 1.3', '"version": 1.4'))
    write_alphapose(folders["alphapose"] / f"{ID}.json", rows, 136)
    array = np.load(folders["solos"] / "skeleton.npy", mmap_mode="r+")
    array[5, 0, 0] += 1
    array.flush()
    os.utime(folders["solos"] / "skeleton.npy", ns=(1, 1))

    for name, folder in folders.items():
        assert imported(name, folder) != before[name][0]
        assert imported(name, folder, other) == before[name][1]
        elsewhere = shutil.move(folder, tmp_path / f"moved-{name}")
        assert imported(name, elsewhere, other) == before[name][1]


@pytest.fixture
def node(tmp_path):
    (tmp_path / "mini.csv").write_text(f"id,category\n{ID},Saxophone\nother,Saxophone\n")
    (tmp_path / "mini.toml").write_text(
        'name = "mini"\ntitle = "Mini"\nlicence = "MIT"\ncitation = "none"\nsource = "youtube"\n'
        'fps = 25\nsample_rate = 11025\nfields = ["audio", "skeleton"]\nrecordings = "mini.csv"\n'
        'categories = ["Saxophone"]\n'
    )
    manifest = read_manifest(str(tmp_path / "mini.toml"))

    def of(folder: Path, detector: str = "import:solos"):
        settings = {"detect": {"detector": detector, "options": {"folder": str(folder)}}}
        return next(n for n in line(manifest, settings=settings) if n.name == "detect")

    return of


def test_the_key_of_a_recording_changes_with_its_rows_alone(tmp_path, node):
    folder = write_solos(tmp_path / "a", {ID: [0, 30], "other": [30, 60]})
    recordings = (RECORDING, Recording("other", "Saxophone"))
    digests = {"video": "0" * 64}
    before = [node(folder).key(r, "mini", digests) for r in recordings]
    moved = Path(shutil.copytree(folder, tmp_path / "b"))
    assert [node(moved).key(r, "mini", digests) for r in recordings] == before
    write_solos(moved, {ID: [0, 29], "other": [30, 60]})
    after = [node(moved).key(r, "mini", digests) for r in recordings]
    assert after[0] != before[0]
    assert after[1] == before[1]
    assert node(moved).pool == "cpu"


def test_the_stage_writes_what_a_detector_would(tmp_path, rows):
    folder = write_openpose(tmp_path / "json" / ID, [[person(row)] for row in rows]).parent
    settings = {"detector": "import:openpose", "options": {"folder": str(folder)}}
    config = configure(detect.Config, settings, "[detect]")
    assert "folder" not in key_parameters(config)["options"]
    video, out = tmp_path / "video", tmp_path / "out"
    video.mkdir()
    out.mkdir()
    (video / "video.json").write_text(json.dumps({"present": True, "frames": FRAMES}))
    facts = detect.run(Job(RECORDING, config, {"video": video}, out))
    assert facts["hands"] == {"left": 0.85, "right": 0.85, "any": 0.85}
    summary = files.read_summary(out / "detect.json")
    assert summary.fields == {"skeleton": "openpose67"}
    skeleton = files.load(out, "skeleton", "openpose67")
    np.testing.assert_array_equal(skeleton.view("solos47").xy, rows[..., :2])
