"""Where a built dataset is: the argument of every command that looks at one."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avpipe.cli import output
from avpipe.cli.options import read_rest
from avpipe.errors import UsageError
from avpipe.lock import holder

if TYPE_CHECKING:
    from avpipe.manifest import Manifest

Place = Annotated[
    str, typer.Argument(metavar="DATASET", help="Its folder, name or manifest (then data/<name>).")
]
Built = Annotated[
    str,
    typer.Argument(metavar="DATASET", help="A name, a manifest's path, or its folder once built."),
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the dataset.")]


def find(place: str, out: Path | None = None) -> Path:
    """The folder of a built dataset.

    Raises:
        UsageError: there is none.
    """
    candidates = [out] if out else list(dict.fromkeys((Path(place), Path("data") / _name(place))))
    for folder in candidates:
        if (folder / "ledger.sqlite").exists() or (folder / "MANIFEST.json").exists():
            return folder.absolute()
    looked = " nor ".join(str(folder) for folder in candidates)
    near = _like(place)
    remedy = f"did you mean {near}?" if near else f"run `avpipe build {place}` first"
    raise UsageError(f"nothing has been built in {looked}: {remedy}")


def built(dataset: str, out: Path | None = None) -> "tuple[Manifest, Path]":
    """The manifest of a dataset and where it was built.

    Args:
        dataset: a name, a manifest, or the folder of a built dataset.
        out: its folder, if it is not `data/<name>`.

    Raises:
        UsageError: there is none.
    """
    from avpipe.report.facts import manifest_of

    if out is None and Path(dataset).is_dir():
        folder = find(dataset)
        return manifest_of(folder), folder
    manifest = read_rest(dataset)
    return manifest, find(manifest.name, out)


def warn_if_in_use(folder: Path) -> None:
    """Says so where somebody is at work in a folder of which it was asked what would go."""
    if (who := holder(folder)) is not None:
        output.warning(f"{folder} is in use by {who}: what would go may change")


def _name(place: str) -> str:
    """What a dataset is called whose name or manifest was given."""
    if not place.endswith(".toml"):
        return Path(place).name
    from avpipe.manifest import read_definition

    return read_definition(place).name


def _like(place: str) -> str | None:
    """A name that may have been meant: of a dataset that is built, or can be."""
    from avpipe.manifest import names

    known = {*names(), *(path.parent.name for path in Path("data").glob("*/ledger.sqlite"))}
    if place in known or Path(place).exists():
        return None
    return next(iter(difflib.get_close_matches(place, sorted(known), 1)), None)
