"""Reading manifests: what is right is read, what is wrong is one line with its place."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import avpipe
from avpipe.errors import ManifestError, UsageError
from avpipe.manifest import Manifest, check, locate, names
from avpipe.manifest.reading import read_definition
from avpipe.manifest.words import bad_name

TOML = """\
name = "mini"
title = "A small one"
licence = "CC0-1.0"
citation = "Nobody 2026"
source = "youtube"
fps = 25
sample_rate = 11025
fields = ["audio", "skeleton"]
recordings = "mini.csv"
[segment]
min_frames = 75
"""
CSV = "id,category\n-aB_cDeFgHi,violin\n"


@pytest.fixture
def write(tmp_path):
    def write(csv=CSV, toml=TOML):
        (tmp_path / "mini.toml").write_bytes(toml.encode())
        (tmp_path / "mini.csv").write_bytes(csv if isinstance(csv, bytes) else csv.encode())
        return tmp_path / "mini.toml"

    return write


def test_the_least_manifest_is_read(write):
    manifest = avpipe.read_manifest(write())
    assert manifest.name == "mini"
    assert [r.id for r in manifest.recordings] == ["-aB_cDeFgHi"]
    assert manifest.table("segment") == {"min_frames": 75}
    assert manifest.table("video") == {}
    assert manifest.categories == ("violin",)
    assert pickle.loads(pickle.dumps(manifest)) == manifest


def test_all_columns_are_read(write):
    csv = (
        "id,category,url,split,start_seconds,stop_seconds,licence,singer\n"
        "a b ü,duet x,http://h/x.mp4,train,1.5,84,CC0-1.0,Anna\nb,solo,,,,,,\n"
    )
    first, second = avpipe.read_manifest(write(csv)).recordings
    assert (first.id, first.category, first.url) == ("a b ü", "duet x", "http://h/x.mp4")
    assert (first.split, first.licence, first.extra) == ("train", "CC0-1.0", {"singer": "Anna"})
    assert (first.start_seconds, first.stop_seconds) == (1.5, 84.0)
    assert (second.url, second.split, second.start_seconds, second.extra) == (None, None, None, {})


def test_byte_order_mark_carriage_returns_empty_rows_and_blanks_do_not_matter(write):
    csv = b"\xef\xbb\xbfid , category\r\n\r\n a , violin \r\n,\r\nb,cello,,\r\n"
    manifest = avpipe.read_manifest(write(csv))
    assert [(r.id, r.category) for r in manifest.recordings] == [("a", "violin"), ("b", "cello")]
    bom = "\ufeff" + TOML.replace("\n", "\r\n")
    assert avpipe.read_manifest(write(toml=bom)).recordings


@pytest.mark.parametrize(
    ("row", "line", "key", "value", "says"),
    [
        ("../etc,violin", 3, "id", "../etc", "dot"),
        ("a/b,violin", 3, "id", "a/b", "leave the folder"),
        ("/etc/passwd,violin", 3, "id", "/etc/passwd", "leave the folder"),
        ("a\\b,violin", 3, "id", "a\\b", "leave the folder"),
        (".hidden,violin", 3, "id", ".hidden", "dot"),
        ("a\tb,violin", 3, "id", "a\\tb", "control"),
        ("a\u202eb,violin", 3, "id", "a\\u202eb", "invisible"),
        (f"{'x' * 300},violin", 3, "id", "xxx", "longer than 200 bytes"),
        (",violin", 3, "id", '""', "empty"),
        ("x,", 3, "category", '""', "empty"),
        ("x,../y", 3, "category", "../y", "dot"),
        ("-aB_cDeFgHi,viola", 3, "id", "-aB_cDeFgHi", "row 2 already"),
        ("x,violin,train", 3, "row", "x,violin,train", "3 cells, the header 2"),
        ("x", 3, "row", "x", "1 cells, the header 2"),
        ('"x\ny",violin', 3, "id", "x\\ny", "control"),
    ],
)
def test_a_wrong_row_is_named_with_row_key_value_and_reason(write, row, line, key, value, says):
    path = write(CSV + row + "\n")
    with pytest.raises(ManifestError) as caught:
        avpipe.read_manifest(path)
    text = str(caught.value)
    assert f"mini.csv row {line}: {key} = " in text
    assert value in text
    assert says in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    ("start", "stop", "key", "says"),
    [
        ("-1", "5", "start_seconds", "negative"),
        ("5", "-1", "stop_seconds", "negative"),
        ("5", "2", "stop_seconds", "after start_seconds = 5"),
        ("5", "5", "stop_seconds", "after start_seconds = 5"),
        ("1:24", "99", "start_seconds", "decimal number"),
        ("nan", "99", "start_seconds", "decimal number"),
        ("0", "inf", "stop_seconds", "decimal number"),
        ("", "0", "stop_seconds", "after start_seconds = 0"),
    ],
)
def test_wrong_times_are_named(write, start, stop, key, says):
    path = write(f"id,category,start_seconds,stop_seconds\na,violin,{start},{stop}\n")
    with pytest.raises(ManifestError, match=rf"row 2: {key} = .*{says}"):
        avpipe.read_manifest(path)


@pytest.mark.parametrize(
    ("start", "stop", "times"),
    [
        ("3", "", (3.0, None)),
        ("", "4.5", (None, 4.5)),
        ("0", "1", (0.0, 1.0)),
        ("", "", (None, None)),
    ],
)
def test_an_open_end_of_a_segment_is_the_recordings_own(write, start, stop, times):
    path = write(f"id,category,start_seconds,stop_seconds\na,violin,{start},{stop}\n")
    (recording,) = avpipe.read_manifest(path).recordings
    assert (recording.start_seconds, recording.stop_seconds) == times


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("file:///etc/passwd", "http:// or https://"),
        ("clip.mp4", "http:// or https://"),
        ("http://", "http:// or https://"),
        ("http://[x/a", "http:// or https://"),
        ("http://h/a b.mp4", "percent-encode"),
    ],
)
def test_a_url_that_is_not_on_the_web_is_refused(write, url, says):
    with pytest.raises(ManifestError, match=f"row 2: url = .*{says}"):
        avpipe.read_manifest(write(f"id,category,url\na,violin,{url}\n"))


def test_a_relative_url_stays_inside_the_served_folder(write, tmp_path):
    (tmp_path / "media").mkdir()
    toml = 'serve = "media"\n' + TOML
    path = write("id,category,url\na,violin,sub/ä 1.mp4\n".replace(" ", "-"), toml)
    manifest = avpipe.read_manifest(path)
    address = locate(manifest, manifest.recordings[0], server="http://127.0.0.1:8000/")
    assert address == "http://127.0.0.1:8000/sub/%C3%A4-1.mp4"
    with pytest.raises(UsageError, match="relative"):
        locate(manifest, manifest.recordings[0])
    with pytest.raises(ManifestError, match="inside the folder"):
        avpipe.read_manifest(write("id,category,url\na,violin,../mini.toml\n", toml))


def test_an_undeclared_category_is_named_with_the_declared_ones(write):
    path = write(toml='categories = ["cello", "tuba"]\n' + TOML)
    with pytest.raises(ManifestError, match=r"row 2: category = \"violin\".*cello, tuba"):
        avpipe.read_manifest(path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("licence", "licens", "mini.toml: licence: is missing"),
        ('licence = "CC0-1.0"\n', "", "licence: is missing"),
        ('licence = "CC0-1.0"', 'licence = ""', 'row 3: licence = "": must not be empty'),
        ("fps = 25", 'fps = "25"', 'row 6: fps = "25": must be a number'),
        ("fps = 25", "fps = 0", "fps = 0: must be more than 0"),
        ("fps = 25", "fps = true", "fps = True: must be a number"),
        ("11025", "11025.5", "sample_rate = 11025.5: must be a whole number"),
        ('["audio", "skeleton"]', '"audio"', 'fields = "audio": must be a list'),
        ('["audio", "skeleton"]', '["audio", "audio"]', "must not name anything twice"),
        ('["audio", "skeleton"]', "[]", "must not be empty"),
        ("[segment]\nmin_frames", "segment", "segment = 75: must be a table"),
        ('"mini"', '"../mini"', "name = "),
        ('"mini.csv"', '"none.csv"', "there is no file"),
        ('"mini.csv"', '"../mini.csv"', "must stay inside the manifest's folder"),
        ('"youtube"', '"http://h/x.mp4"', "is a URL without {id}"),
        ('"youtube"', '"http://h/{name}.mp4"', "{name}"),
        ('"youtube"', '"ftp://h/{id}.mp4"', "http:// or https://"),
        ("fps = 25", "fps = 25\nfsp = 3", "row 7: fsp = 3: unknown key; did you mean fps"),
        (
            "[segment]",
            "[segmnt]",
            "row 10: segmnt = {'min_frames': 75}: unknown key; did you mean segm",
        ),
        ("fps = 25", "fps = ", "not TOML"),
        ("[segment]", "[download]\nytdlp = { postprocessors = [] }\n[segment]", "--set download"),
        ("[segment]", '[download]\nytdlp = { netrc_cmd = "x" }\n[segment]', "--set download"),
        ("[segment]", '[download]\ncookies_file = "/etc/x"\n[segment]', "--set download.cookies"),
        ("[segment]", '[download]\nytdlp = "x"\n[segment]', "must be a table"),
    ],
)
def test_a_wrong_key_is_named_with_what_is_allowed(write, old, new, says):
    assert old in TOML
    with pytest.raises(ManifestError) as caught:
        avpipe.read_manifest(write(toml=TOML.replace(old, new)))
    text = str(caught.value)
    assert says in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    ("csv", "says"),
    [
        ("", "column 'id' is missing"),
        ("id\na\n", "column 'category' is missing"),
        ("ID,category\na,b\n", "small letters"),
        ("id,category,id\na,b,c\n", "'id' stands twice"),
        ("id,category,\na,b,c\n", "a column has no name"),
        ("id,category\n", "no rows"),
        (b"id,category\n\xff,violin\n", "not UTF-8"),
        ('id,category\n"a,violin\n', "not CSV"),
    ],
)
def test_a_file_that_is_no_table_of_recordings_is_refused(write, csv, says):
    with pytest.raises(ManifestError, match=says):
        avpipe.read_manifest(write(csv))


def test_harmless_options_of_the_download_may_stand_in_a_manifest(write):
    toml = TOML + '[download]\nformat = "b"\nytdlp = { sleep_interval = 2 }\n'
    manifest = avpipe.read_manifest(write(toml=toml))
    assert manifest.table("download") == {"format": "b", "ytdlp": {"sleep_interval": 2}}


def test_check_tells_every_problem_and_a_reader_can_go_on_with_the_rest(write):
    path = write(CSV + "../x,violin\nok,violin\nok,violin\n")
    assert [(p.row, p.key) for p in check(path)] == [(3, "id"), (5, "id")]
    with pytest.raises(ManifestError, match="and 1 more"):
        avpipe.read_manifest(path)
    manifest = avpipe.read_manifest(path, skip_bad_rows=True)
    assert [r.id for r in manifest.recordings] == ["-aB_cDeFgHi", "ok"]
    assert [p.row for p in manifest.skipped] == [3, 5]


def test_a_table_of_semicolons_is_told_from_one_without_ids(write):
    with pytest.raises(ManifestError, match=r"'id' is missing \(put commas between the cells\)"):
        avpipe.read_manifest(write("id;category\na;violin\n"))


def test_a_manifest_without_one_good_row_is_refused_even_when_bad_rows_are_skipped(write):
    with pytest.raises(ManifestError, match="row 2: id"):
        avpipe.read_manifest(write("id,category\n../x,violin\n"), skip_bad_rows=True)


def test_check_of_a_right_manifest_finds_nothing(write):
    assert check(write()) == []


def test_an_unknown_dataset_is_answered_with_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean solos"):
        avpipe.read_manifest("solo")
    with pytest.raises(UsageError, match=r"no file .*nowhere\.toml"):
        avpipe.read_manifest("nowhere.toml")


def test_a_source_given_by_the_user_wins_over_url_and_that_over_the_manifests_source(
    write, tmp_path
):
    manifest = avpipe.read_manifest(write("id,category,url\na b,vi lin,http://h/x.mp4\nc,tuba,\n"))
    first, second = manifest.recordings
    assert locate(manifest, first) == "http://h/x.mp4"
    assert locate(manifest, second) == "https://www.youtube.com/watch?v=c"
    template = "https://m/{category}/{id}.mp4?x=1"
    assert locate(manifest, first, template) == "https://m/vi%20lin/a%20b.mp4?x=1"
    assert locate(manifest, first, str(tmp_path)) == str(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        locate(manifest, first, str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="--source"):
        locate(manifest, first, "http://h/one.mp4")


def test_a_path_with_placeholders_names_the_file_of_a_recording(write, tmp_path, monkeypatch):
    csv = "id,category,video\na {id},{video},v\n"
    (recording,) = (manifest := avpipe.read_manifest(write(csv))).recordings
    place = locate(manifest, recording, f"{tmp_path}/{{category}}/{{id}}/Vid_{{video}}.mp4")
    assert place == f"{tmp_path}/{{video}}/a {{id}}/Vid_v.mp4"
    monkeypatch.chdir(tmp_path)
    assert locate(manifest, recording, "{video}.mp4") == str(tmp_path / "v.mp4")


def test_a_folder_as_source_is_relative_to_the_manifest(write, tmp_path):
    (tmp_path / "media").mkdir()
    manifest = avpipe.read_manifest(write(toml=TOML.replace("youtube", "media")))
    assert locate(manifest, manifest.recordings[0]) == str(tmp_path / "media")


def test_without_any_source_the_user_is_asked_for_one(write):
    manifest = avpipe.read_manifest(write(toml=TOML.replace('source = "youtube"\n', "")))
    with pytest.raises(UsageError, match="--source DIR"):
        locate(manifest, manifest.recordings[0])


def test_recordings_of_one_video_are_fetched_from_the_same_place(write):
    csv = "id,category,video\nv_1,en,abcdefghijk\nv_2,en,abcdefghijk\n"
    manifest = avpipe.read_manifest(write(csv))
    places = {locate(manifest, recording) for recording in manifest.recordings}
    assert places == {"https://www.youtube.com/watch?v=abcdefghijk"}


@given(st.text())
def test_a_name_that_passes_stays_in_its_folder(tmp_path_factory, name):
    base = tmp_path_factory.getbasetemp()
    if bad_name(name) is None:
        assert (base / name).resolve().parent == base.resolve()
        assert (base / f"{name}.mp4").name == f"{name}.mp4"


@pytest.mark.parametrize("name", names())
def test_every_shipped_manifest_is_right(name):
    assert check(name) == []
    manifest = read_definition(name)
    if manifest.bring_list is None:
        manifest = avpipe.read_manifest(name)
    assert isinstance(manifest, Manifest)
    assert manifest.name == manifest.path.stem
    assert manifest.citation.strip()
