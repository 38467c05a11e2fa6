"""Finds and reads a manifest: TOML, checked against the schema, and its CSV."""

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avpipe import resources
from avpipe.errors import ManifestError, UsageError
from avpipe.manifest import schema
from avpipe.manifest.model import Manifest, Problem
from avpipe.manifest.rows import RowReader
from avpipe.manifest.words import bad_source
from avpipe.types import Recording


def names() -> list[str]:
    """The datasets that avpipe ships, by name."""
    return sorted(path.stem for path in resources.folder("manifests").glob("*.toml"))


def find(dataset: str | Path) -> Path:
    """The TOML file of a dataset.

    Args:
        dataset: a name in `manifests/`, or the path of a manifest.

    Raises:
        UsageError: there is no such dataset.
    """
    path = Path(dataset).expanduser()
    if path.suffix == ".toml" or len(path.parts) > 1:
        if path.is_file():
            return path
        raise UsageError(f"there is no file {path}: give its path or a name ({', '.join(names())})")
    shipped = names()
    if str(dataset) in shipped:
        return resources.folder("manifests") / f"{dataset}.toml"
    near = difflib.get_close_matches(str(dataset).lower(), shipped, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(shipped)}"
    raise UsageError(f"unknown dataset {str(dataset)!r}: {hint} (or give the path of a manifest)")


def read_manifest(dataset: str | Path, *, skip_bad_rows: bool = False) -> Manifest:
    """The dataset that a manifest defines.

    Args:
        dataset: a name in `manifests/`, or the path of a manifest.
        skip_bad_rows: leave out rows that are wrong and name them in `Manifest.skipped`,
            instead of refusing the manifest.

    Raises:
        UsageError: there is no such dataset.
        ManifestError: it is wrong; one line that names file, row, key, value and what is allowed.
    """
    manifest, wrong_toml, wrong_rows = _read(find(dataset))
    wrong = wrong_toml if skip_bad_rows else [*wrong_toml, *wrong_rows]
    if not wrong and manifest is not None and not manifest.recordings:
        wrong = wrong_rows
    if wrong or manifest is None:
        more = f" (and {len(wrong) - 1} more: avpipe manifest check)" if len(wrong) > 1 else ""
        raise ManifestError(f"{wrong[0]}{more}")
    return manifest


def check(dataset: str | Path) -> list[Problem]:
    """Every problem of a manifest, in the order of its files; empty if it builds.

    Raises:
        UsageError: there is no such dataset.
        ManifestError: a file cannot be read as TOML or CSV at all.
    """
    _, wrong_toml, wrong_rows = _read(find(dataset))
    return [*wrong_toml, *wrong_rows]


def _read(path: Path) -> tuple[Manifest | None, list[Problem], list[Problem]]:
    """The manifest without its wrong rows, the problems of the TOML, those of the rows.

    The manifest is None if the TOML file has problems.
    """
    text, values = _toml(path)
    wrong = schema.problems(values, text, path) or _beyond_schema(path, values)
    if wrong:
        return None, wrong, []
    declared = values.get("categories", [])
    reader = RowReader(
        path.parent / values["recordings"], categories=declared, serves="serve" in values
    )
    recordings = reader.read()
    manifest = _manifest(path, values, recordings, reader.problems)
    return manifest, [], reader.problems


def _toml(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return text, tomllib.loads(text)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: byte {error.start} is not UTF-8: save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{path}: not TOML: {error}") from error


def _beyond_schema(path: Path, values: dict[str, Any]) -> list[Problem]:
    """What a JSON Schema cannot say: the source's form, and that the files are there."""
    found = []
    if "source" in values and (reason := bad_source(values["source"])):
        found.append(Problem(str(path), None, "source", values["source"], reason))
    for key in ("recordings", "serve", "reference"):
        if key not in values:
            continue
        reason = _bad_path(path.parent, values[key], folder=key == "serve")
        if reason:
            found.append(Problem(str(path), None, key, values[key], reason))
    return found


def _bad_path(base: Path, relative: str, *, folder: bool) -> str | None:
    path = base / relative
    if not path.resolve().is_relative_to(base.resolve()):
        return f"must stay inside the manifest's folder {base}"
    if folder:
        return None if path.is_dir() else f"there is no folder {path}"
    return None if path.is_file() else f"there is no file {path}"


def _manifest(
    path: Path, values: dict[str, Any], recordings: Sequence[Recording], skipped: list[Problem]
) -> Manifest:
    occurring = dict.fromkeys(recording.category for recording in recordings)
    source = values.get("source")
    if source is not None and source != "youtube" and "://" not in source:
        source = str((path.parent / Path(source).expanduser()).resolve())
    return Manifest(
        path=path.resolve(),
        name=values["name"],
        title=values["title"],
        licence=values["licence"],
        citation=values["citation"],
        recordings=tuple(recordings),
        fps=values["fps"],
        sample_rate=values["sample_rate"],
        fields=tuple(values["fields"]),
        source=source,
        list_licence=values.get("list_licence"),
        homepage=values.get("homepage"),
        notes=values.get("notes"),
        categories=tuple(values.get("categories", occurring)),
        allow_missing=tuple(values.get("allow_missing", ())),
        serve=(path.parent / values["serve"]).resolve() if "serve" in values else None,
        keep=values.get("keep", "source"),
        require_licence=values.get("require_licence"),
        reference=(path.parent / values["reference"]).resolve() if "reference" in values else None,
        published=values.get("published", {}),
        tables={name: values[name] for name in schema.stage_tables() if name in values},
        skipped=tuple(skipped),
    )
