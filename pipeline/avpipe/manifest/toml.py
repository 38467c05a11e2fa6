"""Writes the TOML of a manifest: texts, numbers, lists and tables.

The standard library reads TOML and does not write it.
"""

import json
import re
from collections.abc import Mapping
from typing import Any


def write(values: Mapping[str, Any]) -> str:
    """The TOML text of `values`: plain keys first, then a section for every table."""
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    tables = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    sections = ["".join(_lines(plain))]
    sections += [f"[{_key(name)}]\n{''.join(_lines(table))}" for name, table in tables.items()]
    return "\n".join(sections)


def _lines(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}\n" for key, value in table.items()]


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    # What JSON writes for a text, a number or a truth value is TOML, but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
