"""Finds and reads a manifest: TOML, checked against the schema, and its CSV."""

import difflib
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from avpipe import resources
from avpipe.errors import ManifestError, UsageError
from avpipe.manifest import schema, splits
from avpipe.manifest.model import Manifest, Problem
from avpipe.manifest.rows import RowParser, read_rows
from avpipe.manifest.trust import untrusted
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
    if path.is_dir() and str(dataset) not in names():
        raise UsageError(
            f"{path} is a folder: give the name or the manifest of a dataset; where it is built is"
            " for --out"
        )
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
        UsageError: there is no such dataset, or its list has to be imported first.
        ManifestError: it is wrong; one line that names file, row, key, value and what is allowed.
    """
    definition = read_definition(dataset)
    if definition.bring_list is not None:
        raise UsageError(
            f"{definition.name} comes without its list ({definition.bring_list}); with the list:"
            f" avpipe manifest import LIST --like {definition.name}"
        )
    recordings, wrong = _rows(definition)
    if wrong and not (skip_bad_rows and recordings):
        remedy = "; build --skip-bad-rows makes the rest" if recordings else ""
        raise ManifestError(_one_line(wrong, remedy))
    if definition.split:
        recordings = splits.fill(recordings, definition.split)
    return replace(
        definition,
        recordings=tuple(recordings),
        categories=definition.categories or tuple(dict.fromkeys(r.category for r in recordings)),
        skipped=tuple(wrong),
    )


def read_definition(dataset: str | Path) -> Manifest:
    """What the TOML file says, without its recordings.

    Raises:
        UsageError: there is no such dataset.
        ManifestError: the file is wrong.
    """
    path = find(dataset)
    text, values = _toml(path)
    if wrong := _wrong(path, text, values):
        raise ManifestError(_one_line(wrong))
    return _definition(path, values)


def check(dataset: str | Path) -> list[Problem]:
    """Every problem of a manifest, in the order of its files; empty if it builds.

    Raises:
        UsageError: there is no such dataset.
        ManifestError: a file cannot be read as TOML or CSV at all.
    """
    path = find(dataset)
    text, values = _toml(path)
    if wrong := _wrong(path, text, values):
        return wrong
    definition = _definition(path, values)
    return [] if definition.bring_list is not None else _rows(definition)[1]


def _one_line(wrong: Sequence[Problem], remedy: str = "") -> str:
    more = f" (and {len(wrong) - 1} more: avpipe manifest check)" if len(wrong) > 1 else ""
    return f"{wrong[0]}{more}{remedy}"


def _rows(definition: Manifest) -> tuple[list[Recording], list[Problem]]:
    assert definition.list_file is not None
    parser = RowParser(
        str(definition.list_file),
        categories=definition.categories,
        serves=definition.serve is not None,
    )
    grouped_by = definition.split.get("by")
    recordings = read_rows(definition.list_file, parser, (grouped_by,) if grouped_by else ())
    return recordings, parser.problems


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


def _wrong(path: Path, text: str, values: dict[str, Any]) -> list[Problem]:
    """What the schema finds, or else what a JSON Schema cannot say."""
    if found := schema.problems(values, text, path):
        return found
    reasons: list[tuple[str, str]] = []
    if "source" in values and (reason := bad_source(values["source"])):
        reasons.append(("source", reason))
    if ("recordings" in values) == ("bring_list" in values):
        reasons.append(("recordings", "is missing; it is required: the CSV file of the recordings"))
    for key in ("recordings", "serve", "reference"):
        if key in values and (reason := _bad_path(path.parent, values[key], folder=key == "serve")):
            reasons.append((key, reason))
    shares = values.get("split", {}).get("parts", {"all": 1})
    if abs(sum(shares.values()) - 1) > 1e-6:
        reasons.append(("split", f"the shares in parts add up to {sum(shares.values()):g}, not 1"))
    found = [Problem(str(path), None, key, values.get(key), reason) for key, reason in reasons]
    return found + [Problem(str(path), None, *problem) for problem in untrusted(values)]


def _bad_path(base: Path, relative: str, *, folder: bool) -> str | None:
    path = base / relative
    if not path.resolve().is_relative_to(base.resolve()):
        return f"must stay inside the manifest's folder {base}"
    if folder:
        return None if path.is_dir() else f"there is no folder {path}"
    return None if path.is_file() else f"there is no file {path}"


def _definition(path: Path, values: dict[str, Any]) -> Manifest:
    base = path.parent.resolve()
    source = values.get("source")
    if source is not None and source != "youtube" and "://" not in source:
        source = str((base / Path(source).expanduser()).resolve())
    plain = ("name", "title", "licence", "citation", "fps", "sample_rate")
    optional = (
        "list_licence",
        "homepage",
        "notes",
        "bring_list",
        "labels",
        "split",
        "keep",
        "require_licence",
        "published",
    )
    return Manifest(
        path=path.resolve(),
        recordings=(),
        source=source,
        fields=tuple(values["fields"]),
        categories=tuple(values.get("categories", ())),
        allow_missing=tuple(values.get("allow_missing", ())),
        list_file=base / values["recordings"] if "recordings" in values else None,
        serve=base / values["serve"] if "serve" in values else None,
        reference=base / values["reference"] if "reference" in values else None,
        tables={name: values[name] for name in schema.stage_tables() if name in values},
        **{key: values[key] for key in plain},
        **{key: values[key] for key in optional if key in values},
    )
