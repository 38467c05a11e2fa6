"""Options that commands share: each once, and on the command line as if it were the command's."""

import inspect
from dataclasses import dataclass, fields
from typing import Annotated

import pytest
import typer

from avpipe import cli
from avpipe.cli.build import build, plan
from avpipe.cli.options import BuildOptions, spelled_out


@dataclass(frozen=True)
class Options:
    name: str
    size: Annotated[int, typer.Option(min=1)] = 3


def test_a_command_gets_its_options_as_one_value_and_shows_them_one_by_one() -> None:
    got: list[tuple[Options, bool]] = []

    @spelled_out
    def command(options: Options, loud: bool = False) -> int:
        got.append((options, loud))
        return 7

    assert list(inspect.signature(command).parameters) == ["name", "size", "loud"]
    assert command(name="a", size=2, loud=True) == 7
    assert got == [(Options("a", 2), True)]


@pytest.mark.parametrize("name", ["build", "plan"])
def test_build_and_plan_take_the_same_options_with_their_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"build": build, "plan": plan}[name]
    shared = [field.name for field in fields(BuildOptions)]
    assert list(inspect.signature(own).parameters)[: len(shared)] == shared
    assert cli.run([name, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "--set STAGE.PARAM=VALUE A parameter, over the manifest's." in shown
    assert "--retry-failed Also try again what failed permanently." in shown
