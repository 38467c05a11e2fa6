"""Packing: what is written, what is left alone, and what a kill at any moment leaves behind."""

import hashlib
import json
import os
import resource
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile

import avpipe
from avpipe.errors import DatasetError
from avpipe.shards import pack, publish, verify
from avpipe.shards.catalogue import read_catalogue
from tiny_dataset import facts, member, members


def files_of(out: Path) -> dict[str, str]:
    """Every file below the dataset's folder and its digest."""
    return {
        p.relative_to(out).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(out.rglob("*"))
        if p.is_file()
    }


def test_a_shard_holds_the_segments_of_its_recordings_in_id_order(tmp_path):
    all_members = members(tmp_path)
    pack(tmp_path / "out", facts(), all_members)
    violin = next(m for m in all_members if m.id == "violin-b")
    whole, _ = soundfile.read(violin.artifacts["audio"] / "audio.wav", dtype="int16")
    with h5py.File(tmp_path / "out/shards/audio-00000.h5") as file:
        assert list(file) == ["radio", "trumpet-a", "violin-b"]
        assert file["violin-b/segments"][()].tolist() == [[10, 170], [200, 390]]
        expected = np.concatenate([whole[4410:74970], whole[88200:171990]])
        np.testing.assert_array_equal(file["violin-b/audio"][()], expected)
        assert file["radio"].attrs["source"] == b"http://x/y"
    xy = np.load(violin.artifacts["skeleton"] / "skeleton_xy.npy")
    with h5py.File(tmp_path / "out/shards/skeleton-00000.h5") as file:
        assert list(file) == ["mute", "trumpet-a", "violin-b"]
        expected = np.concatenate([xy[10:170], xy[200:390]])
        np.testing.assert_array_equal(file["violin-b/xy"][()], expected)
        assert file["mute"].attrs["licence"] == b"CC-BY-4.0"
        assert len(file.attrs["joints"]) == 67
        assert json.loads(file["mute"].attrs["detector"])["package"] == "toy"


def test_equal_inputs_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        pack(tmp_path / name, facts(), members(tmp_path / name / "work"))
    one, two = files_of(tmp_path / "one"), files_of(tmp_path / "two")
    assert one == two
    assert "shards/audio-00000.h5" in one


def test_a_second_pack_writes_nothing(tmp_path):
    out = tmp_path / "out"
    pack(out, facts(), members(tmp_path))
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    result = pack(out, facts(), members(tmp_path))
    assert result.written == ()
    assert result.reused == ("shards/audio-00000.h5", "shards/skeleton-00000.h5")
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()} == before


def test_other_keypoints_rewrite_only_the_skeleton_shards_of_the_changed_recordings(tmp_path):
    out, old = tmp_path / "out", members(tmp_path)
    pack(out, facts(), old, target_bytes=1)
    changed = member(tmp_path, "violin-b", [(10, 170), (200, 390)], seed=1)
    changed = replace(
        changed,
        artifacts=dict(old[0].artifacts) | {"skeleton": changed.artifacts["skeleton"]},
        digests=dict(old[0].digests) | {"skeleton": changed.digests["skeleton"]},
    )
    result = pack(out, facts(), [changed, *old[1:]], target_bytes=1)
    assert result.written == ("shards/skeleton-00000.h5",)
    assert verify(out).ok


def test_another_sample_rate_rewrites_no_skeleton(tmp_path):
    out, segments = tmp_path / "out", [(10, 170), (200, 390)]
    pack(out, facts(), [member(tmp_path, "v", segments)])
    other = member(tmp_path, "v", segments, sample_rate=16384)
    result = pack(out, facts(sample_rate=16384), [other])
    assert result.written == ("shards/audio-00000.h5",)
    assert verify(out).ok


def test_new_recordings_go_into_new_shards_until_compacted(tmp_path):
    out, old = tmp_path / "out", members(tmp_path)
    pack(out, facts(), old)
    new = member(tmp_path, "a-new-one", [(0, 200)])
    result = pack(out, facts(), [new, *old])
    assert result.written == ("shards/audio-00001.h5", "shards/skeleton-00001.h5")
    assert read_catalogue(out).assignment["a-new-one"] == 1
    pack(out, facts(), [new, *old], compact=True)
    pack(tmp_path / "scratch", facts(), [new, *old])
    assert files_of(out) == files_of(tmp_path / "scratch")


def test_removed_recordings_take_their_shards_with_them(tmp_path):
    out, old = tmp_path / "out", members(tmp_path)
    pack(out, facts(), old, target_bytes=1)
    result = pack(out, facts(), old[1:], target_bytes=1)
    assert result.written == ()
    assert result.removed == ("shards/audio-00000.h5", "shards/skeleton-00000.h5")
    assert verify(out).ok


def test_a_missing_or_truncated_shard_is_written_again(tmp_path):
    out = tmp_path / "out"
    pack(out, facts(), members(tmp_path))
    before = files_of(out)
    (out / "shards/audio-00000.h5").unlink()
    os.truncate(out / "shards/skeleton-00000.h5", 5000)
    result = pack(out, facts(), members(tmp_path))
    assert result.written == ("shards/audio-00000.h5", "shards/skeleton-00000.h5")
    assert files_of(out) == before


def test_nothing_to_pack_is_an_empty_dataset(tmp_path):
    pack(tmp_path / "out", facts(), [])
    assert verify(tmp_path / "out").ok
    assert len(avpipe.open_dataset(tmp_path / "out")) == 0


def test_an_artifact_of_another_length_is_refused_and_nothing_is_published(tmp_path):
    wrong = replace(member(tmp_path, "v", [(0, 300)]), frames=399)
    with pytest.raises(DatasetError, match=r"v: audio.wav has 176400 samples .* need 175959"):
        pack(tmp_path / "out", facts(), [wrong])
    assert files_of(tmp_path / "out") == {}


def test_a_recording_of_another_topology_is_refused(tmp_path):
    odd = member(tmp_path, "v", [(0, 300)])
    summary = odd.artifacts["skeleton"] / "interpolate.json"
    summary.write_text(summary.read_text().replace("openpose67", "solos47"))
    with pytest.raises(DatasetError, match="v: skeleton is solos47, the dataset's is openpose67"):
        pack(tmp_path / "out", facts(), [odd])


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=2 * 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DatasetError, match=r"audio-00000\.h5: it needs 2 MB and 2 MB are free"):
        pack(tmp_path / "out", facts(), members(tmp_path))
    assert files_of(tmp_path / "out") == {}


@pytest.mark.parametrize("room", [1000, 300_000, 700_000, 900_000])
def test_a_disk_that_fills_up_while_it_is_written_to_is_one_line(tmp_path, room):
    packed = members(tmp_path)
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # HDF5 complains at length
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        try:
            pack(tmp_path / "out", facts(), packed)
        except DatasetError as error:
            os._exit(int("cannot write" not in str(error) or "\n" in str(error)))
        os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert files_of(tmp_path / "out") == {}


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Runs `work` in a child that kills itself before its `step`-th change of the file system;
    False if it came to its end before that."""
    pid = os.fork()
    if pid == 0:
        left = step

        def counted(call):
            def wrapper(*args, **kwargs):
                nonlocal left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
                return call(*args, **kwargs)

            return wrapper

        os.link = counted(os.link)
        publish.fsync = counted(publish.fsync)
        Path.replace = counted(Path.replace)
        Path.unlink = counted(Path.unlink)
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_a_kill_at_any_step_loses_nothing_and_the_next_pack_gives_the_undisturbed_files(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(publish, "fsync", lambda path: None)  # a kill is no power cut
    spans = {"a": [(0, 30), (35, 60)], "b": [(5, 25)], "c": [(0, 60)]}
    old = [member(tmp_path / "a", name, span, frames=60) for name, span in spans.items()]
    new = [member(tmp_path / "b", "a", [(2, 58)], frames=60, seed=1), old[1]]
    pack(tmp_path / "undisturbed", facts(), old)
    pack(tmp_path / "undisturbed", facts(), new)
    expected = files_of(tmp_path / "undisturbed")
    step = 0
    while True:
        out = tmp_path / f"killed-{step}"
        pack(out, facts(), old)
        manifest = (out / "MANIFEST.json").read_bytes()
        killed = killed_at(step, lambda: pack(out, facts(), new))  # noqa: B023
        reader = avpipe.open_dataset(out)
        published = new if (out / "MANIFEST.json").read_bytes() != manifest else old
        lengths = {c.recording: len(c.segment) for c in map(reader.clip, range(len(reader)))}
        assert lengths == {m.id: len(m.segments[-1]) for m in published}
        pack(out, facts(), new)
        assert files_of(out) == expected
        if not killed:
            break
        step += 1
    assert step > 15


def test_a_first_pack_that_was_killed_is_taken_over_where_it_was(tmp_path):
    out = tmp_path / "out"

    def die_after_the_first(jobs):
        yield from map(avpipe.shards.write_shard, jobs[:1])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(out, facts(), members(tmp_path), run=die_after_the_first)
    result = pack(out, facts(), members(tmp_path))
    assert result.reused == ("shards/audio-00000.h5",)
    assert result.written == ("shards/skeleton-00000.h5",)
    assert verify(out).ok
