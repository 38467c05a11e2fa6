"""Other people's lists become manifests that build; what cannot be used is named."""

import json

import pytest

from avpipe.errors import UsageError
from avpipe.manifest import import_list, locate
from avpipe.manifest.importing import youtube_id
from avpipe.manifest.lists import minute_second, read_list
from avpipe.manifest.words import bad_seconds

A, B, C = "-aB_cDeFgHi", "bbbbbbbbbbb", "ccccccccccc"


@pytest.fixture
def put(tmp_path):
    def put(name, text):
        (tmp_path / name).write_bytes(text.encode())
        return tmp_path / name

    return put


def rows(manifest):
    return [(r.id, r.category) for r in manifest.recordings]


def test_a_text_of_ids_and_urls_becomes_a_manifest_with_the_others_parameters(put, tmp_path):
    path = put(
        "My ids.txt",
        f"\ufeff# mine\r\n{A}\r\n\r\nhttps://www.youtube.com/watch?v={B}&t=3\r\n"
        "http://example.org/media/a%20clip.mp4\r\n",
    )
    imported = import_list(path, like="solos", out=tmp_path / "new", category="violin")
    manifest = imported.manifest
    assert imported.problems == ()
    assert manifest.path == tmp_path / "new" / "my-ids.toml"
    assert rows(manifest) == [(A, "violin"), (B, "violin"), ("a clip", "violin")]
    assert manifest.table("segment") == {"min_frames": 150, "max_gap": 5}
    assert (manifest.fps, manifest.sample_rate, manifest.fields) == (
        25,
        11025,
        ("audio", "skeleton"),
    )
    places = [locate(manifest, r) for r in manifest.recordings]
    assert places[0].endswith(f"watch?v={A}")
    assert places[2] == "http://example.org/media/a%20clip.mp4"


def test_bad_rows_are_named_and_the_rest_is_imported(put, tmp_path):
    path = put("ids.txt", f"{A}\n../../etc/passwd\n{A}\nshort\n{B}\n")
    imported = import_list(path, out=tmp_path / "new")
    assert [(p.row, p.key, p.value) for p in imported.problems] == [
        (2, "id", "../../etc/passwd"),
        (3, "id", A),
        (4, "id", "short"),
    ]
    assert "11 of A-Z" in str(imported.problems[2])
    assert [r.id for r in imported.manifest.recordings] == [A, "short", B]


def test_a_table_keeps_its_columns_and_names_rows_of_wrong_length_and_wrong_times(put, tmp_path):
    path = put(
        "list.csv",
        "YouTube_ID,Instrument,Start,End,Song Name\n"
        f"{A},violin,1,2.5,Spring\n{B},cello,9,3,x\n{C},viola\n{C},viola,-1,4,y\n",
    )
    imported = import_list(path, out=tmp_path / "new")
    (recording,) = imported.manifest.recordings
    assert (recording.id, recording.category, recording.start_seconds) == (A, "violin", 1.0)
    assert recording.extra == {"song_name": "Spring"}
    assert [(p.row, p.key) for p in imported.problems] == [
        (3, "stop_seconds"),
        (4, "row"),
        (5, "start_seconds"),
    ]


def test_segments_of_one_video_become_recordings_that_share_it(put, tmp_path):
    path = put(
        "list.tsv", f"id\tcategory\tstart\tend\n{A}\ten\t1\t5\n{A}\ten\t7\t9\n{B}\ten\t0\t4\n"
    )
    manifest = import_list(path, out=tmp_path / "new").manifest
    assert [r.id for r in manifest.recordings] == [f"{A}_1_5", f"{A}_7_9", B]
    assert len({locate(manifest, r) for r in manifest.recordings}) == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([A, B], [(A, "music"), (B, "music")]),
        ([{"id": A, "label": "tuba"}], [(A, "tuba")]),
        ({"tuba": [A], "flute violin": [B]}, [(A, "tuba"), (B, "flute violin")]),
        ({"version": 1.0, "videos": {"erhu": [A, B]}}, [(A, "erhu"), (B, "erhu")]),
        ({"Tuba": {A: [[0, 200]], B: []}}, [(A, "Tuba"), (B, "Tuba")]),
    ],
)
def test_json_in_the_forms_of_published_lists_is_read(put, tmp_path, content, expected):
    path = put("list.json", json.dumps(content))
    assert rows(import_list(path, out=tmp_path / "new").manifest) == expected


def test_audiosets_csv_gives_the_rows_of_the_wanted_classes(put, tmp_path):
    path = put(
        "eval_segments.csv",
        "# Segments csv created Sun Mar  5 10:54:25 2017\n"
        "# num_ytids=3, num_segs=3, num_unique_labels=4, num_positive_labels=5\n"
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        f'{A}, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n'
        f'{B}, 0.000, 10.000, "/m/09x0r,/m/0l14jd"\n'
        f'{C}, 20.000, 30.000, "/m/026t6"\n',
    )
    imported = import_list(path, like="audioset", out=tmp_path / "new")
    assert rows(imported.manifest) == [(B, "choir"), (C, "drum")]
    assert imported.other_labels == 1
    assert imported.problems == ()
    assert imported.manifest.recordings[1].start_seconds == 20.0
    assert imported.manifest.table("segment") == {"source": "given"}
    again = import_list(imported.manifest.list_file, like=imported.manifest.path, name="again",
                        out=tmp_path / "new")  # fmt: skip
    assert rows(again.manifest) == rows(imported.manifest)


def test_an_acappella_list_is_read_with_its_times_as_minute_second(put, tmp_path):
    path = put(
        "extra.csv",
        "ID,Repeat,Init,Fin,Length (s),Song Name,Link,Comments,Singer,Language,Gender\n"
        f"{A},0,1.24,4.3,186,Song,youtube.com/watch?v={A},,Anna,English,Female\n"
        f"{A},1,5,5.07,7,,youtube.com/watch?v={A},,Anna,English,Female\n"
        f"{B},0,0.75,2,7,,youtube.com/watch?v={B},,Anna,English,Female\n",
    )
    imported = import_list(path, like="acappella", out=tmp_path / "new")
    first, second = imported.manifest.recordings
    assert (first.id, first.start_seconds, first.stop_seconds) == (f"{A}_1_24_to_4_3", 84, 270)
    assert (second.id, second.start_seconds, second.stop_seconds) == (f"{A}_5_0_to_5_07", 300, 307)
    assert first.extra["video"] == A
    assert [(p.row, p.key) for p in imported.problems] == [(4, "start_seconds")]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0.3", "30"), ("1.24", "84"), ("2", "120"), ("0.07", "7"), ("61.5", "3710")],
)
def test_minute_second_is_read_as_text(text, seconds):
    assert minute_second(text) == seconds


@pytest.mark.parametrize("text", ["x", "", "1.75", "1:20", "-1.2", "1.234"])
def test_what_is_no_minute_second_is_no_time_in_seconds_either(text):
    assert bad_seconds(minute_second(text)) is not None


def test_a_folder_of_media_is_its_own_source(tmp_path):
    for name in ("train/a song.wav", "test/b.mp4", "notes.txt", "test/deep/c.mp4"):
        path = tmp_path / "media" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    imported = import_list(tmp_path / "media", like="musdb18", out=tmp_path / "new")
    assert rows(imported.manifest) == [("b", "test"), ("a song", "train")]
    assert [p.value for p in imported.problems] == ["test/deep/c.mp4"]
    assert locate(imported.manifest, imported.manifest.recordings[0]) == str(tmp_path / "media")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("list.xlsx", "x", "a list must be .txt"),
        ("list.csv", "name,what\na,b\n", "no column of ids"),
        ("list.json", "{", "not JSON"),
        ("list.json", '{"a": 3}', "must be a list of ids"),
        ("list.txt", "# nothing\n", "nothing in .* can be used"),
        ("list.txt", "../x\n", "nothing in .* can be used: .*dot"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_in_one_line(put, tmp_path, name, text, says):
    with pytest.raises(UsageError, match=says) as caught:
        import_list(put(name, text), out=tmp_path / "new")
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_a_list_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        import_list(tmp_path / "none.txt")


def test_an_import_never_overwrites_unless_told(put, tmp_path):
    path = put("ids.txt", A)
    import_list(path, out=tmp_path / "new")
    path.write_text(B)
    with pytest.raises(UsageError, match="is there already"):
        import_list(path, out=tmp_path / "new")
    manifest = import_list(path, out=tmp_path / "new", overwrite=True).manifest
    assert [r.id for r in manifest.recordings] == [B]


@pytest.mark.parametrize(
    "url",
    [
        f"https://www.youtube.com/watch?v={A}",
        f"https://m.youtube.com/watch?t=1&v={A}",
        f"https://youtu.be/{A}?si=x",
        f"http://youtube.com/shorts/{A}",
        f"https://www.youtube-nocookie.com/embed/{A}",
    ],
)
def test_every_form_of_a_youtube_address_gives_the_id(url):
    assert youtube_id(url) == A


@pytest.mark.parametrize("url", ["https://notyoutube.com/watch?v=x", "https://vimeo.com/1"])
def test_other_addresses_are_not_taken_for_youtube(url):
    assert youtube_id(url) is None


def test_rows_are_numbered_as_in_the_file(put):
    path = put("a.csv", f'# c\n# id, note\n{A}, "two\nlines"\n\n{B}, x\n')
    assert [number for number, _ in read_list(path)] == [4, 6]


def test_a_list_without_a_row_is_said_to_be_empty(put):
    with pytest.raises(UsageError, match=r"nothing in .*empty.txt can be used: it has no row"):
        import_list(put("empty.txt", "# nothing\n"))
    with pytest.raises(UsageError, match="no row has a known label"):
        import_list(put("other.csv", f"id,category\n{A},Bagpipe\n"), like="audioset")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "My List"}, "--name 'My List': must be small letters"),
        ({"out": "mine.toml"}, "--out .*mine.toml is to be a folder"),
    ],
)
def test_names_that_cannot_be_are_refused_before_anything_is_written(put, tmp_path, options, words):
    path = put("ids.txt", A)
    out = tmp_path / options.get("out", "new")
    with pytest.raises(UsageError, match=words):
        import_list(path, **options | {"out": out})
    assert list(tmp_path.iterdir()) == [path]


def test_an_id_that_youtube_cannot_have_is_kept_and_told(put, tmp_path):
    imported = import_list(put("ids.txt", "short"), out=tmp_path / "new")
    assert rows(imported.manifest) == [("short", "music")]
    (problem,) = imported.problems
    assert "it is kept: correct it or build with --source" in str(problem)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_cells_of_a_table_stand_between_commas_tabs_or_semicolons(put, tmp_path, delimiter):
    text = f"video_id,instrument\n{A},violin\n{B},\n".replace(",", delimiter)
    imported = import_list(put("mine.csv", text), out=tmp_path / "new", category="cello")
    assert rows(imported.manifest) == [(A, "violin"), (B, "cello")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"id,video_id\n1,{A}\n", r"names the id twice: keep one column"),
        (f'id,category\n"{A},violin\n', "not a table: unexpected end of data"),
        ("", "it has no row"),
        ("id,url\na,../x.mp4\n", r'row 2: url = "../x.mp4": must be an http:// or https:// URL'),
    ],
)
def test_a_table_that_cannot_be_read_says_why(put, tmp_path, text, words):
    with pytest.raises(UsageError, match=words):
        import_list(put("mine.csv", text), out=tmp_path / "new")


def test_an_import_never_overwrites_the_list_itself(put, tmp_path):
    path = put("mine.csv", "id,category\nDIt3yL8CN_s,bassoon\n")
    with pytest.raises(UsageError, match="--name"):
        import_list(path, out=path.parent, overwrite=True)
    assert path.read_text() == "id,category\nDIt3yL8CN_s,bassoon\n"
    assert import_list(path, name="other", out=path.parent).manifest.recordings


def test_a_source_is_seen_from_the_working_folder_and_has_no_other_dataset_s_licence(
    put, tmp_path, monkeypatch
):
    (tmp_path / "media").mkdir()
    monkeypatch.chdir(tmp_path)
    path = put("mine.csv", "id,category\ntake-1,bassoon\n")
    made = import_list(path, source="media", out="made").manifest
    assert made.source == str(tmp_path / "media")
    assert made.licence == "not stated"
    assert import_list(path, source="media", out="own", licence="CC0-1.0").manifest.licence == (
        "CC0-1.0"
    )
    theirs = import_list(path, like="fcvid", source="media", out="fcvid").manifest
    assert "on request" in theirs.licence
