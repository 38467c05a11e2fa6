"""Every shipped list builds through the same code from a mirror of real clips."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import avpipe
from avpipe import cli
from avpipe.manifest import names, read_definition
from avpipe.media import ffmpeg

RESOURCES = Path(__file__).parents[1] / "resources"


SHIPPED = {
    "acappella": "{video}.mp4",
    "music": "{category}/{id}.mp4",
    "music21": "{id}.mp4",
    "solos": "{category}/{id}.mp4",
    "urmp": "{id}/Vid_{id}.mp4",
}
"""Dataset -> how the files of its mirror are named."""


@pytest.mark.parametrize(("name", "where"), SHIPPED.items())
def test_a_shipped_list_builds_from_a_mirror(name, where, tmp_path, capsys):
    manifest = avpipe.read_manifest(name)
    recording = next(r for r in manifest.recordings if (r.start_seconds or 0) < 5)
    words = {"id": recording.id, "video": recording.extra.get("video")}
    clip = tmp_path / "mirror" / where.format(category=recording.category, **words)
    clip.parent.mkdir(parents=True)
    shutil.copyfile(RESOURCES / "urmp_vln1.mp4", clip)
    # A folder where its files are named as the line looks for them, else the path of a file.
    known = where in ("{id}.mp4", "{category}/{id}.mp4")
    source = tmp_path / "mirror" if known else tmp_path / "mirror" / where
    given = manifest.table("segment").get("source") == "given"
    command = ["build", name, "--source", str(source), "--fields", "audio", "--workers", "1"]
    command += ["--ids", recording.id, "--out", str(tmp_path / "out")]
    command += [] if given else ["--set", "segment.source=whole"]
    assert cli.run([*command, "--json"]) == 0, capsys.readouterr()
    dataset = avpipe.open_dataset(tmp_path / "out")
    assert list(dataset.index["recording"].unique()) == [recording.id]
    assert list(dataset.index["category"].unique()) == [recording.category]
    first = dataset.clip(0)
    assert (first.sample_rate, first.fps) == (manifest.sample_rate, manifest.fps)
    assert first.audio is not None
    if given:
        start = dataset.index["start_seconds"][0]
        assert start == pytest.approx(recording.start_seconds, abs=1 / manifest.fps)


def audioset(folder: Path) -> Path:
    """Rows as AudioSet's, with another class among them; the files of its mirror beside it."""
    mirror = folder / "mirror"
    mirror.mkdir()
    for name in ("-abc_DEF012", "sing-0123_A"):
        shutil.copyfile(RESOURCES / "urmp_vln1.mp4", mirror / f"{name}.mp4")
    path = folder / "eval_segments.csv"
    path.write_text(
        "# Segments csv created Sun Mar  5 10:54:25 2017\n"
        "# num_ytids=3, num_segs=3, num_unique_labels=3, num_positive_labels=4\n"
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        '-abc_DEF012, 2.000, 6.000, "/m/09x0r,/m/0l14jd"\n'
        'other_other, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n'
        'sing-0123_A, 0.000, 10.000, "/m/01w250"\n'
    )
    return path


def fcvid(folder: Path) -> Path:
    """Class folders of videos, and a file that is none."""
    place = folder / "FCVID"
    for category, name in (("cello_performance", "v1"), ("drumming", "v2")):
        (place / category).mkdir(parents=True)
        shutil.copyfile(RESOURCES / "urmp_09_vn_crop.mp4", place / category / f"{name}.mp4")
    (place / "drumming" / "readme.txt").write_text("not a video")
    return place


def musdb18(folder: Path) -> Path:
    """Accompaniments in the folders train and test."""
    place = folder / "accompaniment"
    for part, name in (("train", "A Song"), ("test", "Another - Song")):
        (place / part).mkdir(parents=True)
        shutil.copyfile(RESOURCES / "sms_sax-phrase_11025.flac", place / part / f"{name}.flac")
    return place


def yt8m(folder: Path) -> Path:
    """Chosen ids with their categories."""
    mirror = folder / "mirror"
    mirror.mkdir()
    shutil.copyfile(RESOURCES / "urmp_09_tpt_crop.mp4", mirror / "yt8m_000001.mp4")
    path = folder / "chosen.csv"
    path.write_text("id,category\nyt8m_000001,Trumpet\n")
    return path


BROUGHT = {
    "audioset": (audioset, [("-abc_DEF012", "choir"), ("sing-0123_A", "whistling")]),
    "fcvid": (fcvid, [("v1", "cello_performance"), ("v2", "drumming")]),
    "musdb18": (musdb18, [("A Song", "train"), ("Another - Song", "test")]),
    "yt8m-instruments": (yt8m, [("yt8m_000001", "Trumpet")]),
}
"""Dataset whose list its user brings -> what makes one, and what is built of it."""


@pytest.mark.parametrize("name", BROUGHT)
def test_a_list_that_is_brought_builds_with_the_dataset_s_parameters(name, tmp_path, capsys):
    bring, expected = BROUGHT[name]
    listed = bring(tmp_path)
    assert (
        cli.run(
            [
                "manifest",
                "import",
                str(listed),
                "--like",
                name,
                "--name",
                "mine",
                "--out",
                str(tmp_path),
            ]
        )
        == 0
    )
    command = ["build", str(tmp_path / "mine.toml"), "--out", str(tmp_path / "out")]
    command += ["--source", str(tmp_path / "mirror")] if (tmp_path / "mirror").is_dir() else []
    command += ["--workers", "1", "--set", "segment.min_frames=25", "--json"]
    capsys.readouterr()
    assert cli.run(command) == 0, capsys.readouterr()
    assert json.loads(capsys.readouterr().out)["failures"] == []
    dataset, definition = avpipe.open_dataset(tmp_path / "out"), read_definition(name)
    pairs = dict(zip(dataset.index["recording"], dataset.index["category"], strict=True))
    assert pairs == dict(expected)
    assert (dataset.fields, dataset.sample_rate) == (definition.fields, definition.sample_rate)
    assert all(dataset.clip(i).audio is not None for i in range(len(dataset)))
    if name == "audioset":
        times = dataset.index.set_index("recording")
        assert times.loc["-abc_DEF012", ["start_seconds", "stop_seconds"]].tolist() == [2, 6]


def test_every_dataset_is_built_in_a_test():
    assert {*SHIPPED, *BROUGHT, "demo"} == set(names())


def test_a_segment_of_acappella_has_all_that_its_manifest_declares(tmp_path, capsys):
    """A real face that mouths a word, with sound, behind the id of a released segment."""
    manifest = avpipe.read_manifest("acappella")
    recording = next(r for r in manifest.recordings if r.start_seconds == 0)
    clip = tmp_path / "mirror" / f"{recording.extra['video']}.mkv"
    clip.parent.mkdir()
    parts = [RESOURCES / "intel_asl_thanks.mkv", RESOURCES / "urmp_20_vn_11025.flac"]
    inputs = [word for part in parts for word in ("-i", str(part))]
    mapped = ["-map", "0:v", "-map", "1:a", "-shortest", "-c:v", "copy", str(clip)]
    subprocess.run([str(ffmpeg.executable()), "-v", "error", *inputs, *mapped], check=True)
    command = ["build", "acappella", "--source", str(clip.parent), "--ids", recording.id]
    command += ["--out", str(tmp_path / "out"), "--workers", "1", "--json"]
    assert cli.run(command) == 0, capsys.readouterr()
    dataset = avpipe.open_dataset(tmp_path / "out")
    assert dataset.index["fields"].tolist() == [",".join(manifest.fields)]
    clip = dataset.clip(0)
    frames = len(clip.segment)
    assert clip.audio.shape == (round(frames * 16384 / 25),)
    assert np.asarray(clip.fields["mouths"]).shape == (frames, 96, 96, 3)
    assert np.asarray(clip.fields["faces"]).shape == (frames, 160, 160, 3)
    assert not clip.fields["mouths"].held.any()
    landmarks = clip.fields["face_landmarks"].view("face68")
    assert landmarks.xy.shape == (frames, 68, 2)
    assert (landmarks.confidence > 0).all()
    assert cli.run(["verify", str(tmp_path / "out")]) == 0
