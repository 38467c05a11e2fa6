"""Every shipped list builds through the same code from a mirror of real clips."""

import shutil
from pathlib import Path

import pytest

import avpipe
from avpipe import cli

RESOURCES = Path(__file__).parents[1] / "resources"


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("acappella", "{video}.mp4"),
        ("music", "{category}/{id}.mp4"),
        ("music21", "{id}.mp4"),
        ("solos", "{category}/{id}.mp4"),
        ("urmp", "{id}/Vid_{id}.mp4"),
    ],
)
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
