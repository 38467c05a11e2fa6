"""The shipped lists hold what their publications say, or their notes say what differs."""

import tomllib
from collections import Counter

import pytest

import avpipe
from avpipe import resources
from avpipe.dag import line
from avpipe.errors import UsageError
from avpipe.manifest import names, overlap, read_definition, schema
from avpipe.manifest.location import video_id
from avpipe.manifest.reference import read_reference

MANIFESTS = resources.folder("manifests")


def test_the_schema_itself_is_valid():
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema.schema())


def test_the_demo_ships_its_media_with_two_failures_and_is_small():
    manifest = avpipe.read_manifest("demo")
    assert manifest.serve is not None
    files = {path.name for path in manifest.serve.iterdir()} - {"LICENCES.md"}
    absent = [r.id for r in manifest.recordings if r.url not in files]
    assert absent == ["trumpet-gone"]
    assert files == {r.url for r in manifest.recordings} - {"trumpet-gone.mp4"}
    assert sum(path.stat().st_size for path in manifest.serve.iterdir()) < 6e6
    table = (manifest.serve / "LICENCES.md").read_text()
    assert all(f"| {name} |" in table for name in files)
    assert all(r.licence for r in manifest.recordings)
    uncredited = [r.id for r in manifest.recordings if "credit" not in r.extra]
    assert uncredited == ["trumpet-gone", "cello-corrupt"]


def test_solos_has_the_754_released_recordings_of_13_instruments():
    manifest = avpipe.read_manifest("solos")
    assert len(manifest.recordings) == 754
    assert Counter(r.category for r in manifest.recordings) == {
        "Bassoon": 56, "Cello": 134, "Clarinet": 49, "DoubleBass": 58, "Flute": 47, "Horn": 50,
        "Oboe": 53, "Saxophone": 45, "Trombone": 50, "Trumpet": 50, "Tuba": 41, "Viola": 55,
        "Violin": 66,
    }  # fmt: skip
    assert all(len(r.id) == 11 for r in manifest.recordings)


def test_solos_differs_from_its_table_in_one_flute_and_says_so():
    manifest = avpipe.read_manifest("solos")
    counts = Counter(r.category for r in manifest.recordings)
    groups = manifest.published["by"]["category"]
    differing = {name for name in groups if groups[name]["recordings"] != counts[name]}
    assert differing == {"Flute"}
    assert (
        manifest.published["total"]["recordings"]
        == sum(g["recordings"] for g in groups.values())
        == 755
    )
    assert manifest.notes is not None
    assert "754" in manifest.notes


def test_the_released_timestamps_of_solos_are_half_open_and_complete():
    manifest = avpipe.read_manifest("solos")
    released = read_reference(manifest)
    assert set(released) == {r.id for r in manifest.recordings}
    segments = [s for r in released.values() for s in r.segments]
    assert len(segments) == 1349
    inclusive = [len(s) - 1 for s in segments]
    assert sum(inclusive) / 25 / 3600 == pytest.approx(64.215, abs=5e-4)
    assert (min(inclusive), max(inclusive)) == (151, 50532)
    assert sum(not r.segments for r in released.values()) == 10
    assert sum(r.frames for r in released.values()) == 5976615
    assert [(s.start, s.stop) for s in released["OqH9szlahwU"].segments] == [(89, 1618)]
    assert all(s.stop <= r.frames for r in released.values() for s in r.segments)


def test_the_mean_durations_of_solos_are_those_of_its_table():
    manifest = avpipe.read_manifest("solos")
    released = read_reference(manifest)
    for category, group in manifest.published["by"]["category"].items():
        frames = [released[r.id].frames for r in manifest.recordings if r.category == category]
        minutes_seconds = int(sum(frames) / len(frames) / manifest.fps)
        assert abs(minutes_seconds - group["mean_seconds"]) <= 1, category


def test_music_has_536_solos_of_11_instruments_and_149_duets_of_9_pairs():
    manifest = avpipe.read_manifest("music")
    solos = Counter(r.category for r in manifest.recordings if r.extra["kind"] == "solo")
    duets = Counter(r.category for r in manifest.recordings if r.extra["kind"] == "duet")
    assert solos == {
        "flute": 48, "acoustic_guitar": 56, "accordion": 60, "xylophone": 49, "erhu": 53,
        "tuba": 51, "saxophone": 25, "cello": 57, "violin": 53, "clarinet": 41, "trumpet": 43,
    }  # fmt: skip
    assert solos.total() == 536
    assert (len(duets), duets.total()) == (9, 149)
    assert all(set(pair.split()) <= set(solos) for pair in duets)


def test_music21_has_1164_solos_of_21_instruments_those_of_music_among_them():
    music21, music = avpipe.read_manifest("music21"), avpipe.read_manifest("music")
    assert len(music21.recordings) == 1164
    assert len(music21.categories) == 21
    solos = {r.id for r in music.recordings if r.extra["kind"] == "solo"}
    assert solos < {r.id for r in music21.recordings}


def test_the_overlap_of_solos_is_19_videos_of_music_and_23_of_music21_and_no_duet():
    solos, music = avpipe.read_manifest("solos"), avpipe.read_manifest("music")
    shared = overlap(solos, music)
    assert len(shared) == 19
    assert {s.second[0].extra["kind"] for s in shared} == {"solo"}
    assert len(overlap(solos, avpipe.read_manifest("music21"))) == 23
    assert len(overlap(avpipe.read_manifest("music21"), solos)) == 23


def test_acappella_has_1493_segments_of_1421_videos_in_the_published_splits():
    manifest = avpipe.read_manifest("acappella")
    rows = manifest.recordings
    assert len(rows) == 1493
    assert len({video_id(r) for r in rows}) == 1421
    assert Counter(r.split for r in rows) == {
        "train": 1194, "val_seen": 105, "test_seen": 111, "test_unseen": 83
    }  # fmt: skip
    for column, groups in manifest.published["by"].items():
        values = Counter(_column(r, column) for r in rows)
        assert values == {value: group["segments"] for value, group in groups.items()}
    singers = {r.extra.get("singer") for r in rows}
    assert len(singers) == 261  # None among them: 3 segments name no singer
    assert sum("singer" not in r.extra for r in rows) == 3
    assert len({r.extra["singer"] for r in rows if r.split == "train"}) == 193
    assert sum("test_group" in r.extra for r in rows) == 83


def test_the_times_of_acappella_are_seconds_and_its_hours_those_published():
    rows = avpipe.read_manifest("acappella").recordings
    by_id = {r.id: r for r in rows}
    first = by_id["p4mpFsVP9ao_0_24_to_1_3"]  # released as 0.24 and 1.3
    assert (first.start_seconds, first.stop_seconds) == (24, 90)
    seconds = {r.id: r.stop_seconds - r.start_seconds for r in rows}
    assert seconds["rtWbtRWDuDU_1_03_to_5_03"] == 240
    contradiction = 240 - 128  # between the times and the released length of that segment
    assert (sum(seconds.values()) - contradiction) / 3600 == pytest.approx(45.81, abs=5e-3)
    splits = avpipe.read_manifest("acappella").published["by"]["split"]
    for split, group in splits.items():
        hours = sum(s for i, s in seconds.items() if by_id[i].split == split) / 3600
        assert hours == pytest.approx(group["hours"], abs=contradiction / 3600 + 5e-3), split


def test_191_rows_of_acappella_would_be_wrong_if_their_times_were_read_as_numbers():
    def as_number(text):
        time = float(text.replace("_", "."))
        return int((time // 1) * 60 + (time % 1) * 100)

    wrong = 0
    for row in avpipe.read_manifest("acappella").recordings:
        start, stop = row.id.removeprefix(f"{row.extra['video']}_").split("_to_")
        wrong += (as_number(start), as_number(stop)) != (row.start_seconds, row.stop_seconds)
    assert wrong == 191


def test_the_published_splits_of_acappella_leak_as_its_notes_say():
    manifest = avpipe.read_manifest("acappella")
    train = [r for r in manifest.recordings if r.split == "train"]
    videos = {video_id(r) for r in train}
    again = Counter(r.split for r in manifest.recordings if video_id(r) in videos)
    assert again == {"train": 1194, "val_seen": 23}
    singers = {r.extra["singer"] for r in train}
    unseen = [r for r in manifest.recordings if r.split == "test_unseen"]
    known = [r.extra["singer"] for r in unseen if r.extra.get("singer") in singers]
    assert (len(known), len(set(known))) == (4, 2)
    assert manifest.notes is not None
    assert "23 segments" in manifest.notes
    assert "(4 segments)" in manifest.notes


def test_urmp_has_44_pieces_of_149_tracks_and_116_merged_sources():
    manifest = avpipe.read_manifest("urmp")
    players = [r.extra["instruments"].split() for r in manifest.recordings]
    assert Counter(r.category for r in manifest.recordings) == {
        "duet": 11, "trio": 12, "quartet": 14, "quintet": 7
    }  # fmt: skip
    assert Counter(code for codes in players for code in codes) == {
        "vn": 34, "tpt": 21, "fl": 18, "va": 13, "vc": 11, "sax": 11, "cl": 10, "tbn": 9, "ob": 6,
        "hn": 5, "tba": 5, "bn": 3, "db": 3,
    }  # fmt: skip
    distinct = Counter(len(set(codes)) for codes in players)
    assert distinct == {1: 4, 2: 12, 3: 20, 4: 8}
    assert sum(sources * pieces for sources, pieces in distinct.items() if sources > 1) == 116
    same = [
        r.id[:2]
        for r, codes in zip(manifest.recordings, players, strict=True)
        if len(set(codes)) == 1
    ]
    assert same == ["02", "04", "05", "06"]


@pytest.mark.parametrize("name", ["audioset", "fcvid", "musdb18", "yt8m-instruments"])
def test_a_dataset_without_a_shipped_list_says_where_to_get_it_and_what_to_do(name):
    with pytest.raises(UsageError, match=f"avpipe manifest import LIST --like {name}"):
        avpipe.read_manifest(name)


@pytest.mark.parametrize("name", ["solos", "music", "music21"])
def test_a_list_without_published_split_is_split_by_recording(name):
    manifest = avpipe.read_manifest(name)
    shares = Counter(r.split for r in manifest.recordings)
    assert set(shares) == {"train", "val", "test"}
    assert shares["train"] / len(manifest.recordings) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("name", names())
def test_the_line_has_every_field_and_parameter_of_a_shipped_manifest(name):
    assert line(read_definition(name))[0].name == "download"


def test_the_shipped_manifests_are_small():
    size = sum(path.stat().st_size for path in MANIFESTS.rglob("*") if path.is_file())
    assert size < 8e6


def _column(recording, column):
    return getattr(recording, column, None) or recording.extra[column]


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_manifest_says_what_a_user_must_know(path):
    values = tomllib.loads(path.read_text())
    assert values["name"] == path.stem
    assert values["title"]
    assert values["citation"]
