"""Duets of one instrument: a target a player, for those who see who is who."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from avpipe import cli, open_dataset
from avpipe.errors import UsageError
from avpipe.separation import data, mixture_lists, testsets
from avpipe.separation import evaluate as evaluation
from avpipe.separation.evaluate import evaluate
from avpipe.separation.interface import Context, Trainable
from avpipe.separation.look import Look
from avpipe.separation.mixing import Mixing
from avpipe.separation.sight import Sight
from avpipe.separation.spectrogram import FrontEnd
from sound_dataset import RATE, pack_sound
from untrained_run import make_run

DUETS = Mixing(categories="same", combine="sum")
SHADES = {"flute": 100, "high": 150, "low": 60}
"""Recording -> grey of its first picture; a later one is brighter by one."""
CUT = 2_250
"""Hz between what the low and the high viola play."""
PICTURES = Look(frozenset({"frames"}))


@pytest.fixture(scope="module")
def players(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two violas, one low and dark, one high and bright, and a flute."""
    noise = np.random.default_rng(0).normal(0, 2_000, (3, 7 * RATE))
    spectra, hertz = np.fft.rfft(noise), np.fft.rfftfreq(7 * RATE, 1 / RATE)
    spectra[1, hertz < CUT + 250] = spectra[2, hertz > CUT - 250] = 0
    sounds = np.fft.irfft(spectra).astype(np.int16)
    recordings = {
        name: ("flute" if name == "flute" else "viola", "test", sound)
        for name, sound in zip(SHADES, sounds, strict=True)
    }
    return pack_sound(tmp_path_factory.mktemp("players"), recordings, shades=SHADES)


class Watcher(Trainable):
    """Who is dark plays low."""

    output = "sources"
    needs = frozenset({"frames"})
    front_end = FrontEnd()

    def separate(self, mixture_BN: torch.Tensor, context: Context) -> torch.Tensor:
        spectra = torch.fft.rfft(mixture_BN).unsqueeze(1)
        low = torch.fft.rfftfreq(mixture_BN.shape[-1], 1 / RATE) < CUT
        dark = context.get("frames").float().mean((2, 3, 4, 5)) < 115
        return torch.fft.irfft(spectra * (dark.unsqueeze(2) == low), mixture_BN.shape[-1])

    example = forward = activate = parts = None  # type: ignore[assignment]


@pytest.fixture
def watcher(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a system that sees."""
    load = evaluation.load_system

    def loaded(system: str | Path, device: str):
        return (Watcher(), PICTURES) if system == "watcher" else load(system, device)

    monkeypatch.setattr(evaluation, "load_system", loaded)
    return "watcher"


def test_every_player_of_a_duet_is_scored_by_his_own_sound(
    players: Path, watcher: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    report = evaluate([watcher, "mixture"], players, out=out, mixing=DUETS, mixtures=2)
    for number in range(2):
        rows = report.rows[watcher][2 * number : 2 * number + 2]
        assert [row.player for row in rows] == ["viola-1", "viola-2"]
        assert {row.instrument for row in rows} == {"viola"}
        assert all(row.sdr > 20 for row in rows)
    found = report.differences[f"mixture - {watcher}"]["sdr"]
    assert (found["sources"], found["mixtures"]) == (4, 2)
    assert found["high"] < -15
    with (out / "scores.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["system"] == watcher]
    assert [row["player"] for row in rows] == ["viola-1", "viola-2"] * 2
    again = evaluate([watcher], players, mixing=DUETS, mixture_list=out / "mixtures.csv")
    assert str(again.rows[watcher]) == str(report.rows[watcher])


def test_the_players_are_seen_in_the_order_of_their_sounds(players: Path) -> None:
    dataset = open_dataset(players)
    bank = data.load(dataset, "test", (), RATE, FrontEnd().samples, ("frames",))
    drawn = testsets.draw(bank, DUETS, 5, seed=0)
    pieces = list(testsets.mixtures(bank, drawn, DUETS, Sight.load(dataset, bank, PICTURES)))
    orders = set()
    for piece, segments in zip(pieces, drawn.segments, strict=True):
        names = [bank.recordings[segment] for segment in segments]
        frames = piece.scene.context(PICTURES, 0.0, 5.0).frames
        dark = frames[0].float().mean((1, 2, 3, 4)) < 115
        assert dark.tolist() == [name == "low" for name in names]
        orders.add(tuple(names))
        whole = piece.by_instrument()
        np.testing.assert_allclose(whole.sources["viola"], piece.mixture, atol=1e-6)
        assert whole.scene.sources == piece.scene.sources[:1]
    assert orders == {("low", "high"), ("high", "low")}


def test_nobody_plays_with_himself(players: Path) -> None:
    bank = data.load(open_dataset(players), "test", (), RATE, FrontEnd().samples)
    for categories in ("same", "any"):
        drawn = testsets.draw(bank, Mixing(categories=categories), 20, seed=0)
        assert drawn.segments.shape == (20, 2)
        assert (drawn.segments[:, 0] != drawn.segments[:, 1]).all()
    with pytest.raises(UsageError, match="3 recordings of one category need as many to test on"):
        testsets.draw(bank, Mixing(3, 3, categories="same"), 1, seed=0)


def test_a_separator_by_labels_is_refused_duets_of_one_instrument(
    players: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(UsageError, match="cannot be scored: in every mixture all play one instr"):
        evaluate([run], players, mixing=DUETS, mixtures=2)


def test_what_a_separator_by_labels_is_not_told_is_left_out_or_scored_together(
    players: Path, watcher: str, tmp_path: Path
) -> None:
    run = str(make_run(tmp_path / "run"))
    bank = data.load(open_dataset(players), "test", (), RATE, FrontEnd().samples)
    number = {name: place for place, name in enumerate(bank.recordings)}
    mixtures = [("low", "high"), ("low", "flute"), ("low", "high", "flute")]
    listed = [[(number[name], int(bank.starts[number[name]]), 1.0) for name in m] for m in mixtures]
    path = tmp_path / "list.csv"
    mixture_lists.write_list(bank, mixture_lists._drawn(bank, listed), path)
    report = evaluate([run, "oracle"], players, mixture_list=path)
    assert report.merged == {run: 1, "oracle": 0}
    assert report.dropped[run].pop(evaluation.INDISTINCT) == 1
    assert evaluation.INDISTINCT not in report.dropped["oracle"]
    told = {(row.mixture, row.instrument, row.player) for row in report.rows[run] if row.eps > -99}
    assert {row.mixture for row in report.rows[run]} == {"00001", "00002"}
    assert all(player == "" for *_, player in told)
    assert len(report.rows["oracle"]) == 7
    assert f"- {run}: in 1 of 3 mixtures the players of an instrument are scored" in report.table
    assert f"- {run}: 1 of 3 mixtures without SDR, SIR and SAR: all play one" in report.table
    # Only the sources that both have as targets are compared.
    compared = report.differences[f"oracle - {run}"]["si_sdr"]
    assert compared["sources"] <= 3


def test_duets_are_asked_for_on_the_command_line(players: Path, capsys) -> None:
    command = ["evaluate", "mixture", "--data", str(players), "--mixtures", "1"]
    assert cli.run([*command, "--categories", "same", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["merged"] == {"mixture": 0}
    assert facts["systems"]["mixture"]["by_instrument"]["viola"]["sdr"]["count"] == 2
    assert cli.run([*command, "--categories", "alike"]) == 2
    assert "must be different, any or same" in capsys.readouterr().err
    assert cli.run([*command, "--categories", "same", "--list", "pairs.csv"]) == 2
    assert "leave --categories out" in capsys.readouterr().err
