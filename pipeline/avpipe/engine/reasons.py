"""Why a stage runs again, in words: how what it is now differs from what made its last output."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_DETECTOR = "parameter detector"
_KINDS = {"parameters": "parameter", "tool": "tool", "version": "version", "stage": "stage"}


def explain(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """How two identities of a stage differ, in words; None if they do not.

    What only one of two detectors has is left out, and so are parameters that a tool repeats.
    """
    before, after = dict(_flat(old)), dict(_flat(new))
    names = before.keys() | after.keys()
    if before.get(_DETECTOR) != after.get(_DETECTOR):
        names = before.keys() & after.keys() | {_DETECTOR}
    changes, parameters = [], set()
    for name in sorted(names):
        if before.get(name) == after.get(name):
            continue
        change = f"{_short(before.get(name))} -> {_short(after.get(name))}"
        last = re.split("[ .]", name)[-1]
        if name.startswith("parameter "):
            parameters.add((last, change))
        elif (last, change) in parameters:
            continue
        changes.append(f"{name} {change}")
    return "; ".join(changes) or None


def _flat(identity: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for kind, value in identity.items():
        name = _KINDS.get(kind, kind)
        if isinstance(value, Mapping):
            yield from ((f"{name} {path}", leaf) for path, leaf in _leaves(value))
        else:
            yield name, value


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else text[:12] + "…"
