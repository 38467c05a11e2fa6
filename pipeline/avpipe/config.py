"""Parameters: a frozen dataclass beside each stage or detector, overridden by a table of the
same name in the manifest or by `--set stage.param=value`. An unknown key or a wrong type is an
error that says what is allowed.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from avpipe.errors import UsageError


def runtime_only(default: Any) -> Any:
    """A parameter that does not change the output (a device, a proxy): it is not in any key."""
    if isinstance(default, dict | list):
        return dataclasses.field(default_factory=lambda: default.copy(), metadata={"key": False})
    return dataclasses.field(default=default, metadata={"key": False})


def key_parameters(config: Any) -> dict[str, Any]:
    """The parameters that change the output, for the key."""
    return {
        f.name: getattr(config, f.name)
        for f in dataclasses.fields(config)
        if f.metadata.get("key", True)
    }


def configure(cls: type[Any], values: Mapping[str, Any], where: str) -> Any:
    """`cls(**values)` with every key and type checked.

    Args:
        cls: a dataclass.
        values: parameters as TOML or `--set` gives them.
        where: how to name the table in an error, e.g. `demo.toml [segment]`.
    """
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}
    for name in values:
        if name not in known:
            raise UsageError(
                f"{where}: unknown parameter {name!r}; it has {', '.join(sorted(known)) or 'none'}"
            )
    checked = {
        name: _coerce(value, hints[name], f"{where} {name}") for name, value in values.items()
    }
    try:
        return cls(**checked)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: {error}") from error


def _coerce(value: Any, hint: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _coerce(value, next(a for a in args if a is not type(None)), where)
    if origin is typing.Literal:
        if value not in args:
            raise UsageError(f"{where} = {value!r}: must be one of {', '.join(map(str, args))}")
        return value
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_coerce(v, args[0], where) for v in value)
    expected = origin or hint
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if expected is Any or (
        isinstance(value, expected) and not (expected is int and isinstance(value, bool))
    ):
        return value
    wanted = "a list as in [8,16]" if origin is tuple else getattr(expected, "__name__", expected)
    raise UsageError(f"{where} = {value!r}: must be {wanted}, not {type(value).__name__}")
