"""Separator families: one file a family, the folder is the registry.

A family is a module (file `music_gesture.py` = name `music-gesture`) with

    Config   frozen dataclass: its parameters with defaults, a docstring under each
    create   (config) -> Separator (`avpipe.separation.interface`)
    PUBLIC   name of a published network -> () -> that bare network, untrained, whose state-dict
             keys are the original project's
"""

import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from avpipe.config import configure
from avpipe.errors import ToolMissing, UsageError

if TYPE_CHECKING:
    from torch import nn

    from avpipe.separation.interface import Separator


def names() -> tuple[str, ...]:
    """All separators."""
    return tuple(
        sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__) if m.name[0] != "_")
    )


def module(name: str) -> Any:
    """The module of separator `name`."""
    if name not in names():
        raise UsageError(f"unknown separator {name!r}; there are {', '.join(names())}")
    try:
        return import_module(f"{__name__}.{name.replace('-', '_')}")
    except ModuleNotFoundError as error:
        if error.name in ("torch", "torchvision"):
            raise ToolMissing(
                f"separator {name} needs {error.name}: pip install 'avpipe[train]'"
            ) from error
        raise


def create(name: str, options: Mapping[str, Any]) -> "Separator":
    """A fresh separator with `options` as its Config."""
    family = module(name)
    separator: Separator = family.create(configure(family.Config, options, f"separator {name}"))
    return separator


def public() -> "dict[str, Callable[[], nn.Module]]":
    """Every published network whose checkpoints can be loaded, and how to make it."""
    return {key: make for name in names() for key, make in module(name).PUBLIC.items()}
