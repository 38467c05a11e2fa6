"""URMP as a user has it on disk: a folder of pieces, some of which are not as they should be."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import avpipe
from avpipe import cli

RESOURCES = Path(__file__).parents[1] / "resources"
TRACKS = ("tpt", "vn", "vc")
SHORT = ["--set", "segment.min_frames=25"]
"""The tracks are five seconds long."""

NOTES = ("0.5 440 1.5", "0.25 494 0.5\n1 523 2", "0 98 4")
"""Of the three players: onset, pitch, duration."""

RIGHT = "20_Pavane_tpt_vn_vc"
TROMBONE = "15_Surprise_tpt_tpt_tbn"
ONE_INSTRUMENT = "04_Allegro_fl_fl"
INCOMPLETE = "12_Spring_vn_vn_vc"
MISNAMED = "19_Pavane_cl_vn_vc"
SWAPPED = "17_Nocturne_vn_fl_cl"
MIXTURE_MISSING = "13_Hark_vn_vn_va"
ABSENT = "14_Waltz_fl_fl_cl"
WRONG_NOTES = "18_Nocturne_vn_fl_tpt"


def piece(folder: Path, name: str, codes: list[str]) -> Path:
    """A piece's folder with tracks that its files call so."""
    place = folder / name
    place.mkdir(parents=True)
    title = "_".join(name.split("_")[:2])
    shutil.copy(RESOURCES / "urmp_20_mix_11025.flac", place / f"AuMix_{name}.flac")
    for number, (code, track) in enumerate(zip(codes, TRACKS, strict=False), start=1):
        source = RESOURCES / f"urmp_20_{track}_11025.flac"
        shutil.copy(source, place / f"AuSep_{number}_{code}_{title}.flac")
    return place


def annotate(place: Path, codes: list[str]) -> None:
    """Puts files of notes beside the tracks."""
    for number, (code, text) in enumerate(zip(codes, NOTES, strict=True), start=1):
        (place / f"Notes_{number}_{code}_{place.name}.txt").write_text(text + "\n")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """What is built of nine pieces, and the message of every failure."""
    folder = tmp_path_factory.mktemp("urmp")
    pieces = folder / "Dataset"
    piece(pieces, RIGHT, ["tpt", "vn", "vc"])
    annotate(piece(pieces, TROMBONE, ["tpt", "tpt", "tpt"]), ["tpt", "tpt", "tpt"])
    wrong = piece(pieces, WRONG_NOTES, ["vn", "fl", "tpt"])
    annotate(wrong, ["vn", "fl", "tpt"])
    (wrong / f"Notes_2_fl_{WRONG_NOTES}.txt").write_text("1 523 2\n3 523 -1\n")
    piece(pieces, ONE_INSTRUMENT, ["fl", "fl"])
    next(piece(pieces, INCOMPLETE, ["vn", "vn", "vc"]).glob("AuSep_2_*")).unlink()
    wrong = next(piece(pieces, MISNAMED, ["cl", "vn", "vc"]).glob("AuSep_3_*"))
    wrong.rename(wrong.with_name("cello.flac"))
    piece(pieces, SWAPPED, ["fl", "vn", "cl"])
    next(piece(pieces, MIXTURE_MISSING, ["vn", "vn", "va"]).glob("AuMix_*")).unlink()
    names = [
        RIGHT,
        TROMBONE,
        ONE_INSTRUMENT,
        INCOMPLETE,
        MISNAMED,
        SWAPPED,
        MIXTURE_MISSING,
        ABSENT,
        WRONG_NOTES,
    ]
    out = folder / "out"
    command = ["build", "urmp", "--source", str(pieces), "--ids", ",".join([*names, ABSENT])]
    assert cli.run([*command, "--out", str(out), "--workers", "1", *SHORT]) == 0
    return out, errors(out)


def errors(out: Path) -> dict[str, str]:
    from avpipe.ledger import FILE, Ledger

    with Ledger(out / FILE) as ledger:
        return {f.recording: f"{f.stage}: {f.failure}: {f.message}" for f in ledger.failures()}


def test_the_right_pieces_are_built_with_their_sources(built):
    dataset = avpipe.open_dataset(built[0])
    assert sorted(dataset.index["recording"]) == sorted([RIGHT, TROMBONE])
    clips = {dataset.clip(i).recording: dataset.clip(i) for i in range(len(dataset))}
    assert clips[RIGHT].fields["stems"].names == ("tpt", "vn", "vc")
    assert clips[TROMBONE].fields["stems"].names == ("tpt", "tbn")
    for clip in clips.values():
        stems = np.asarray(clip.fields["stems"])
        np.testing.assert_allclose(stems.sum(axis=0), clip.audio, atol=2e-4)


def test_separators_are_scored_on_what_was_built(built, tmp_path):
    pytest.importorskip("torch")
    from avpipe.separation.evaluate import evaluate

    report = evaluate(["oracle", "mixture"], built[0], out=tmp_path / "scores")
    assert report.mixtures == 2
    rows = list(csv.DictReader((tmp_path / "scores" / "scores.csv").open()))
    heard = {(row["mixture"], row["instrument"]) for row in rows}
    assert heard == {
        *((RIGHT, instrument) for instrument in ("trumpet", "violin", "cello")),
        *((TROMBONE, instrument) for instrument in ("trumpet", "trombone")),
    }
    scores = report.summaries
    assert scores["oracle"]["all"]["sdr"]["mean"] > 10 > 0 > scores["mixture"]["all"]["sdr"]["mean"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (ONE_INSTRUMENT, "stems: limit: it has 1 sources (fl), stems.min_sources asks for 2"),
        (INCOMPLETE, "holds no AuSep_2_<instrument>_*: its track is missing"),
        (MISNAMED, "it has 2 tracks (cl vn), the manifest's column instruments names 3 (cl vn vc)"),
        (SWAPPED, "its files name the tracks fl vn cl, the manifest's column instruments vn fl cl"),
        (MIXTURE_MISSING, "holds no mixture: name it AuMix_*.wav or mixture.wav"),
        (
            WRONG_NOTES,
            f"Notes_2_fl_{WRONG_NOTES}.txt row 2 (3 523 -1): the duration must be more than 0",
        ),
        (ABSENT, f"Dataset holds no {ABSENT}.* and no folder {ABSENT}"),
    ],
)
def test_what_is_wrong_with_the_others_is_said_in_one_line(built, name, words):
    assert words in built[1][name]
    assert "\n" not in built[1][name]


def test_a_piece_that_was_put_right_is_built_when_asked_to_try_again(built, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(built[0], out)
    pieces = built[0].parent / "Dataset"
    shutil.copytree(pieces, tmp_path / "Dataset")
    wrong = tmp_path / "Dataset" / MISNAMED / "cello.flac"
    wrong.rename(wrong.with_name("AuSep_3_vc_19_Pavane.flac"))
    command = ["build", "urmp", "--source", str(tmp_path / "Dataset"), "--ids", MISNAMED, "--json"]
    capsys.readouterr()
    assert cli.run([*command, "--out", str(out), "--workers", "1", "--retry-failed", *SHORT]) == 0
    assert MISNAMED not in errors(out)
    assert json.loads(capsys.readouterr().out)["segments"] >= 1


def test_pieces_have_the_notes_of_their_sources_where_the_folder_has_them(built, capsys):
    dataset = avpipe.open_dataset(built[0])
    clips = {dataset.clip(i).recording: dataset.clip(i) for i in range(len(dataset))}
    assert "notes" not in clips[RIGHT].fields
    notes = clips[TROMBONE].fields["notes"]
    assert notes.names == clips[TROMBONE].fields["stems"].names == ("tpt", "tbn")
    shift = clips[TROMBONE].segment.start / 25
    np.testing.assert_allclose(notes["tpt"].onset_seconds + shift, [0.25, 0.5, 1])
    assert notes["tpt"].player.tolist() == [1, 0, 1]
    assert notes["tbn"].pitch_hz.tolist() == [98]
    assert cli.run(["verify", str(built[0])]) == 0
    capsys.readouterr()
    assert cli.run(["stats", "urmp", "--out", str(built[0]), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["total"]["ours"]["notes"] == 4
    assert found["no_notes"] == {
        RIGHT: f"{built[0].parent}/Dataset/{RIGHT} holds no Notes_<k>_<instrument>_*.txt"
    }


def test_a_corrected_annotation_reruns_the_notes_and_nothing_else(built, tmp_path, capsys):
    out, pieces = tmp_path / "out", tmp_path / "Dataset"
    shutil.copytree(built[0], out)
    shutil.copytree(built[0].parent / "Dataset", pieces)
    kept = {p.name: p.read_bytes() for p in (out / "shards").iterdir()}
    (pieces / TROMBONE / f"Notes_3_tpt_{TROMBONE}.txt").write_text("0 98 4\n4.5 65 0.5\n")
    (pieces / WRONG_NOTES / f"Notes_2_fl_{WRONG_NOTES}.txt").write_text("1 523 2\n3 523 1\n")
    command = ["build", "urmp", "--source", str(pieces), "--out", str(out), *SHORT, "--json"]
    command += ["--ids", f"{RIGHT},{TROMBONE},{WRONG_NOTES}", "--workers", "1"]
    capsys.readouterr()
    assert cli.run(command) == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert stages["notes"]["run"] == 2
    assert stages["notes"]["reasons"] == {"input changed": 1, "new": 1}
    assert all(stages[name]["run"] == 0 for name in ("download", "audio", "stems", "segment"))
    dataset = avpipe.open_dataset(out)
    assert {TROMBONE, WRONG_NOTES, RIGHT} == set(dataset.index["recording"])
    for field in ("audio", "stems"):  # what was packed stays; the new piece has a shard of its own
        assert (out / f"shards/{field}-00000.h5").read_bytes() == kept[f"{field}-00000.h5"]
    assert (out / "shards/notes-00000.h5").read_bytes() != kept["notes-00000.h5"]


def test_fields_that_are_not_wanted_are_not_made(built, capsys):
    pieces = built[0].parent / "Dataset"
    command = ["build", "urmp", "--source", str(pieces), "--ids", WRONG_NOTES, *SHORT, "--json"]
    command += ["--out", str(built[0].parent / "sound"), "--workers", "1"]
    capsys.readouterr()
    assert cli.run([*command, "--fields", "audio,stems"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert "notes" not in document["stages"]
    assert document["failures"] == []
