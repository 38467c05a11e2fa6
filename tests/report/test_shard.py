"""A shard in words."""

import json

from avpipe.report.shard import as_text, describe
from avpipe.shards import pack
from tiny_dataset import facts, members


def test_a_shard_is_described_with_shapes_and_units(tmp_path):
    pack(tmp_path, facts(), members(tmp_path / "w"))
    found = describe(tmp_path / "shards/skeleton-00000.h5")
    assert json.loads(json.dumps(found)) == found
    assert (found["field"], found["topology"], found["joints"]) == ("skeleton", "openpose67", 67)
    assert found["columns"]["xy"] == {"dtype": "<f4", "axes": ["T", "K", "xy"], "unit": "px"}
    violin = next(r for r in found["recordings"] if r["id"] == "violin-b")
    assert violin["segments"] == [[10, 170], [200, 390]]
    assert violin["seconds"] == 14.0
    assert violin["shapes"]["confidence"] == [350, 67]
    text = as_text(found)
    assert "violin-b     Violin, 2 segments, 14.00 s: confidence (350, 67)" in text
    assert "xy           (T, K, xy)  <f4  px" in text
    assert "... and 2 more" in as_text(found, limit=1)


def test_sound_is_described_with_its_rate(tmp_path):
    pack(tmp_path, facts(), members(tmp_path / "w"))
    text = as_text(describe(tmp_path / "shards/audio-00000.h5"))
    assert "sample_rate  11025" in text
    assert "audio        (N)  <i2  full scale / 32768" in text
