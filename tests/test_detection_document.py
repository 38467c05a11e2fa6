"""The document on detection holds the very tables of the last measurement, beside their picture."""

import json
from pathlib import Path

import pytest
from PIL import Image

CHECKOUT = Path(__file__).parents[1]
DOCUMENT = (CHECKOUT / "docs" / "detection.md").read_text()


def test_the_tables_are_those_of_the_last_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(CHECKOUT / "benchmarks"))
    from hand_recall import tables

    measured = json.loads((CHECKOUT / "benchmarks" / "results" / "hand_recall.json").read_text())
    assert f"\n{tables(measured)}\n" in DOCUMENT


def test_the_table_of_several_players_is_that_of_the_last_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(CHECKOUT / "benchmarks"))
    from ensemble import table

    measured = json.loads((CHECKOUT / "benchmarks" / "results" / "ensemble.json").read_text())
    assert f"\n{table(measured)}\n" in DOCUMENT


def test_the_table_of_poor_pictures_is_that_of_the_last_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(CHECKOUT / "benchmarks"))
    from robustness import table

    measured = json.loads((CHECKOUT / "benchmarks" / "results" / "robustness.json").read_text())
    assert f"\n{table(measured)}\n" in DOCUMENT


def test_the_picture_is_there() -> None:
    assert "](hands.jpg)" in DOCUMENT
    with Image.open(CHECKOUT / "docs" / "hands.jpg") as picture:
        assert picture.width >= 900
