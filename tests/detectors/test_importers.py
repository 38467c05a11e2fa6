"""Real keypoints (60 frames of the Solos release, hands from the tenth on), as three programs write
them."""

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
from avpipe.keypoints import files, hand_visibility
from avpipe.manifest import read_manifest
from avpipe.stages import Job, detect
from avpipe.types import Keypoints, Recording

SOLOS = Path(__file__).parents[1] / "resources" / "solos" / "skeleton.npy"
ID = "OqH9szlahwU"
RECORDING = Recording(ID, "Saxophone")
FRAMES = 60


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """(T, 47, 3), joints that were not detected at 0."""
    rows = np.load(SOLOS).swapaxes(1, 2).copy()
    rows[rows[..., 2] == 0] = 0
    return rows


def load(format_: str, folder: Path, frames: int = FRAMES, **options) -> dict[str, Keypoints]:
    module = detectors.module(f"import:{format_}")
    config = configure(module.Config, {"folder": str(folder), **options}, "[detect.options]")
    return module.load(config, RECORDING, frames)


def imported(format_: str, folder: Path, recording: Recording = RECORDING) -> str | None:
    module = detectors.module(f"import:{format_}")
    return module.inputs(module.Config(folder=str(folder)), recording)["imported"]


def person(row: np.ndarray) -> dict:
    """A row of Solos as OpenPose had written it: neck and arms, both hands without their wrists."""
    body, left, right = np.zeros((25, 3)), np.zeros((21, 3)), np.zeros((21, 3))
    body[1:8], right[1:], left[1:] = row[:7], row[7:27], row[27:]
    return {
        "person_id": [-1],
        "pose_keypoints_2d": body.ravel().tolist(),
        "hand_left_keypoints_2d": left.ravel().tolist(),
        "hand_right_keypoints_2d": right.ravel().tolist(),
        "face_keypoints_2d": [],
        "pose_keypoints_3d": [],
    }


def write_openpose(folder: Path, people_of: list[list[dict]], first: int = 0) -> Path:
    folder.mkdir(parents=True)
    for t, people in enumerate(people_of, first):
        path = folder / f"{ID}_{t:012d}_keypoints.json"
        path.write_text(json.dumps({"version": 1.3, "people": people}))
    return folder


def write_solos(folder: Path, ranges: dict | None = None, header: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if header:
        shutil.copyfile(SOLOS, folder / "skeleton.npy")
    else:
        np.load(SOLOS).tofile(folder / "skeleton.npy")
    ranges = {ID: [0, FRAMES], "_counter": FRAMES} if ranges is None else ranges
    (folder / "skeleton_dict.json").write_text(json.dumps(ranges))
    return folder


@pytest.mark.parametrize("header", [True, False])
def test_solos_rows_keep_their_layout_and_lose_what_was_never_detected(tmp_path, rows, header):
    found = load("solos", write_solos(tmp_path, header=header))
    assert found.keys() == {"skeleton"}
    skeleton = found["skeleton"]
    assert skeleton.topology.name == "solos47"
    np.testing.assert_array_equal(skeleton.xy, rows[..., :2])
    np.testing.assert_array_equal(skeleton.confidence, rows[..., 2])
    visible = hand_visibility(skeleton.confidence, skeleton.topology)
    assert visible.tolist() == [False] * 9 + [True] * 51


def test_solos_rows_are_those_of_the_recording(tmp_path, rows):
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
def test_solos_ranges_that_cannot_be_are_a_failure_of_the_recording(tmp_path, ranges, message):
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


@pytest.mark.parametrize("place", [ID, f"Saxophone/{ID}"])
@pytest.mark.parametrize("first", [0, 1])
def test_openpose_files_give_back_the_keypoints_they_hold(tmp_path, rows, place, first):
    write_openpose(tmp_path / place, [[person(row)] for row in rows], first)
    found = load("openpose", tmp_path)
    assert found.keys() == {"skeleton"}
    assert found["skeleton"].topology.name == "openpose67"
    view = found["skeleton"].view("solos47")
    np.testing.assert_array_equal(view.xy, rows[..., :2])
    np.testing.assert_array_equal(view.confidence, rows[..., 2])


def test_openpose_faces_are_given_on_request(tmp_path, rows):
    face = np.stack([np.arange(70) + 10, np.arange(70) + 20, np.full(70, 0.5)], axis=1)
    with_face = person(rows[20]) | {"face_keypoints_2d": face.ravel().tolist()}
    write_openpose(tmp_path / ID, [[with_face], [person(rows[20])]])
    found = load("openpose", tmp_path, 2, faces=True)["face_landmarks"]
    assert found.topology.name == "face68"
    np.testing.assert_array_equal(found.xy[0], face[:68, :2])
    assert not found.confidence[1].any()


def test_the_performer_is_followed_whatever_the_order_of_people(tmp_path, rows):
    smaller = rows.copy()
    smaller[..., :2] = smaller[..., :2] / 3 + 10
    both = [[person(a), person(b)] for a, b in zip(rows, smaller, strict=True)]
    write_openpose(tmp_path / ID, [two[:: -1 if t % 3 else 1] for t, two in enumerate(both)])
    view = load("openpose", tmp_path)["skeleton"].view("solos47")
    np.testing.assert_array_equal(view.xy, rows[..., :2])


def test_the_older_coco_body_lands_in_the_same_field(tmp_path, rows):
    body = np.zeros((18, 3))
    body[1:8] = rows[20, :7]
    people = [[{"pose_keypoints_2d": body.ravel().tolist()}]]
    write_openpose(tmp_path / ID, people)
    skeleton = load("openpose", tmp_path, 1)["skeleton"]
    view = skeleton.view("solos47")
    np.testing.assert_array_equal(view.xy[0, :7], rows[20, :7, :2])
    assert not view.confidence[0, 7:].any()


def test_frames_without_anybody_are_not_detected(tmp_path):
    write_openpose(tmp_path / ID, [[]] * 5)
    skeleton = load("openpose", tmp_path, 5)["skeleton"]
    assert len(skeleton) == 5
    assert not skeleton.confidence.any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "no list of people"),
        ('{"people": [[]]}', "no list of people"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "three a joint"),
        ('{"people": [{"pose_keypoints_2d": ["a", "b", "c"]}]}', "must be numbers"),
        ('{"people": [{"pose_keypoints_2d": [9, 9, 1]}]}', "a body has 1 joints, not 25 or 18"),
        (json.dumps({"people": [{"pose_keypoints_2d": [0.5] * 75}]}), "--keypoint_scale 0"),
        (
            json.dumps({"people": [{"pose_keypoints_2d": [5] * n} for n in (75, 54)]}),
            r"bodies of \[18, 25\] joints",
        ),
        (
            json.dumps(
                {"people": [{"pose_keypoints_2d": [5] * 75, "hand_left_keypoints_2d": [1, 2, 3]}]}
            ),
            "hand_left_keypoints_2d has 1 joints, not 21",
        ),
    ],
)
def test_what_openpose_did_not_write_is_a_failure_that_names_the_file(tmp_path, content, message):
    write_openpose(tmp_path / ID, [[]])
    next((tmp_path / ID).iterdir()).write_text(content)
    with pytest.raises(RecordingFailed, match=message) as caught:
        load("openpose", tmp_path, 1)
    assert ID in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_frame_that_is_missing_is_named(tmp_path, rows):
    write_openpose(tmp_path / ID, [[person(row)] for row in rows[:10]])
    (tmp_path / ID / f"{ID}_{4:012d}_keypoints.json").unlink()
    with pytest.raises(RecordingFailed, match="frame 4 should come before it"):
        load("openpose", tmp_path, 10)


def halpe(row: np.ndarray, joints: int) -> np.ndarray:
    """A row of Solos in one of AlphaPose's layouts."""
    body = np.zeros(({17: 17, 26: 26, 68: 26, 136: 26, 133: 23}[joints], 3))
    right, left = row[1:4], row[4:7]
    body[[6, 8, 10]], body[[5, 7, 9]] = right, left
    if len(body) == 26:
        body[18] = row[0]
    hands = [np.vstack([np.zeros(3), row[27:]]), np.vstack([np.zeros(3), row[7:27]])]
    face = np.stack([np.arange(68) + 50, np.arange(68) + 60, np.full(68, 0.5)], axis=1)
    parts = {17: [], 26: [], 68: hands}.get(joints, [face, *hands])
    return np.concatenate([body, *parts])


def write_alphapose(path: Path, rows: np.ndarray, joints: int, first: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    people = [
        {
            "image_id": f"{t}.jpg",
            "category_id": 1,
            "keypoints": halpe(row, joints).ravel().tolist(),
            "score": 2.9,
            "box": [0, 0, 10, 10],
            "idx": [0],
        }
        for t, row in enumerate(rows, first)
        if row.any()
    ]
    path.write_text(json.dumps(people[::-1]))


@pytest.mark.parametrize("joints", [17, 26, 68, 133, 136])
def test_alphapose_layouts_land_in_the_same_field(tmp_path, rows, joints):
    write_alphapose(tmp_path / f"{ID}.json", rows, joints)
    skeleton = load("alphapose", tmp_path)["skeleton"]
    assert skeleton.topology.name == "openpose67"
    view = skeleton.view("solos47")
    np.testing.assert_array_equal(view.xy[:, 1:7], rows[:, 1:7, :2])
    neck = rows[..., :2][:, 0] if joints in (26, 68, 136) else rows[:, [1, 4], :2].mean(axis=1)
    np.testing.assert_allclose(view.xy[:, 0], neck, atol=1e-3)
    if joints in (17, 26):
        assert not view.confidence[:, 7:].any()
    else:
        np.testing.assert_array_equal(view.xy[:, 7:], rows[:, 7:, :2])


def test_alphapose_faces_are_given_on_request(tmp_path, rows):
    write_alphapose(tmp_path / ID / "alphapose-results.json", rows, 136)
    face = load("alphapose", tmp_path, faces=True)["face_landmarks"]
    np.testing.assert_array_equal(
        face.xy[30], np.stack([np.arange(68) + 50, np.arange(68) + 60], 1)
    )
    write_alphapose(tmp_path / ID / "alphapose-results.json", rows, 26)
    with pytest.raises(RecordingFailed, match="hold no face"):
        load("alphapose", tmp_path, faces=True)


def test_alphapose_frames_are_counted_from_the_first_as_told(tmp_path, rows):
    write_alphapose(tmp_path / "Saxophone" / f"{ID}.json", rows, 136, first=1)
    one = load("alphapose", tmp_path, first_frame=1)["skeleton"].view("solos47")
    np.testing.assert_array_equal(one.xy[:, 1:], rows[:, 1:, :2])
    with pytest.raises(RecordingFailed, match="comes before first_frame 20"):
        load("alphapose", tmp_path, first_frame=20)


def test_alphapose_confidence_above_one_counts_as_one(tmp_path, rows):
    higher = rows.copy()
    higher[..., 2] *= 6
    write_alphapose(tmp_path / f"{ID}.json", higher, 136)
    skeleton = load("alphapose", tmp_path)["skeleton"]
    assert skeleton.confidence.max() == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"people": []}', "not a list of people"),
        ('[{"image_id": "frame.jpg", "keypoints": []}]', "holds no frame number"),
        ('[{"image_id": "1.jpg", "keypoints": [1, 2, 3]}]', r"people have \[1\] joints"),
        ('[{"image_id": "1.jpg", "keypoints": {"0": 1}}]', "must be numbers"),
    ],
)
def test_what_alphapose_did_not_write_is_a_failure(tmp_path, content, message):
    (tmp_path / f"{ID}.json").write_text(content)
    with pytest.raises(RecordingFailed, match=message):
        load("alphapose", tmp_path)


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
