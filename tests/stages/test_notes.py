"""The notes of a piece, from annotation files as URMP has them, right and wrong."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from avpipe.annotations import NOTE
from avpipe.errors import RecordingFailed
from avpipe.stages import Job, download, notes
from avpipe.types import Recording

RESOURCES = Path(__file__).parents[1] / "resources"
NAME = "12_Spring_vn_vn_vc"
VIOLIN_1 = "0.500\t440.0\t0.250\r\n1.000\t493.883\t0.500\r\n"
VIOLIN_2 = "0.500\t659.255\t1.000\n"
CELLO = "0.000 98.0 2.0\n\n2.000 110.0 3.0\n"


def piece(folder: Path, *texts: str, codes: str = "vn vn vc", name: str = NAME) -> Path:
    """A piece of five seconds with a file of notes a text; its folder."""
    place = folder / "Dataset" / name
    place.mkdir(parents=True)
    shutil.copy(RESOURCES / "urmp_20_mix_11025.flac", place / f"AuMix_{name}.flac")
    for number, code in enumerate(codes.split(), start=1):
        track = place / f"AuSep_{number}_{code}_x.flac"
        shutil.copy(RESOURCES / "urmp_20_vn_11025.flac", track)
    for number, (code, text) in enumerate(zip(codes.split(), texts, strict=False), start=1):
        (place / f"Notes_{number}_{code}_x.txt").write_bytes(text.encode())
    return place


def recording(place: Path, instruments: str = "") -> Recording:
    extra = {"instruments": instruments} if instruments else {}
    return Recording(place.name, "trio", str(place.parent), extra=extra)


def made(
    folder: Path, place: Path, instruments: str = "", **config: object
) -> tuple[np.ndarray, dict]:
    """The notes of a piece brought through `download`, and what the stage says of them."""
    fetched, out = folder / "download", folder / "notes"
    fetched.mkdir()
    out.mkdir()
    one = recording(place, instruments)
    download.run(Job(one, download.Config(), {}, fetched))
    notes.run(Job(one, notes.Config(**config), {"download": fetched}, out))
    facts = json.loads((out / "notes.json").read_text())
    return np.load(out / "notes.npy") if facts["present"] else np.zeros(0, NOTE), facts


def failure(folder: Path, place: Path, instruments: str = "") -> str:
    with pytest.raises(RecordingFailed) as error:
        made(folder, place, instruments)
    text = f"{error.value.failure}: {error.value}"
    assert error.value.permanent
    assert "\n" not in text
    assert text.endswith("; correct that, or leave notes out with --fields")
    return text


def test_notes_stand_in_order_and_players_of_one_instrument_are_one_source(tmp_path):
    found, facts = made(tmp_path, piece(tmp_path, VIOLIN_1, VIOLIN_2, CELLO))
    assert facts == {
        "present": True,
        "frames": 125,
        "notes": 5,
        "names": ["vn", "vc"],
        "reason": None,
    }
    assert found.tolist() == [
        (0.0, 2.0, 98.0, 2, 1),
        (0.5, 0.25, 440.0, 0, 0),
        (0.5, 1.0, 659.255, 1, 0),
        (1.0, 0.5, 493.883, 0, 0),
        (2.0, 3.0, 110.0, 2, 1),
    ]


def test_players_may_stay_apart_as_their_stems(tmp_path):
    found, facts = made(tmp_path, piece(tmp_path, VIOLIN_1, VIOLIN_2, CELLO), merge=False)
    assert facts["names"] == ["vn", "vn-2", "vc"]
    assert found["source"].tolist() == found["player"].tolist() == [2, 0, 1, 0, 2]


def test_the_manifest_says_what_is_played_whatever_the_files_are_called(tmp_path):
    """URMP's piece 15: the third player has a trombone, his files say trumpet."""
    place = piece(tmp_path, VIOLIN_1, VIOLIN_2, CELLO, codes="tpt tpt tpt")
    found, facts = made(tmp_path, place, "tpt tpt tbn")
    assert facts["names"] == ["tpt", "tbn"]
    assert found["source"][found["player"] == 2].tolist() == [1, 1]


def test_files_with_the_right_name_beside_a_misnamed_track_are_right(tmp_path):
    place = piece(tmp_path, VIOLIN_1, VIOLIN_2, CELLO, codes="tpt tpt tpt")
    (place / "Notes_3_tpt_x.txt").rename(place / "Notes_3_tbn_x.txt")
    assert made(tmp_path, place, "tpt tpt tbn")[1]["names"] == ["tpt", "tbn"]


def test_the_score_is_kept_as_it_is(tmp_path):
    place = piece(tmp_path, VIOLIN_1, VIOLIN_2, CELLO)
    (place / "Sco_12_Spring_vn_vn_vc.mid").write_bytes(b"MThd")
    made(tmp_path, place)
    assert (tmp_path / "notes" / "score.mid").read_bytes() == b"MThd"


def test_the_folder_is_that_of_the_video_too(tmp_path):
    place = piece(tmp_path, VIOLIN_1, VIOLIN_2, CELLO)
    shutil.copy(RESOURCES / "urmp_vln1.mp4", place / f"Vid_{NAME}.mp4")
    one = Recording(NAME, "trio", str(place / f"Vid_{NAME}.mp4"))
    (tmp_path / "download").mkdir()
    (tmp_path / "notes").mkdir()
    download.run(Job(one, download.Config(), {}, tmp_path / "download"))
    facts = notes.run(
        Job(one, notes.Config(), {"download": tmp_path / "download"}, tmp_path / "notes")
    )
    assert (facts["notes"], facts["names"]) == (5, ["vn", "vc"])


def test_a_last_note_is_cut_where_the_recording_ends(tmp_path):
    place = piece(tmp_path, VIOLIN_1, VIOLIN_2, "4.5 98 0.59\n5.02 98 0.01\n")
    found, _ = made(tmp_path, place)
    assert found[-1].tolist() == (4.5, 0.5, 98.0, 2, 1)
    assert len(found) == 4


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1.0 440", "(1.0 440): must be three numbers: onset [s], pitch [Hz] and duration [s]"),
        ("1.0 440 0.5 9", "must be three numbers"),
        ("1.0 A4 0.5", "(1.0 A4 0.5): must be three numbers"),
        ("1.0 nan 0.5", "must be three numbers"),
        ("-1 440 0.5", "(-1 440 0.5): the onset lies before the recording"),
        ("1.0 0 0.5", "the pitch must be more than 0"),
        ("1.0 440 -0.5", "the duration must be more than 0"),
        ("1.0 0.5 440", "the note ends at 441.00 s, the recording at 5.00 s"),
        ("5.2 440 0.1", "the note ends at 5.30 s, the recording at 5.00 s"),
    ],
)
def test_a_wrong_row_is_named_with_its_file(tmp_path, row, words):
    place = piece(tmp_path, VIOLIN_1, VIOLIN_2, f"\ufeff0.0 98 1\n\n{row}\n")
    text = failure(tmp_path, place)
    assert text.startswith(f"unreadable: {place}/Notes_3_vc_x.txt row 3 (")
    assert words in text


def test_several_wrong_rows_are_counted(tmp_path):
    place = piece(tmp_path, VIOLIN_1, VIOLIN_2, "time pitch length\n0 98 1\n1 0 1\n2 0 1\n")
    assert "row 1 (time pitch length): " in (text := failure(tmp_path, place))
    assert "(and 2 more rows)" in text


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "holds no note"), (b"\xff\xfe\x00", "byte 0 is not text"), (b" " * 10_000_001, "bytes")],
)
def test_a_file_that_is_no_list_of_notes_is_named(tmp_path, content, words):
    place = piece(tmp_path, VIOLIN_1, VIOLIN_2, CELLO)
    (place / "Notes_2_vn_x.txt").write_bytes(content)
    text = failure(tmp_path, place)
    assert f"{place}/Notes_2_vn_x.txt" in text
    assert words in text


def test_a_missing_file_is_named(tmp_path):
    place = piece(tmp_path, VIOLIN_1, VIOLIN_2, CELLO)
    (place / "Notes_2_vn_x.txt").unlink()
    assert f"removed: {place} holds no Notes_2_<instrument>_*.txt, vn vn vc" in (
        failure(tmp_path, place)
    )


def test_two_files_of_one_player_are_told(tmp_path):
    place = piece(tmp_path, VIOLIN_1, VIOLIN_2, CELLO)
    shutil.copy(place / "Notes_2_vn_x.txt", place / "Notes_2_vn_y.txt")
    assert "holds 2 Notes_2_<instrument>_*.txt" in failure(tmp_path, place)


def test_files_that_swap_the_players_are_a_contradiction(tmp_path):
    place = piece(tmp_path, VIOLIN_1, VIOLIN_2, CELLO)
    (place / "Notes_2_vn_x.txt").rename(place / "Notes_9_vn_x.txt")
    (place / "Notes_3_vc_x.txt").rename(place / "Notes_2_vc_x.txt")
    (place / "Notes_9_vn_x.txt").rename(place / "Notes_3_vn_x.txt")
    assert "Notes_2_vc_x.txt is called vc, player 2 plays vn" in failure(tmp_path, place)


def test_a_file_of_a_player_who_is_not_there_is_named(tmp_path):
    place = piece(tmp_path, VIOLIN_1, VIOLIN_2, CELLO)
    (place / "Notes_4_db_x.txt").write_text(CELLO)
    assert "Notes_4_db_x.txt: there is no player 4, vn vn vc play" in failure(tmp_path, place)


def test_without_any_file_of_notes_the_manifest_decides(tmp_path):
    place = piece(tmp_path)
    assert f"removed: {place} holds no Notes_<k>_<instrument>_*.txt;" in failure(tmp_path, place)
    (tmp_path / "again").mkdir()
    found, facts = made(tmp_path / "again", place, allow_missing=True)
    assert len(found) == 0
    assert facts["reason"] == f"{place} holds no Notes_<k>_<instrument>_*.txt"
    assert facts["frames"] == 125


def test_the_digest_is_of_the_annotations_alone_wherever_they_lie(tmp_path):
    place = piece(tmp_path, VIOLIN_1, VIOLIN_2, CELLO)
    digest = notes.outside(notes.Config())
    before = digest(recording(place))
    assert set(before) == {"annotations"}
    (place / "F0s_1_vn_x.txt").write_text("0.01 440\n")
    shutil.move(place.parent, tmp_path / "elsewhere")
    moved = tmp_path / "elsewhere" / NAME
    assert digest(recording(moved)) == before
    assert digest(recording(place)) is None
    (moved / "Notes_3_vc_x.txt").write_text(CELLO + "4.9 98 0.1\n")
    assert digest(recording(moved)) != before
    assert digest(Recording(NAME, "trio", "https://host/a.mp4")) == {}
