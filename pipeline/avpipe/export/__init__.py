"""Built datasets in the formats of other tools: one file a format, the folder is the list.

A format is a module with `write(dataset, out)`, which fills an empty folder clip by clip, so that
any dataset fits into memory. Every export has `LICENCES.csv`, a row a recording, and
`CITATION.txt`; and the dataset remembers where it went (`avpipe.lists.uses`).
"""

import csv
import pkgutil
import shutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from avpipe.errors import UsageError
from avpipe.lists import uses

if TYPE_CHECKING:
    from avpipe.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    out: Path
    clips: int
    files: int
    bytes: int


def formats() -> tuple[str, ...]:
    """All formats."""
    names = (m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__) if m.name[0] != "_")
    return tuple(sorted(names))


def export(dataset: "Dataset", to: str, out: Path) -> Exported:
    """Writes a dataset in another format; the folder is complete or not there.

    Args:
        dataset: what to write.
        to: a name of `formats()`.
        out: a folder that does not exist, or is empty.

    Raises:
        UsageError: there is no such format, the folder holds something, or the dataset lacks what
            the format is for.
    """
    if to not in formats():
        raise UsageError(f"--to {to}: must be one of {', '.join(formats())}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty: choose another folder")
    partial = out.absolute().with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _licences(dataset, partial)
        import_module(f"{__name__}.{to.replace('-', '_')}").write(dataset, partial)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    uses.note(dataset.path, "export", out, set(dataset.index["recording"]))
    files = [path for path in out.rglob("*") if path.is_file()]
    return Exported(out, len(dataset), len(files), sum(path.stat().st_size for path in files))


def _licences(dataset: "Dataset", out: Path) -> None:
    rows = dataset.index.drop_duplicates("recording")
    with (out / "LICENCES.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("recording", "category", "licence"))
        writer.writerows(zip(rows["recording"], rows["category"], rows["licence"], strict=True))
    facts = dataset.manifest.dataset
    text = f"{facts['title']}\n{facts['licence']}\n\n{facts['citation'].strip()}\n"
    (out / "CITATION.txt").write_text(text, encoding="utf-8")
