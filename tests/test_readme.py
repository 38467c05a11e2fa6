"""The README and docs say what is there: commands, paths and figures are compared with it."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from avpipe import cli
from avpipe.dag import FIELDS
from avpipe.errors import FailureClass

CHECKOUT = Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text()
CONTRIBUTING = (CHECKOUT / "CONTRIBUTING.md").read_text()
MANIFESTS = (CHECKOUT / "manifests" / "README.md").read_text()
STORAGE = (CHECKOUT / "docs" / "storage.md").read_text()
RUNNING = (CHECKOUT / "docs" / "running.md").read_text()
TRAINING = (CHECKOUT / "docs" / "training.md").read_text()
EXAMPLES = README + MANIFESTS + RUNNING + TRAINING


def commands() -> dict[str, str]:
    """Name -> first sentence of the help of every command."""
    group: Any = typer.main.get_command(cli.app)
    return {
        name: " ".join(re.split(r"\n\n|(?<=[a-z])[.;:] ", command.help or "")[0].split()).rstrip(
            "."
        )
        for name, command in group.commands.items()
    }


def test_the_table_of_commands_is_what_the_help_says() -> None:
    table = "\n".join(f"| `avpipe {name}` | {what} |" for name, what in commands().items())
    assert table in README, f"the README's table should be\n{table}"


@pytest.mark.parametrize("line", re.findall(r"^    (avpipe .*)$", EXAMPLES, re.MULTILINE))
def test_every_example_names_a_command_and_its_options(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = line.split("#")[0].split()
    assert words[1] in commands()
    named = words[1:3] if words[1] == "manifest" else words[1:2]
    assert cli.run([*named, "--help"]) == 0
    shown = capsys.readouterr().out
    for option in (word for word in words if word.startswith("--")):
        assert option in shown


def test_every_field_of_a_dataset_is_described() -> None:
    table = "\n".join(re.findall(r"^\| `.*$", MANIFESTS, re.MULTILINE))
    assert [name for name in FIELDS if f"`{name}`" not in table] == []


def test_every_failure_class_is_described_with_whether_it_is_tried_again() -> None:
    told = {
        name: again == "yes"
        for names, again in re.findall(r"^\| (`.*?`) \|.*\| (yes|no) \|$", RUNNING, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    assert told == {failure.value: not failure.permanent for failure in FailureClass}


@pytest.mark.parametrize("text", [README, CONTRIBUTING, STORAGE, RUNNING])
def test_every_path_in_the_prose_exists(text: str) -> None:
    named = set(
        re.findall(
            r"`((?:pipeline|manifests|schemas|workers|docker|tests|benchmarks)/[\w./]*)`", text
        )
    )
    named |= set(re.findall(r"\]\(([\w./-]+)\)", text))
    assert named
    assert [path for path in sorted(named) if not (CHECKOUT / path).exists()] == []


def test_every_folder_and_module_of_the_code_is_on_the_map() -> None:
    rows = re.findall(r"^\| (`\w+[./].*?) \|", CONTRIBUTING, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+(?:/|\.py))`", row)}
    code = CHECKOUT / "pipeline" / "avpipe"
    folders = {f"{path.parent.name}/" for path in code.glob("*/__init__.py")}
    assert named == folders | {path.name for path in code.glob("[a-z]*.py")}


@pytest.mark.parametrize("package", ["engine", "report"])
def test_a_folder_that_says_what_is_in_it_names_every_module(package: str) -> None:
    folder = CHECKOUT / "pipeline" / "avpipe" / package
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert modules <= set(re.findall(r"`(\w+)`", said))


@pytest.mark.parametrize(
    "target", re.findall(r"^    make (\w+)", README + CONTRIBUTING, re.MULTILINE)
)
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", re.findall(r"^\| .* \| `(\w+)\.json` \|$", README, re.MULTILINE))
def test_every_measured_claim_has_a_result_with_its_machine(line: str) -> None:
    result = json.loads((CHECKOUT / "benchmarks" / "results" / f"{line}.json").read_text())
    assert result["machine"]["cpu"]


def test_the_table_of_storage_is_what_was_measured() -> None:
    result = json.loads((CHECKOUT / "benchmarks" / "results" / "pack.json").read_text())
    table = "\n".join(_storage_row(way) for way in (result["declared"], *result["others"]))
    assert table in STORAGE.replace("**", ""), f"the table in docs/storage.md should be\n{table}"


def _storage_row(way: dict[str, Any]) -> str:
    chunk, filters = way["chunk_seconds"], way["filters"]
    words = f"{filters.get('compression', 'none')} {filters.get('compression_opts', '')}".rstrip()
    cells = (
        f"{chunk:g} s",
        words + (", shuffle" if filters.get("shuffle") else ""),
        f"{way['pack_megabytes_per_second']:.0f}",
        f"{way['size_ratio']:.3f}",
        f"{way['reads_per_second']:,}",
        f"{6 + chunk:g} s",
    )
    return f"| {' | '.join(cells)} |"
