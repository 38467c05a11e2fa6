"""Published checkpoints: read without running code from the file, checked key by key."""

import pickle
from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avpipe.errors import UsageError
from avpipe.separation import separators

SHOWN = 3
"""Keys that an error message names before it counts the rest."""
FRONT_END_BUFFERS = frozenset({"wav2sp_train.window", "sp2mel.fb", "mel2sp.fb"})
"""Constants of torchaudio transforms that Y-Net's checkpoints carry beside the weights."""
OPTIONAL = frozenset({"num_batches_tracked", "A"})
"""Last parts of keys that files may lack: counters older than torch 0.4.1, and the skeleton graph,
which is a constant."""


def load(name: str, source: str | Path | Mapping[str, Any]) -> nn.Module:
    """See `avpipe.separation.load_public_checkpoint`."""
    networks = separators.public()
    if name not in networks:
        raise UsageError(
            f"unknown public checkpoint {name!r}; there are {', '.join(sorted(networks))}"
        )
    tensors = read(source) if isinstance(source, str | Path) else dict(source)
    network = networks[name]()
    load_into(network, tensors, f"checkpoint for {name}")
    return network.eval()


def read(path: str | Path) -> dict[str, Any]:
    """The tensors of a checkpoint file, under `state_dict` if it has one, without `module.`."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(f"checkpoint {path} does not exist") from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"checkpoint {path} cannot be read: {reason}") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise UsageError(f"checkpoint {path} holds a {type(content).__name__}, not named tensors")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def load_into(network: nn.Module, tensors: Mapping[str, Any], what: str) -> None:
    """Copies `tensors` into `network`, which takes their floating type.

    Raises:
        UsageError: a key is missing or unexpected, or a shape differs; the network is unchanged.
    """
    expected = network.state_dict()
    given = {k: v for k, v in tensors.items() if k not in FRONT_END_BUFFERS}
    for key, value in given.items():
        if not isinstance(value, Tensor):
            raise UsageError(f"{what}: {key} is a {type(value).__name__}, not a tensor")
    missing = [k for k in expected if k not in given and k.split(".")[-1] not in OPTIONAL]
    unexpected = [k for k in given if k not in expected]
    misshapen = [
        f"{k} {list(given[k].shape)} instead of {list(expected[k].shape)}"
        for k in given
        if k in expected and given[k].shape != expected[k].shape
    ]
    if missing or unexpected or misshapen:
        raise UsageError(
            f"{what} does not fit: missing {_listed(missing)}; unexpected {_listed(unexpected)};"
            f" of another shape {_listed(misshapen)}"
        )
    network.to(_floating_type(given.values()))
    network.load_state_dict({**expected, **given})


def _listed(items: list[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return (", ".join(items[:SHOWN]) + more) or "none"


def _floating_type(tensors: Iterable[Tensor]) -> torch.dtype:
    """float64 if any of `tensors` is, else float32: half-precision files are loaded wider."""
    return reduce(
        torch.promote_types, (t.dtype for t in tensors if t.is_floating_point()), torch.float32
    )
