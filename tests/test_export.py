"""What other tools read of an export is what the dataset holds."""

import csv
import io
import json
import os
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

import avpipe
from avpipe import cli, images
from avpipe.annotations import NOTE
from avpipe.errors import UsageError
from avpipe.export import _encode, export, formats, parquet, webdataset
from avpipe.lists import uses
from avpipe.shards import pack
from tiny_dataset import facts, member, members

NOTES = np.array([(0.0, 0.5, 440.0, 0, 0), (0.4, 0.4, 98.0, 2, 1), (1.1, 0.1, 99.0, 2, 1)], NOTE)
"""Seconds of a recording whose first clip is [0.08, 0.48): the last one is not heard in it."""


def with_pictures_and_stems(folder: Path):
    """A recording of 30 frames whose mouths get brighter, and with two sources."""
    plain = member(folder, "solo.1", [(2, 12), (14, 30)], frames=30)
    artifact = plain.artifacts["audio"]
    flat = (np.full((8, 8, 3), 8 * t, np.uint8) for t in range(30))
    pictures = [images.encode(Image.fromarray(p), quality=95) for p in flat]
    held = np.arange(30) < 5
    kept = images.save(
        artifact, "mouths", pictures, images.Facts(True, 30, height=8, width=8), held
    )
    stems = np.random.default_rng(1).normal(size=(13230, 2)).astype(np.float32)
    np.save(artifact / "stems.npy", stems)
    np.save(artifact / "notes.npy", NOTES)
    media = {
        "notes": {"names": ["vn", "va"], "notes": 3},
        "mouths": {"step": 1, "height": 8, "width": 8, "bytes": kept.bytes},
        "stems": {"names": ["vn", "va"]},
    }
    more = dict.fromkeys(media, artifact)
    digests = dict(plain.digests) | dict.fromkeys(media, "0")
    return replace(plain, artifacts={**plain.artifacts, **more}, digests=digests, media=media)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    everything = [*members(folder / "work"), with_pictures_and_stems(folder / "work")]
    fields = ("audio", "skeleton", "mouths", "stems", "notes")
    pack(folder / "out", facts(fields=fields), everything)
    return avpipe.open_dataset(folder / "out")


def samples(folder: Path) -> list[dict[str, bytes]]:
    """The samples of tar files, as a reader of WebDataset groups them."""
    grouped: dict[str, dict[str, bytes]] = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for entry in tar:
                name, _, kind = entry.name.partition(".")
                grouped.setdefault(name, {})[kind] = tar.extractfile(entry).read()
    return list(grouped.values())


def test_the_folder_is_the_list_of_formats():
    assert formats() == ("npy-solos", "parquet", "webdataset")


def test_webdataset_holds_every_clip_without_loss(dataset, tmp_path):
    result = export(dataset, "webdataset", tmp_path / "tars")
    found = samples(tmp_path / "tars")
    assert len(found) == result.clips == len(dataset) == 7
    for i, sample in enumerate(found):
        clip, row = dataset.clip(i), json.loads(sample["json"])
        assert (row["recording"], row["start_frame"]) == (clip.recording, clip.segment.start)
        assert row["licence"]
        assert ("flac" in sample) == (clip.audio is not None)
        if clip.audio is not None:
            sound, rate = soundfile.read(io.BytesIO(sample["flac"]), dtype="float32")
            assert rate == 11025
            assert (sound == clip.audio).all()
        if clip.keypoints is not None:
            arrays = np.load(io.BytesIO(sample["skeleton.npz"]))
            assert (arrays["xy"] == clip.keypoints.xy).all()
            assert (arrays["filled"] == clip.keypoints.filled).all()
            assert len(row["skeleton"]["joints"]) == 67


def test_webdataset_holds_pictures_and_stems(dataset, tmp_path):
    export(dataset, "webdataset", tmp_path / "tars")
    sample = next(s for s in samples(tmp_path / "tars") if b"solo.1" in s["json"])
    row = json.loads(sample["json"])
    offsets = row["mouths"]["offsets"]
    assert len(offsets) == 11
    third = images.decode(sample["mouths.mjpeg"][offsets[3] : offsets[4]])
    assert third.mean() == pytest.approx(8 * (2 + 3), abs=1)
    assert row["mouths"]["held"][:4] == [True, True, True, False]
    assert row["stems"] == row["notes"] == ["vn", "va"]
    notes = np.load(io.BytesIO(sample["notes.npz"]))
    assert notes["source"].tolist() == [0, 1]
    assert notes["onset_seconds"].tolist() == pytest.approx([-0.08, 0.32])
    sound, _ = soundfile.read(io.BytesIO(sample["stems.wav"]), dtype="float32")
    clip = dataset.clip([r.startswith("solo") for r in dataset.index["recording"]].index(True))
    assert (clip.fields["stems"].audio == sound.T).all()


def test_tar_files_are_cut_and_repeatable(dataset, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        webdataset.write(dataset, tmp_path / name, shard_bytes=500_000)
    first, second = (sorted((tmp_path / n).iterdir()) for n in "ab")
    assert len(first) > 1
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert len(samples(tmp_path / "a")) == len(dataset)


def test_who_exports_what_cannot_be_written_to_is_warned(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.warns(UserWarning, match="avpipe remove"):
        export(dataset, "webdataset", tmp_path / "tars")


def test_parquet_holds_every_clip_without_loss(dataset, tmp_path):
    export(dataset, "parquet", tmp_path / "tables")
    (path,) = (tmp_path / "tables").glob("*.parquet")
    table = pq.read_table(path)
    assert json.loads(table.schema.metadata[b"topologies"])["skeleton"]["topology"] == "openpose67"
    rows = table.to_pylist()
    assert len(rows) == len(dataset)
    for i, row in enumerate(rows):
        clip = dataset.clip(i)
        assert (row["recording"], row["stop_frame"]) == (clip.recording, clip.segment.stop)
        assert (row["audio"] is None) == (clip.audio is None)
        if clip.audio is not None:
            sound, _ = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="float32")
            assert (sound == clip.audio).all()
        if clip.keypoints is not None:
            xy = np.array(row["skeleton"]["xy"], np.float32).reshape(-1, 67, 2)
            assert (xy == clip.keypoints.xy).all()
    solo = next(row for row in rows if row["recording"] == "solo.1")
    assert len(solo["mouths"]) == 10
    assert images.decode(solo["mouths"][0]["bytes"]).shape == (8, 8, 3)
    assert [stem["name"] for stem in solo["stems"]] == ["vn", "va"]
    first, second = solo["notes"]
    assert (first["source"], second["source"], second["player"]) == ("vn", "va", 2)
    assert (first["onset_seconds"], first["duration_seconds"]) == (-0.08, 0.5)
    assert [note["pitch_hz"] for note in solo["notes"]] == [440, 98]


def test_equal_sounds_give_equal_files_at_any_time():
    sound = np.linspace(-2, 2, 100, dtype=np.float32)
    first = _encode.wav(sound, 11025)
    time.sleep(1.1)  # the resolution of the time in a WAV file
    assert _encode.wav(sound, 11025) == first
    assert (soundfile.read(io.BytesIO(first), dtype="float32")[0] == sound).all()


def test_parquet_files_are_cut(dataset, tmp_path):
    parquet.write(dataset, tmp_path, file_bytes=100_000)
    files = sorted(tmp_path.iterdir())
    assert len(files) > 1
    assert sum(pq.read_metadata(p).num_rows for p in files) == len(dataset)


def test_the_files_of_the_solos_release_are_read_as_its_package_does(dataset, tmp_path):
    out = tmp_path / "solos"
    export(dataset, "npy-solos", out)
    rows = json.loads((out / "skeleton_files" / "skeleton_dict.json").read_text())
    stamps = json.loads((out / "json_files" / "solos_timestamps.json").read_text())
    ids = json.loads((out / "json_files" / "solos_ids.json").read_text())
    path = out / "skeleton_files" / "skeleton.npy"
    skeleton = np.memmap(path, np.float32, "r", shape=(rows["_counter"], 3, 47))
    assert {name for names in ids.values() for name in names} == set(rows) - {"_counter"}
    assert "radio" not in rows  # it has no picture
    for i in range(len(dataset)):
        clip = dataset.clip(i)
        if clip.keypoints is None:
            continue
        first, last = clip.segment.start, clip.segment.stop - 1
        assert [first, last] in stamps[clip.category][clip.recording]
        start, stop = rows[clip.recording]
        found = skeleton[start:stop][first : last + 1]
        view = clip.keypoints.view("solos47")
        assert (found[:, 2] == view.confidence).all()
        assert (found[:, :2].transpose(0, 2, 1) == view.xy).all()
    start, _ = rows["violin-b"]
    assert not skeleton[start : start + 10].any()
    assert not skeleton[start + 170 : start + 200].any()
    sound, _ = soundfile.read(out / "audio" / "Violin" / "violin-b_200.wav", dtype="float32")
    assert (sound == dataset.clip(list(dataset.index["start_frame"]).index(200)).audio).all()


def test_licences_go_along_and_the_dataset_remembers(dataset, tmp_path):
    export(dataset, "parquet", tmp_path / "a")
    rows = list(csv.DictReader((tmp_path / "a" / "LICENCES.csv").open()))
    assert {row["recording"]: row["licence"] for row in rows}["mute"] == "CC-BY-4.0"
    assert "Nobody (2020)" in (tmp_path / "a" / "CITATION.txt").read_text()
    last = uses.read(dataset.path)[-1]
    assert (last.kind, last.path) == ("export", str(tmp_path / "a"))
    assert len(last.recordings) == 5


def test_nothing_is_overwritten_and_nothing_half_done_is_left(dataset, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UsageError, match="is not empty"):
        export(dataset, "parquet", tmp_path / "full")
    with pytest.raises(UsageError, match="must be one of npy-solos, parquet, webdataset"):
        export(dataset, "csv", tmp_path / "new")
    monkeypatch.setattr("avpipe.export.webdataset._files", _killed)
    with pytest.raises(KeyboardInterrupt):
        export(dataset, "webdataset", tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["full"]


def test_a_dataset_without_skeleton_is_not_for_solos(tmp_path):
    only = facts(fields=("audio",), topologies={})
    pack(tmp_path / "out", only, [member(tmp_path / "w", "a", [(0, 400)], without="skeleton")])
    with pytest.raises(UsageError, match="has no skeleton"):
        export(avpipe.open_dataset(tmp_path / "out"), "npy-solos", tmp_path / "x")


def test_the_command_line_exports(dataset, tmp_path, capsys):
    target = str(tmp_path / "tars")
    assert cli.run(["export", str(dataset.path), target, "--to", "webdataset", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clips"] == len(dataset)
    assert cli.run(["export", str(dataset.path), target, "--to", "webdataset"]) == 2


def _killed(*_: object) -> None:
    raise KeyboardInterrupt
