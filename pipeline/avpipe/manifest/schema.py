"""The TOML file of a manifest against `schemas/manifest.schema.json`, in words.

`jsonschema` finds what is wrong; this module says it in one line with the file's row, the key, the
value and what is allowed.
"""

import difflib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from avpipe import resources
from avpipe.manifest.model import Problem

_PARAMETERS = "#/$defs/parameters"

_TYPES = {
    "string": "text in quotes",
    "number": "a number",
    "integer": "a whole number",
    "array": "a list [...]",
    "object": "a table",
    "boolean": "true or false",
}


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of a manifest's TOML file."""
    text = (resources.folder("schemas") / "manifest.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def stage_tables() -> list[str]:
    """Names of the tables of parameters: the stages, and `limits`."""
    return [n for n, about in schema()["properties"].items() if about.get("$ref") == _PARAMETERS]


def problems(values: Mapping[str, Any], text: str, path: Path) -> list[Problem]:
    """What the schema finds wrong.

    Args:
        values: the TOML file's content.
        text: the TOML file as text, to find the rows.
        path: its path, for the messages.
    """
    from jsonschema import Draft202012Validator

    found = []
    for error in Draft202012Validator(schema()).iter_errors(values):
        for keys, value, reason in _explain(error):
            found.append(Problem(str(path), _row(text, keys), ".".join(keys), value, reason))
    return sorted(found, key=lambda problem: (problem.row or 0, problem.key))


def _explain(error: Any) -> list[tuple[list[str], Any, str]]:
    """(keys, value, reason) for one finding of jsonschema; several for several unknown keys."""
    keys = [str(part) for part in error.absolute_path]
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        name = next(name for name in missing if repr(name) in error.message)
        about = error.schema["properties"].get(name, {}).get("description", "")
        return [([*keys, name], None, f"is missing; it is required: {about}")]
    if error.validator == "additionalProperties":
        known = sorted(error.schema["properties"])
        unknown = [name for name in error.instance if name not in known]
        return [([*keys, n], error.instance[n], _not_a_key(n, known)) for n in unknown]
    if error.validator == "type":
        wanted = error.validator_value
        wanted = [wanted] if isinstance(wanted, str) else wanted
        return [(keys, error.instance, f"must be {' or '.join(_TYPES[w] for w in wanted)}")]
    if error.validator == "enum":
        allowed = ", ".join(map(str, error.validator_value))
        return [(keys, error.instance, f"must be one of {allowed}")]
    about = error.schema.get("description", "")
    limits = {
        "minimum": f"must be at least {error.validator_value}",
        "exclusiveMinimum": f"must be more than {error.validator_value}",
        "maximum": f"must be at most {error.validator_value}",
        "minLength": "must not be empty",
        "minItems": "must not be empty",
        "uniqueItems": "must not name anything twice",
    }
    reason = limits.get(error.validator, "is not allowed")
    return [(keys, error.instance, f"{reason}: {about}" if about else reason)]


def _not_a_key(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(known)}"
    return f"unknown key; {hint}"


def _row(text: str, keys: list[str]) -> int | None:
    """Line on which a top-level key or the table that holds the key begins; None if not found."""
    name = re.escape(keys[0])
    pattern = re.compile(rf"""^\s*(["']?{name}["']?\s*=|\[+\s*["']?{name}["']?\s*[\].])""")
    for number, line in enumerate(text.splitlines(), 1):
        if pattern.match(line):
            return number
    return None
