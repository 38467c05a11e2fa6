"""Published test pairs, in the form in which they are passed on."""

import json
from collections import Counter
from dataclasses import replace

import pytest

import avpipe
from avpipe import cli
from avpipe.errors import UsageError
from avpipe.manifest import names, overlap, read_mixtures, resplit, video_id


def pairs(path, manifest, count, step=1):
    """So many pairs of recordings of different categories, as `testsep.csv` has them."""
    solos = [r for r in manifest.recordings if " " not in r.category][::step]
    half = len(solos) // 2
    chosen = [(solos[i % half], solos[half + i % half]) for i in range(count)]
    rows = [f"/{a.category}/{a.id}.wav, /{b.category}/{b.id}.wav" for a, b in chosen]
    path.write_text("\n".join(rows) + "\n")
    return {r.id for pair in chosen for r in pair}


def test_rows_of_paths_with_a_space_behind_the_comma_are_ids(tmp_path):
    path = tmp_path / "testsep.csv"
    path.write_bytes(
        b"\xef\xbb\xbf# pairs\r\n/cello/-abc_DEF012.wav, /acoustic_guitar/mn.op-89012.wav\r\n\r\n"
        b"/tuba/tttttttttt1.wav,/tuba/tttttttttt1.mp4,215\r\nplainid0001, plainid0002\r\n"
    )
    found = read_mixtures(path)
    assert [m.row for m in found] == [2, 4, 5]
    assert [m.ids for m in found] == [
        ("-abc_DEF012", "mn.op-89012"),
        ("tttttttttt1",),
        ("plainid0001", "plainid0002"),
    ]


def test_files_that_name_nothing_are_refused(tmp_path):
    (tmp_path / "empty.csv").write_text("\n\n")
    with pytest.raises(UsageError, match=r"empty.csv names no recordings: rows must be like"):
        read_mixtures(tmp_path / "empty.csv")
    with pytest.raises(UsageError, match=r"none.csv: cannot be read"):
        read_mixtures(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"not CSV in UTF-8"):
        read_mixtures(tmp_path / "bytes.csv")


@pytest.mark.parametrize(("name", "count"), [("music", 249), ("music21", 586)])
def test_test_pairs_become_the_split_of_the_dataset(name, count, tmp_path):
    manifest = avpipe.read_manifest(name)
    named = pairs(tmp_path / "testsep.csv", manifest, count, step=4)
    made = resplit(manifest, tmp_path / "testsep.csv", None, tmp_path / "mine")
    again = avpipe.read_manifest(tmp_path / "mine" / f"{name}.toml")
    assert made.problems == ()
    assert [r.id for r in again.recordings] == [r.id for r in manifest.recordings]
    assert {r.id for r in again.recordings if r.split == "test"} == named
    before = {r.id: r.split for r in manifest.recordings}
    for recording in again.recordings:
        kept = "val" if before[recording.id] == "val" else "train"
        assert recording.split == ("test" if recording.id in named else kept)
    for field in ("fields", "fps", "sample_rate", "published", "citation", "source"):
        assert getattr(again, field) == getattr(manifest, field)


def test_validation_is_supplied_as_well_and_everything_of_a_video_goes_with_it(tmp_path):
    manifest = avpipe.read_manifest("acappella")
    shared = Counter(video_id(r) for r in manifest.recordings)
    video = next(v for v, count in shared.items() if count > 1)
    cuts = [r.id for r in manifest.recordings if video_id(r) == video]
    other = next(r.id for r in manifest.recordings if video_id(r) != video)
    (tmp_path / "test.csv").write_text(cuts[0])
    (tmp_path / "val.csv").write_text(f"{other}\n{cuts[1]}\n")
    made = resplit(manifest, tmp_path / "test.csv", tmp_path / "val.csv", tmp_path / "mine")
    split = {r.id: r.split for r in made.manifest.recordings}
    assert {split[name] for name in cuts} == {"test"}
    assert split[other] == "val"
    rest = [replace(r, split=None) for r in made.manifest.recordings]
    assert rest == [replace(r, split=None) for r in manifest.recordings]


def test_the_command_names_rows_that_cannot_be_used_and_makes_the_rest(tmp_path, capsys):
    manifest = avpipe.read_manifest("music")
    named = pairs(tmp_path / "testsep.csv", manifest, 3)
    with (tmp_path / "testsep.csv").open("a") as file:
        file.write("/cello/gone0000000.wav, /tuba/gone0000001.wav\n")
    command = ["manifest", "split", "music", "--test", str(tmp_path / "testsep.csv")]
    assert cli.run([*command, "--out", str(tmp_path / "mine"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parts"]["test"] == len(named)
    assert len(found["problems"]) == 2
    assert 'testsep.csv row 4: id = "gone0000000": is no recording of music' in found["problems"][0]
    assert cli.run([*command, "--out", str(tmp_path / "mine")]) == 2
    assert "is there already" in capsys.readouterr().err
    (tmp_path / "testsep.csv").write_text("/cello/gone0000000.wav, /tuba/gone0000001.wav\n")
    assert cli.run([*command, "--out", str(tmp_path / "other")]) == 2
    assert "names no recording of music" in capsys.readouterr().err


def test_what_lies_beside_a_manifest_goes_along(tmp_path):
    manifest = avpipe.read_manifest("solos")
    (tmp_path / "test.csv").write_text(manifest.recordings[0].id)
    made = resplit(manifest, tmp_path / "test.csv", None, tmp_path / "mine")
    assert made.manifest.reference.is_relative_to(tmp_path / "mine")
    assert made.manifest.reference.read_bytes() == manifest.reference.read_bytes()
    assert len(overlap(made.manifest, manifest)) == 754
    assert made.manifest.name in names()
