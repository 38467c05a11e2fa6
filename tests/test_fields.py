"""Datasets with further fields, from a mirror of real clips to clips."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import avpipe
from avpipe import cli

RESOURCES = Path(__file__).parent / "resources"

MANIFEST = """
name = "{name}"
title = "{name}"
licence = "CC-BY-4.0"
citation = "nobody"
fps = 25
sample_rate = {rate}
fields = {fields}
recordings = "{name}.csv"
allow_missing = ["audio"]
[segment]
source = "{segments}"
min_frames = 25
split_silence = false
"""


def manifest(
    folder: Path, name: str, fields: list[str], rows: str, rate: int, segments: str
) -> str:
    path = folder / f"{name}.toml"
    quoted = str(fields).replace("'", '"')
    path.write_text(MANIFEST.format(name=name, rate=rate, fields=quoted, segments=segments))
    (folder / f"{name}.csv").write_text(rows)
    return str(path)


@pytest.fixture(scope="module")
def singers(tmp_path_factory) -> Path:
    """An item as Acappella's: a given segment of a video of a face, 16384 Hz."""
    folder = tmp_path_factory.mktemp("singers")
    (folder / "mirror").mkdir()
    shutil.copy(RESOURCES / "intel_asl_thanks.mkv", folder / "mirror" / "thanks_0_01_to_0_02.mkv")
    rows = "id,category,split,start_seconds,stop_seconds\nthanks_0_01_to_0_02,English,train,1,2\n"
    fields = ["audio", "faces", "mouths", "face_landmarks", "frames"]
    path = manifest(folder, "singers", fields, rows, 16384, "given")
    command = ["build", path, "--source", str(folder / "mirror"), "--out", str(folder / "out")]
    assert cli.run([*command, "--workers", "1", "--json"]) == 0
    return folder / "out"


def test_an_item_with_a_face_yields_aligned_mouths(singers):
    dataset = avpipe.open_dataset(singers)
    clip = dataset.clip(0)
    assert (clip.segment.start, clip.segment.stop) == (25, 42)  # the video ends after 42 frames
    pixels = np.asarray(clip.fields["mouths"])
    assert pixels.shape == (17, 96, 96, 3)
    assert pixels.dtype == np.uint8
    assert clip.fields["faces"].shape == (17, 160, 160, 3)
    assert not clip.fields["mouths"].held.any()
    landmarks = clip.fields["face_landmarks"].view("face68")
    assert landmarks.xy.shape == (17, 68, 2)
    assert (landmarks.confidence > 0).all()
    assert clip.audio is None  # the clip is silent film


def test_windows_show_the_same_pictures_as_the_whole_clip(singers):
    dataset = avpipe.open_dataset(singers)
    whole, window = dataset.clip(0), dataset.clip(0, start_frame=4, frames=9)
    assert (np.asarray(window.fields["mouths"]) == np.asarray(whole.fields["mouths"])[4:13]).all()
    # frames 27, 30, ... of the recording, which starts at 25 in the clip and at 29 in the window
    assert whole.fields["frames"].frames.tolist() == [2, 5, 8, 11, 14]
    assert window.fields["frames"].frames.tolist() == [1, 4, 7]
    assert (window.fields["frames"][0] == whole.fields["frames"][1]).all()
    assert min(whole.fields["frames"].shape[1:3]) == 256


def test_fields_that_are_not_wanted_are_not_made(singers, tmp_path, capsys):
    folder = singers.parent
    command = ["plan", str(folder / "singers.toml"), "--source", str(folder / "mirror")]
    command += ["--fields", "audio,frames", "--out", str(tmp_path), "--json"]
    assert cli.run(command) == 0
    made = capsys.readouterr().out
    assert '"frames"' in made
    assert not any(f'"{stage}"' in made for stage in ("detect", "faces", "mouths", "interpolate"))


def test_the_dataset_is_whole(singers):
    assert cli.run(["verify", str(singers)]) == 0
    names = sorted(p.name for p in (singers / "shards").iterdir())
    assert names == [f"{f}-00000.h5" for f in ("face_landmarks", "faces", "frames", "mouths")]


def test_a_damaged_picture_is_found(singers, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(singers, copy)
    shard = copy / "shards" / "mouths-00000.h5"
    content = bytearray(shard.read_bytes())
    place = content.rindex(b"\xff\xd9") - 50
    content[place] ^= 0xFF
    shard.write_bytes(content)
    assert cli.run(["verify", str(copy)]) == 1
    assert "jpeg is damaged" in capsys.readouterr().out


def test_a_folder_like_urmps_yields_sources_and_mixture(tmp_path):
    name = "20_Pavane_tpt_vn_vc"
    piece = tmp_path / "urmp" / name
    piece.mkdir(parents=True)
    shutil.copy(RESOURCES / "urmp_20_mix_11025.flac", piece / f"AuMix_{name}.flac")
    for number, code in enumerate(("tpt", "vn", "vc"), start=1):
        track = piece / f"AuSep_{number}_{code}_20_Pavane.flac"
        shutil.copy(RESOURCES / f"urmp_20_{code}_11025.flac", track)
    rows = f"id,category,instruments\n{name},trio,tpt vn vn\n"
    path = manifest(tmp_path, "pieces", ["audio", "stems"], rows, 11025, "whole")
    command = ["build", path, "--source", str(piece.parent), "--out", str(tmp_path / "out")]
    assert cli.run([*command, "--workers", "1", "--json"]) == 0
    clip = avpipe.open_dataset(tmp_path / "out").clip(0, start_frame=10, frames=50)
    stems = clip.fields["stems"]
    assert stems.names == ("tpt", "vn")
    assert stems.shape == (2, 22050)
    np.testing.assert_allclose(np.asarray(stems).sum(axis=0), clip.audio, atol=2e-4)
    assert cli.run(["verify", str(tmp_path / "out")]) == 0
