"""The command line: each command is a thin call into a module, imported when it is called.

Exit status: 0 it ran to its end, and every recording is packed or permanently rejected; 1 something
that may pass is left, run again (also: interrupted, or `verify` found problems); 2 a usage error,
one line; 3 more than `--max-failed` failed. With `--json` one document goes to stdout and
everything else to stderr.
"""

import sys
import warnings

import typer

from avpipe.cli import (
    build,
    datasets,
    export,
    facts,
    lists,
    looking,
    maintenance,
    media,
    output,
    separation,
    statistics,
)
from avpipe.errors import AvpipeError, Interrupted, Locked, is_full

app = typer.Typer(
    name="avpipe",
    help="Audio-visual music datasets: from a list of ids to verified HDF5 shards, and separators"
    " trained on them.",
    epilog="Start with: avpipe build demo",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (
    build, datasets, facts, statistics, media, looking, maintenance, lists, export, separation
):  # fmt: skip
    group.register(app)


_Refused: type[Exception] = next(
    cls
    for cls in typer.BadParameter.__mro__
    if issubclass(cls, Exception) and cls.__name__ == "ClickException"
)
"""What a wrong command line raises (typer brings its own click in some versions)."""
_OF_TRAIN = ("lightning", "torch", "torchvision")
"""Packages of the extra `train`, which not every installation has."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `avpipe`; ends the process with the exit status."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Runs a command and returns its exit status."""
    with warnings.catch_warnings():
        warnings.showwarning = output.warning
        return _run(arguments)


def _run(arguments: list[str] | None) -> int:
    try:
        status = app(arguments or sys.argv[1:] or ["--help"], standalone_mode=False)
        return status if isinstance(status, int) else 0
    except _Refused as error:
        context = getattr(error, "ctx", None)
        where = f"; see {context.command_path} --help" if context else ""
        text = getattr(error, "format_message", error.__str__)()
        output.error(f"{text.rstrip('.')}{where}")
        return 2
    except (typer.Abort, KeyboardInterrupt):
        output.error("interrupted")
        return 1
    except (Locked, Interrupted) as error:
        output.error(str(error))
        return 1
    except AvpipeError as error:
        output.error(str(error))
        return 2
    except ModuleNotFoundError as error:
        if error.name not in _OF_TRAIN:
            raise
        output.error(f"this needs {error.name}, which is not there: pip install 'avpipe[train]'")
        return 2
    except BrokenPipeError:  # `avpipe ... | head`
        sys.stderr.close()
        return 1
    except OSError as error:  # a file or folder that the command line names, a full disk
        if error.filename is None and not is_full(error):
            raise
        place = f"{error.filename}: " if error.filename else ""
        remedy = "make room" if is_full(error) else "name another place, or see its permissions"
        output.error(f"{place}{error.strerror}: {remedy}, and run it again")
        return 1 if is_full(error) else 2
