"""What commands print: facts to stdout, everything else to stderr."""

import sys
from typing import Annotated, Any

import typer

from avpipe import jsontext

_FILE_COLUMNS = 140
"""Width of a table that goes to a file or a pipe."""

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def error(text: str) -> None:
    """One line on stderr."""
    print(f"avpipe: {' '.join(text.split())}", file=sys.stderr)  # noqa: T201


def warning(message: Warning | str, *_: object, **__: object) -> None:
    """The same for a Python warning, in place of `warnings.showwarning`."""
    error(f"warning: {message}")


def document(value: Any) -> None:
    """The JSON document of `--json`."""
    sys.stdout.write(jsontext.dumps(value) + "\n")


def text(value: str = "") -> None:
    """Plain text on stdout."""
    sys.stdout.write(value + "\n")


def count(number: int, noun: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """A table on stdout; columns whose cells are numbers are flushed right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(header_style="bold")
    for i, name in enumerate(columns):
        numeric = all(isinstance(row[i], int | float) or row[i] in ("", None) for row in rows)
        grid.add_column(name, justify="right" if numeric and rows else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text("" if cell is None else _cell(cell)) for cell in row))
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console.width = max(console.width, _FILE_COLUMNS)
    if title:
        console.print(Text(title, style="italic"), soft_wrap=True)
    console.print(grid)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
