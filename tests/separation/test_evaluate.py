"""Evaluation: fixed lists, the protocol on ensembles, scores, tables, and paired differences."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avpipe import open_dataset
from avpipe.errors import UsageError
from avpipe.separation import data, mixing, mixture_lists, scores, testsets
from avpipe.separation.evaluate import evaluate
from avpipe.separation.mixing import Mixing
from avpipe.separation.scores import Row
from sound_dataset import RATE
from untrained_run import make_run


def tone(pitch: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(RATE * seconds)) / RATE
    harmonics = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 6))
    return (0.1 * harmonics * (1 + 0.5 * np.sin(2 * np.pi * 3 * time))).astype(np.float32)


@pytest.fixture
def excerpts(tmp_path: Path) -> Path:
    """A duet of tones with published estimates of the violin and the cello."""
    folder = tmp_path / "excerpts"
    folder.mkdir()
    violin, cello = tone(600), tone(170)
    for name, signal in {
        "07_vn_orig": violin,
        "07_vc_orig": cello,
        "07_mix": violin + cello,
        "07_vn_sep": violin + 0.1 * cello,
        "07_vc_sep": cello + 0.1 * violin,
    }.items():
        soundfile.write(folder / f"{name}.wav", signal, RATE, subtype="FLOAT")
    return folder


def test_the_oracle_is_above_the_mixture_and_published_outputs_stand_beside(
    excerpts: Path, tmp_path: Path
) -> None:
    report = evaluate(["mixture", "oracle"], excerpts, out=tmp_path / "out")
    means = {name: s["all"]["sdr"]["mean"] for name, s in report.summaries.items()}
    assert means["mixture"] < means["published outputs"]
    assert means["mixture"] + 10 < means["oracle"]
    assert report.mixtures == 1
    difference = report.differences["oracle - mixture"]["si_sdr"]
    assert difference["sources"] == 2
    assert difference["low"] <= difference["mean"] <= difference["high"]
    out = tmp_path / "out"
    results = json.loads((out / "results.json").read_text())
    assert results["systems"]["oracle"]["by_sources"]["2"]["sdr"]["count"] == 2
    with (out / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {r["instrument"] for r in rows} == {"violin", "cello"}
    assert "MHU-Net, FiLM-bottleneck, ratio (thesis 5.3) | yes | 0.52" in report.table
    for name in ("sdr-oracle.png", "improvement-oracle.png", "table.md"):
        assert (out / name).stat().st_size > 0
    with pytest.raises(UsageError, match=r"results\.json exists: choose another folder"):
        evaluate(["mixture"], excerpts, out=out)
    with pytest.raises(UsageError, match="holds mixtures of its own: a list of mixtures"):
        evaluate(["mixture"], excerpts, mixture_list=out / "list.csv")


def urmp(folder: Path, name: str, tracks: list[np.ndarray]) -> None:
    number, title, *players = name.split("_")
    piece = folder / name
    piece.mkdir(parents=True)
    soundfile.write(piece / f"AuMix_{name}.wav", sum(tracks), RATE, subtype="FLOAT")
    for k, (player, track) in enumerate(zip(players, tracks, strict=True), 1):
        short = "tpt" if number == "15" else player
        soundfile.write(
            piece / f"AuSep_{k}_{short}_{number}_{title}.wav", track, RATE, subtype="FLOAT"
        )


def test_urmp_tracks_of_one_instrument_are_added_up_and_its_quirks_resolved(tmp_path: Path) -> None:
    urmp(tmp_path, "02_Sonata_vn_vn", [tone(400), tone(500)])
    urmp(tmp_path, "12_Spring_vn_vn_vc", [tone(400), tone(500), tone(200)])
    urmp(tmp_path, "15_Surprise_tpt_tpt_tbn", [tone(400), tone(500), tone(200)])
    pieces = {piece.name: piece for piece in testsets.ensembles(tmp_path, RATE)}
    assert set(pieces) == {"12_Spring_vn_vn_vc", "15_Surprise_tpt_tpt_tbn"}
    spring = pieces["12_Spring_vn_vn_vc"].sources
    assert set(spring) == {"violin", "cello"}
    np.testing.assert_allclose(spring["violin"], tone(400) + tone(500), atol=1e-6)
    assert set(pieces["15_Surprise_tpt_tpt_tbn"].sources) == {"trumpet", "trombone"}


def test_a_piece_with_a_track_missing_is_named_with_what_to_do(tmp_path: Path) -> None:
    urmp(tmp_path, "12_Spring_vn_vn_vc", [tone(400), tone(500), tone(200)])
    next(tmp_path.glob("*/AuSep_2_*")).unlink()
    with pytest.raises(UsageError, match=r"has 2 tracks .* 3 players \(vn vn vc\): add what is"):
        list(testsets.ensembles(tmp_path, RATE))


def test_segments_are_consecutive_and_the_incomplete_last_one_is_dropped() -> None:
    piece = testsets.Piece("p", tone(300), {"violin": tone(300)}, {}, {})
    parts = list(piece.segments(5_000))
    assert [p.name for p in parts] == ["p#0", "p#1"]
    np.testing.assert_array_equal(parts[1].sources["violin"], tone(300)[5_000:10_000])


def test_folders_and_lists_that_cannot_be_used_are_one_clear_line(
    notes: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="has no pieces of two or more instruments"):
        evaluate(["mixture"], tmp_path)
    with pytest.raises(UsageError, match="nowhere does not exist: name a built dataset"):
        evaluate(["mixture"], tmp_path / "nowhere")
    with pytest.raises(UsageError, match="nothing to evaluate"):
        evaluate([], notes)
    with pytest.raises(UsageError, match="is not a training"):
        evaluate([tmp_path], notes)
    with pytest.raises(UsageError, match="bassoon was not in the training, which knows"):
        evaluate([make_run(tmp_path / "run")], notes, mixing=Mixing(3, 3), mixtures=1)
    listed = tmp_path / "list.csv"
    listed.write_text("mixture,recording,start_frame,first_sample,category,gain\n0,x,0,0,flute,1\n")
    with pytest.raises(UsageError, match=r"\('x', 0\) is neither a column nor a segment"):
        evaluate(["mixture"], notes, mixture_list=listed)
    with pytest.raises(UsageError, match="is not a list of mixtures"):
        evaluate(["mixture"], notes, mixture_list=tmp_path / "none.csv")


@pytest.mark.parametrize("name", ["table.md", "mixtures.csv", "sdr-oracle.png"])
def test_no_file_of_any_name_is_overwritten(excerpts: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    with pytest.raises(UsageError, match=f"{name} exists: choose another folder"):
        evaluate(["oracle"], excerpts, out=out)
    assert [path.name for path in out.iterdir()] == [name]
    assert (out / name).read_text() == "mine"
    with pytest.raises(UsageError, match=f"{name} is no folder"):
        evaluate(["oracle"], excerpts, out=out / name)


def test_runs_of_one_name_have_plots_of_their_own(excerpts: Path, tmp_path: Path) -> None:
    same = [str(make_run(tmp_path / parent / "run", knows=("cello", "violin"))) for parent in "ab"]
    evaluate([*same, "oracle"], excerpts, out=tmp_path / "out")
    plotted = [path.name for path in (tmp_path / "out").glob("sdr-*.png")]
    assert len([name for name in plotted if name.endswith("--run.png")]) == 2
    assert "sdr-oracle.png" in plotted


def test_instruments_that_do_not_play_are_spelled_as_those_that_do(
    notes: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run", knows=("Bassoon", "Flute", "Tuba"))
    report = evaluate([run], notes, mixtures=4)
    assert set(report.summaries[str(run)]["by_instrument"]) == {"bassoon", "flute", "tuba"}
    assert report.summaries[str(run)]["by_instrument"]["tuba"]["pes"]["count"]


def test_segments_are_for_ensembles_that_are_as_long(
    notes: Path, excerpts: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="segments are cut of ensembles"):
        evaluate(["mixture"], notes, segment_samples=65_535)
    with pytest.raises(UsageError, match="has 65535 samples"):
        evaluate(["mixture"], excerpts, segment_samples=65_535)
    with pytest.raises(UsageError, match="segments of 0 samples: must be at least 1"):
        evaluate(["mixture"], excerpts, segment_samples=0)


def test_the_end_of_a_piece_that_fills_no_segment_is_counted(excerpts: Path) -> None:
    report = evaluate(["oracle"], excerpts, segment_samples=RATE // 3 - 600)
    assert report.mixtures == 3
    seconds = (RATE - 3 * (RATE // 3 - 600)) / RATE
    assert report.facts()["cut_off"] == {"pieces": 1, "seconds": pytest.approx(seconds)}
    assert f"- the ends of 1 pieces, {seconds:.1f} s in all, are shorter than" in report.table
    whole = evaluate(["oracle"], excerpts)
    assert whole.facts()["cut_off"] == {"pieces": 0, "seconds": 0}
    assert "- 0 of 1 mixtures without SDR, SIR and SAR" in whole.table


def test_a_published_list_gives_the_same_mixtures_again(notes: Path, tmp_path: Path) -> None:
    how = Mixing(fewest=2, most=3, combine="sum", gain=(0.5, 1.0))
    first = evaluate(["mixture"], notes, out=tmp_path / "a", mixing=how, mixtures=3)
    listed = tmp_path / "a" / "mixtures.csv"
    again = evaluate(["mixture"], notes, mixing=how, mixture_list=listed)
    assert str(again.rows) == str(first.rows)  # nan is not equal to itself
    bank = data.load(open_dataset(notes), "test", (), RATE, 65_535)
    drawn = mixing.draw(bank, how, 3, 0, 0)
    read, missing = mixture_lists.read_list(bank, listed)
    assert missing == 0
    np.testing.assert_array_equal(read.first_samples, drawn.first_samples)
    sounding = drawn.segments >= 0
    np.testing.assert_array_equal(read.gains[sounding], drawn.gains[sounding])


def test_the_table_has_a_column_an_instrument_and_a_number_of_sources(
    notes: Path, tmp_path: Path
) -> None:
    how = Mixing(fewest=2, most=3, combine="sum")
    report = evaluate(["mixture", "oracle"], notes, mixing=how, mixtures=6)
    lines = report.table.splitlines()
    assert "| SDR | bassoon | flute | tuba |" in lines
    assert "| SDR | 2 sources | 3 sources |" in lines
    duets = report.summaries["oracle"]["by_sources"]["2"]["sdr"]
    cell = f"{duets['mean']:.2f} ± {duets['std']:.2f} ({duets['median']:.2f})"
    assert any(line.startswith("| oracle |") and cell in line for line in lines)
    gain = report.differences["oracle - mixture"]["sdr"]
    assert f"- oracle - mixture: SDR {gain['mean']:+.2f} dB, 95 % interval" in report.table


def test_the_protocol_of_the_thesis_counts_the_segments_that_it_drops(tmp_path: Path) -> None:
    violin, cello = tone(600, 4), tone(170, 4)
    cello[: 2 * RATE] = 0
    urmp(tmp_path, "01_Duet_vn_vc", [violin, cello])
    report = evaluate(["oracle"], tmp_path, segment_samples=RATE)
    assert report.mixtures == 4
    assert report.dropped["oracle"] == {"a source is silent": 2}
    assert report.summaries["oracle"]["all"]["sdr"]["count"] == 4
    assert "- oracle: 2 of 4 mixtures without SDR, SIR and SAR: a source is silent" in report.table


def test_scores_say_what_is_silent_and_why_sdr_is_missing() -> None:
    violin, cello, silence = tone(600), tone(170), np.zeros(RATE, np.float32)
    mixture = violin + cello
    sources = {"violin": violin, "cello": cello}
    rows, reason = scores.score("m", mixture, sources, {"violin": silence, "cello": cello})
    assert reason == "an estimate is silent"
    assert np.isnan(rows[0].sdr)
    assert rows[0].eps == pytest.approx(10 * np.log10((violin**2).sum()), abs=1e-4)
    assert np.isnan(rows[0].si_sdr)
    assert rows[1].si_sdr > 70

    rows, reason = scores.score("m", mixture, {"violin": silence, "cello": cello}, sources)
    assert reason == "a source is silent"
    assert rows[0].pes == pytest.approx(10 * np.log10((violin**2).sum()), abs=1e-4)

    rows, reason = scores.score("m", mixture, sources, {**sources, "tuba": silence, "oboe": violin})
    assert reason is None
    by_name = {row.instrument: row for row in rows}
    assert by_name["tuba"].pes == pytest.approx(-80)
    assert np.isnan(by_name["tuba"].pes_published)
    assert by_name["oboe"].pes == by_name["oboe"].pes_published > 0
    assert np.isnan(by_name["oboe"].sdr)
    found = scores.summary(rows)["all"]
    assert found["sdr"]["count"] == 2
    assert (found["pes"]["count"], found["pes_published"]["count"]) == (2, 1)


def test_a_paired_difference_has_an_interval_around_its_mean() -> None:
    random = np.random.default_rng(0)
    first, second = [], []
    for i in range(60):
        for instrument in ("a", "b"):
            level = float(random.normal(0, 5))
            first.append(Row(f"m{i}", instrument, 2, sdr=level))
            second.append(Row(f"m{i}", instrument, 2, sdr=level + float(random.normal(1, 0.5))))
    second.append(Row("m0", "c", 2, sdr=100.0))
    second.append(Row("m1", "b", 2))
    found = scores.paired_difference(first, second, "sdr")
    assert (found["sources"], found["mixtures"]) == (120, 60)
    assert found["low"] < 1 < found["high"]
    assert found["high"] - found["low"] < 0.4
    assert np.isnan(scores.paired_difference(first, second, "pes")["mean"])
