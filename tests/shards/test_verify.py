"""`verify` finds every kind of damage and names it."""

import json
import os
import re
from pathlib import Path

import h5py
import pytest

from avpipe import open_dataset
from avpipe.errors import DatasetError
from avpipe.shards import pack, repair, verify, write_shard
from avpipe.shards.check import shard_problems
from avpipe.store import sha256_file
from tiny_dataset import facts, member, members


@pytest.fixture
def out(tmp_path):
    pack(tmp_path / "out", facts(), members(tmp_path))
    return tmp_path / "out"


def problems(out: Path) -> dict[str, str]:
    """Path -> all its problems."""
    found: dict[str, str] = {}
    for problem in verify(out).problems:
        found[problem["path"]] = found.get(problem["path"], "") + problem["problem"] + "\n"
    return found


def relist(out: Path, name: str) -> None:
    """Makes MANIFEST.json agree with a file that was tampered with."""
    document = json.loads((out / "MANIFEST.json").read_text())
    path = out / name
    document["files"][name] |= {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
    (out / "MANIFEST.json").write_text(json.dumps(document))


def test_a_whole_dataset_has_no_problem(out):
    result = verify(out)
    assert result.ok
    assert result.problems == ()
    assert result.checked == 4


def test_a_folder_that_is_no_dataset_is_said_to_be_none(tmp_path):
    assert "not a built dataset" in problems(tmp_path)["MANIFEST.json"]


def test_one_flipped_bit_is_found_and_the_recording_named(out):
    path = out / "shards/audio-00000.h5"
    with h5py.File(path) as file:
        offset = file["radio/audio"].id.get_chunk_info(1).byte_offset
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    text = problems(out)["shards/audio-00000.h5"]
    assert "sha256" in text
    assert "radio: audio is damaged" in text


def test_missing_truncated_and_extra_files_are_named(out):
    (out / "index.parquet").unlink()
    os.truncate(out / "shards/audio-00000.h5", 3000)
    (out / "shards/notes.txt").write_text("mine")
    (out / "shards/.audio-00001.h5.tmp").write_text("half")
    found = problems(out)
    assert found["index.parquet"] == "is missing\n"
    assert "has 3000 bytes" in found["shards/audio-00000.h5"]
    assert "truncated" in found["shards/audio-00000.h5"]
    assert "not listed" in found["shards/notes.txt"]
    assert "interrupted build" in found["shards/.audio-00001.h5.tmp"]
    assert len(found) == 4


@pytest.mark.parametrize(
    ("name", "tamper", "expected"),
    [
        ("skeleton", lambda g: g["xy"].write_direct(g["xy"][()] * float("nan")), "not finite"),
        ("skeleton", lambda g: g["confidence"].write_direct(g["confidence"][()] + 1), r"in \[1"),
        ("audio", lambda g: g["segments"].write_direct(g["segments"][()][::-1].copy()), "in order"),
        ("audio", lambda g: g["segments"].write_direct(g["segments"][()] + 60), "390 of 400|450"),
        ("audio", lambda g: g["segments"].write_direct(g["segments"][()] + 1), "not those of"),
        ("audio", lambda g: g["segments"].write_direct(g["segments"][()] * 2), "segments need"),
        ("skeleton", lambda g: g.pop("filled"), "holds no filled"),
        ("skeleton", lambda g: g.attrs.modify("frames", 500), "has 500 frames in all, .* says"),
        ("audio", lambda g: g.file.attrs.update(fps=50, sample_rate=22050), "fps is 50, .* 25"),
    ],
    ids=["nan", "confidence", "order", "range", "index", "length", "column", "whole", "rate"],
)
def test_wrong_values_are_found_even_if_the_digests_agree(out, name, tamper, expected):
    with h5py.File(out / f"shards/{name}-00000.h5", "r+") as file:
        tamper(file["violin-b"])
    relist(out, f"shards/{name}-00000.h5")
    found = problems(out)[f"shards/{name}-00000.h5"]
    assert re.search(expected, found), found


def test_links_out_of_the_file_are_not_followed(out, tmp_path):
    secret = tmp_path / "secret.h5"
    (out / "shards/audio-00000.h5").rename(secret)
    with h5py.File(secret) as original, h5py.File(out / "shards/audio-00000.h5", "w") as file:
        file.attrs.update(original.attrs)
        for name in original:
            file[name] = h5py.ExternalLink(str(secret), name)
    (problem,) = shard_problems(out / "shards/audio-00000.h5")
    assert "holds no radio of its own" in problem


def test_a_manifest_that_was_edited_is_named(out):
    document = json.loads((out / "MANIFEST.json").read_text())
    document["counts"]["segments"] = 7
    document["assignment"]["radio"] = 3
    document["dataset"]["fps"] = "fast"
    (out / "MANIFEST.json").write_text(json.dumps(document))
    assert "dataset.fps" in problems(out)["MANIFEST.json"]
    document["dataset"]["fps"] = 25
    (out / "MANIFEST.json").write_text(json.dumps(document))
    assert "'segments': 7" in problems(out)["index.parquet"]
    assert "other shards" in problems(out)["index.parquet"]


@pytest.mark.parametrize("damaged", ["MANIFEST.json", "index.parquet", "shards/audio-00000.h5"])
def test_what_is_damaged_is_removed_and_packed_again_as_it_was(out, tmp_path, damaged):
    before = (out / damaged).read_bytes()
    (out / damaged).write_bytes(before[:50] + bytes([before[50] ^ 255]) + before[51:])
    assert not verify(out).ok
    assert repair(out) == (damaged,)
    pack(out, facts(), members(tmp_path))
    assert verify(out).ok
    assert (out / damaged).read_bytes() == before


def test_repair_leaves_what_is_not_damaged(out, tmp_path):
    def interrupted(jobs):
        yield from map(write_shard, jobs[:1])
        raise KeyboardInterrupt

    (out / "shards/notes.txt").write_text("mine")
    changed = [member(tmp_path, "violin-b", [(0, 90)]), *members(tmp_path)[1:]]
    with pytest.raises(KeyboardInterrupt):
        pack(out, facts(), changed, run=interrupted)
    before = sorted(p.name for p in out.rglob("*"))
    assert repair(out) == ()
    assert sorted(p.name for p in out.rglob("*")) == before
    assert len(open_dataset(out)) == 5


def test_there_is_nothing_to_repair_in_an_empty_folder(tmp_path):
    assert repair(tmp_path) == ()


def test_repair_leaves_a_dataset_of_another_version_alone(out):
    document = json.loads((out / "MANIFEST.json").read_text()) | {"version": 2}
    (out / "MANIFEST.json").write_text(json.dumps(document))
    with pytest.raises(
        DatasetError, match="is avpipe-dataset 2, this avpipe reads avpipe-dataset 1: use the"
    ):
        repair(out)
    assert (out / "MANIFEST.json").is_file()


def test_a_manifest_cannot_name_files_outside_the_dataset(out, tmp_path):
    precious = tmp_path / "precious.h5"
    precious.write_text("mine")
    document = json.loads((out / "MANIFEST.json").read_text())
    document["files"]["../precious.h5"] = {"bytes": 1, "sha256": "0" * 64, "key": "0" * 64}
    (out / "MANIFEST.json").write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=r"'\.\./precious\.h5' is no file of a dataset"):
        open_dataset(out)
    assert "no file of a dataset" in problems(out)["MANIFEST.json"]
    assert repair(out) == ("MANIFEST.json",)
    assert precious.exists()
