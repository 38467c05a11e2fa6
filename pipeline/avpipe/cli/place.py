"""Where a built dataset is: the argument of every command that looks at one."""

from pathlib import Path
from typing import Annotated

import typer

from avpipe.errors import UsageError

Place = Annotated[
    str, typer.Argument(metavar="DATASET", help="Its folder, or its name (then data/<name>).")
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the dataset.")]


def find(place: str, out: Path | None = None) -> Path:
    """The folder of a built dataset.

    Raises:
        UsageError: there is none.
    """
    candidates = (
        [out] if out else list(dict.fromkeys((Path(place), Path("data") / Path(place).stem)))
    )
    for folder in candidates:
        if (folder / "ledger.sqlite").exists() or (folder / "MANIFEST.json").exists():
            return folder.absolute()
    looked = " nor ".join(str(folder) for folder in candidates)
    raise UsageError(f"nothing has been built in {looked}: run `avpipe build {place}` first")
