"""Finds the data folders (manifests, schemas, workers) in a wheel or in a checkout."""

from functools import cache
from pathlib import Path

from avpipe.errors import AvpipeError


@cache
def folder(name: str) -> Path:
    """The folder `name` (`manifests`, `schemas` or `workers`).

    A wheel carries it as `avpipe/data/<name>`; a checkout has it beside `pipeline/`.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / "data" / name, package.parents[1] / name):
        if candidate.is_dir():
            return candidate
    raise AvpipeError(f"data folder {name!r} is not installed beside {package}: reinstall avpipe")
