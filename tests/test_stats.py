"""Statistics beside the published ones."""

import json
from dataclasses import asdict

import pytest

import avpipe
from avpipe.ledger import FILE, Failure, Ledger
from avpipe.lists import removed
from avpipe.manifest.reference import read_reference
from avpipe.stats import Built, read_built, statistics
from avpipe.store import Artifact


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "mini.csv").write_text(
        "id,category,split,video,singer\n"
        "a_1,English,train,a,Anna\na_2,English,test,a,Anna\nb,Hindi,train,,\nc,Greek,train,,Bo\n"
    )
    (tmp_path / "mini.toml").write_text(
        'name = "mini"\ntitle = "Mini"\nlicence = "CC0-1.0"\ncitation = "Nobody"\n'
        'source = "youtube"\nfps = 25\nsample_rate = 11025\nfields = ["audio"]\n'
        'recordings = "mini.csv"\n[published]\nsource = "a paper"\n'
        "total = { recordings = 5, mean_seconds = 61 }\n"
        "[published.by.singer]\nAnna = { segments = 3 }\nCleo = { segments = 1 }\n"
    )
    return avpipe.read_manifest(tmp_path / "mini.toml")


BUILT = {
    "a_1": Built(1000, ((0, 250), (300, 500)), (640, 480)),
    "a_2": Built(1000, (), (640, 480)),
    "b": Built(250, ((0, 250),), (1280, 720)),
    "stranger": Built(9, ((0, 9),), (2, 2)),
}


def test_figures_count_what_was_built(manifest):
    found = statistics(manifest, BUILT, {"c": "removed"})
    total = found.total.ours
    assert (total.listed, total.recordings, total.videos, total.segments) == (4, 3, 2, 3)
    assert total.hours == pytest.approx((250 + 200 + 250) / 25 / 3600)
    assert total.mean_seconds == pytest.approx(30)
    assert total.median_resolution == "640x480"
    assert found.missing == {"removed": 1}


def test_groups_are_categories_splits_and_published_columns(manifest):
    found = statistics(manifest, BUILT)
    assert set(found.by) == {"category", "singer", "split"}
    english = {line.group: line.ours for line in found.by["category"]}["English"]
    assert (english.listed, english.recordings, english.videos, english.segments) == (2, 2, 1, 2)
    singers = {line.group: line for line in found.by["singer"]}
    assert singers["Anna"].published == {"segments": 3}
    assert (singers["Cleo"].ours.listed, singers["Cleo"].ours.mean_seconds) == (0, None)
    assert found.missing == {"not built yet": 1}


def test_tables_show_the_published_figure_behind_ours(manifest):
    title, columns, rows = statistics(manifest, BUILT).tables()[0]
    assert title == "mini by category; published: a paper"
    assert columns[4:] == ["hours", "mean length", "median picture"]
    assert rows[-1] == ["total", 4, "3 (5)", "3", "0.01", "0:30 (1:01)", "640x480"]
    assert rows[2] == ["Greek", 1, "0", "0", "0.00", "-", "-"]


def test_notes_are_counted_where_there_are_some(manifest):
    built = BUILT | {"b": Built(250, ((0, 250),), notes=1200)}
    built["a_1"] = Built(1000, (), no_notes="x holds no Notes_*")
    found = statistics(manifest, built)
    assert (found.total.ours.notes, found.no_notes) == (1200, {"a_1": "x holds no Notes_*"})
    _, columns, rows = found.tables()[0]
    assert columns[-1] == "notes"
    assert [row[-1] for row in rows] == ["-", "1,200", "-", "1,200"]


def test_given_segments_that_leave_their_recording_are_told(manifest, tmp_path):
    (tmp_path / "mini.csv").write_text(
        "id,category,start_seconds,stop_seconds\na,x,1,9\nb,x,1,3.9\nc,x,1,\nd,x,1,9\n"
    )
    built = dict.fromkeys("abc", Built(75, ((25, 75),)))
    assert statistics(avpipe.read_manifest(manifest.path), built).shortened == {}
    with manifest.path.open("a") as file:
        file.write('[segment]\nsource = "given"\n')
    found = statistics(avpipe.read_manifest(manifest.path), built)
    assert found.shortened == {"a": "stop_seconds = 9, the recording ends at 3.00 s"}


def test_statistics_are_a_json_document(manifest):
    document = json.loads(json.dumps(statistics(manifest, BUILT).as_json()))
    assert document["total"]["ours"]["recordings"] == 3
    assert document["by"]["singer"][0]["published"] == {"segments": 3}


def test_table_1_of_solos_follows_from_the_released_lengths():
    manifest = avpipe.read_manifest("solos")
    released = read_reference(manifest)
    built = {
        name: Built(r.frames, tuple((s.start, s.stop) for s in r.segments))
        for name, r in released.items()
    }
    found = statistics(manifest, built)
    lines = {line.group: line for line in found.by["category"]}
    assert len(lines) == 13
    for line in (*lines.values(), found.total):
        assert line.ours.mean_seconds == pytest.approx(line.published["mean_seconds"], abs=2)
    differing = [n for n, x in lines.items() if x.ours.recordings != x.published["recordings"]]
    assert differing == ["Flute"]
    segments = {name: line.ours.segments for name, line in lines.items()}
    assert segments == {
        "Bassoon": 72, "Cello": 278, "Clarinet": 107, "DoubleBass": 74, "Flute": 147, "Horn": 68,
        "Oboe": 89, "Saxophone": 51, "Trombone": 99, "Trumpet": 64, "Tuba": 62, "Viola": 74,
        "Violin": 164,
    }  # fmt: skip


def test_the_published_figures_of_acappella_follow_from_its_given_segments():
    manifest = avpipe.read_manifest("acappella")
    built = {
        r.id: Built(10_000, ((round(r.start_seconds * 25), round(r.stop_seconds * 25)),))
        for r in manifest.recordings
    }
    found = statistics(manifest, built)
    assert found.total.ours.videos == found.total.published["videos"] == 1421
    assert found.total.ours.hours == pytest.approx(found.total.published["hours"], abs=0.04)
    for lines in found.by.values():
        for line in lines:
            assert line.ours.segments == line.published["segments"]


def test_what_was_built_is_read_from_the_ledger_alone(manifest, tmp_path):
    """Videos that are not kept are known by what their making said."""
    (tmp_path / removed.FILE).write_text(
        json.dumps(asdict(removed.Removal("c", "", "", 0, 0, (), (), (), ()))) + "\n"
    )
    video = {"present": True, "frames": 100, "width": 560, "height": 480}
    with Ledger(tmp_path / FILE, write=True) as ledger:
        ledger.done(Artifact("video", "k" * 64, "d" * 64, 1), {"stage": "video"}, {}, video)
        summary = {"frames": 100, "segments": [[5, 90]], "keys": {"video": "k" * 64}}
        ledger.completed("a_1", summary | {"media": {"notes": {"notes": 7}}})
        ledger.completed("a_2", {**summary, "keys": {}})
        ledger.failed(Failure("b", "download", "x", None, "private", "403", True, 1))
    built, failures = read_built(tmp_path, manifest)
    assert built == {
        "a_1": Built(100, ((5, 90),), (560, 480), notes=7),
        "a_2": Built(100, ((5, 90),), None),
    }
    assert failures == {"b": "private", "c": "removed on request"}
