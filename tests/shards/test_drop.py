import shutil
from pathlib import Path

import pytest

import avpipe
from avpipe.shards import pack, verify
from avpipe.shards.drop import affected, drop, held
from tiny_dataset import facts, members


def content(out: Path) -> dict[str, bytes]:
    files = [p for p in out.rglob("*") if p.is_file()]
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in files}


@pytest.fixture
def out(tmp_path) -> Path:
    pack(tmp_path / "out", facts(), members(tmp_path / "work"))
    return tmp_path / "out"


@pytest.mark.parametrize("gone", [{"violin-b"}, {"mute"}, {"radio", "trumpet-a"}])
def test_what_is_left_is_byte_for_byte_what_packing_the_others_gives(out, tmp_path, gone):
    changed = drop(out, gone)
    others = [m for m in members(tmp_path / "work") if m.id not in gone]
    pack(tmp_path / "again", facts(), others)
    assert content(out) == content(tmp_path / "again")
    assert {"MANIFEST.json", "index.parquet"} < set(changed)
    assert verify(out).ok


def test_the_next_pack_leaves_it_as_it_is(out, tmp_path):
    drop(out, {"violin-b"})
    others = [m for m in members(tmp_path / "work") if m.id != "violin-b"]
    assert pack(out, facts(), others).written == ()


def test_only_shards_that_hold_it_are_rewritten(out):
    assert affected(out, {"mute"}) == ["shards/skeleton-00000.h5"]
    before = content(out)["shards/audio-00000.h5"]
    assert "shards/audio-00000.h5" not in drop(out, {"mute"})
    assert content(out)["shards/audio-00000.h5"] == before


def test_a_shard_of_which_nothing_is_left_goes(out):
    everything = {"violin-b", "trumpet-a", "mute", "radio"}
    drop(out, everything)
    assert sorted(content(out)) == ["MANIFEST.json", "index.parquet"]
    assert verify(out).ok
    assert len(avpipe.open_dataset(out)) == 0


def test_to_drop_what_is_not_there_changes_nothing(out):
    before = content(out)
    assert drop(out, {"nobody"}) == ()
    assert content(out) == before


def test_what_holds_a_recording_is_named_even_if_nothing_lists_it(out):
    shutil.copy(
        out / "shards" / "audio-00000.h5", out / "shards" / ".audio-00000.h5.0123456789abcdef"
    )
    assert [path for path, why in held(out, "radio") if why is None] == [
        "MANIFEST.json",
        "index.parquet",
        "shards/.audio-00000.h5.0123456789abcdef",
        "shards/audio-00000.h5",
    ]
    drop(out, {"radio"})
    assert list(held(out, "radio")) == []


def test_an_interrupted_drop_is_finished_by_the_next_one(out, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("avpipe.shards.drop.table_bytes", _killed)
        with pytest.raises(KeyboardInterrupt):
            drop(out, {"violin-b"})
    drop(out, {"violin-b"})
    others = [m for m in members(tmp_path / "work") if m.id != "violin-b"]
    pack(tmp_path / "again", facts(), others)
    assert content(out) == content(tmp_path / "again")


def _killed(rows: object) -> bytes:
    raise KeyboardInterrupt
