"""Who does the work: profiles in `workers/*.toml`, or the address of a Dask scheduler.

A profile says how many workers each pool has, which commands start them elsewhere, the pace of
downloads and the limits of a task; `avpipe.cluster` makes workers of it.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from avpipe.config import configure
from avpipe.device import cpu_count, visible_gpus
from avpipe.engine.pacing import PaceConfig
from avpipe.errors import UsageError
from avpipe.limits import TaskLimits
from avpipe.resources import folder
from avpipe.stages import POOLS, Pool

_KEYS = {"address": str, "pools": dict, "launch": dict, "host": str, "pace": dict, "limits": dict}
"""Of a profile."""


@dataclass(frozen=True)
class Profile:
    """Who does the work: a file in `workers/`, or the address of a scheduler."""

    name: str
    address: str | None = None
    pools: Mapping[str, int | str] | None = None
    launch: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Pool -> command that starts one of its workers elsewhere; `{worker}` in it becomes the
    command line of the worker, `{pool}` and `{number}` what they say. Others start here."""
    host: str | None = None
    """Address of this machine at which launched workers reach it; None: found out."""
    pace: PaceConfig = field(default_factory=PaceConfig)
    limits: TaskLimits = field(default_factory=TaskLimits)

    def sizes(self, cpu_workers: int) -> dict[Pool, int]:
        """Workers per pool on this machine.

        Args:
            cpu_workers: what `--workers` says; 0: one per core.
        """
        pools = self.pools or {}
        cpu = pools.get("cpu", "auto")
        gpu = pools.get("gpu", "auto")
        return {
            "net": int(pools.get("net", 4)),
            "cpu": cpu_workers or (cpu_count() if cpu == "auto" else int(cpu)),
            "gpu": len(visible_gpus()) if gpu == "auto" else int(gpu),
        }


def read_profile(cluster: str | None) -> Profile:
    """The profile that `--cluster` names: a TOML file, a name in `workers/`, or `tcp://...`.

    Raises:
        UsageError: no such profile, or it is wrong; the text says what is allowed.
    """
    if cluster is not None and "://" in cluster:
        return replace(read_profile(None), name=cluster, address=_address(cluster))
    path = _profile_path(cluster or "local")
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    for name, value in table.items():
        if name not in _KEYS:
            raise UsageError(f"{path}: unknown key {name!r}; it has {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[name]):
            wanted = "a text" if _KEYS[name] is str else "a table"
            raise UsageError(f"{path}: {name} = {value!r} must be {wanted}")
    for name, size in table.get("pools", {}).items():
        least, auto = int(name != "gpu"), "" if name == "net" else ' or "auto"'
        if name not in POOLS or not (_is_size(size, least) or (auto and size == "auto")):
            raise UsageError(
                f"{path} [pools] {name} = {size!r}: pools are {', '.join(POOLS)},"
                f" sizes whole numbers from {least}{auto}"
            )
    for name, words in table.get("launch", {}).items():
        if name not in POOLS or not _is_command(words):
            raise UsageError(
                f"{path} [launch] {name} = {words!r}: must be the words of a command for one of"
                f" {', '.join(POOLS)}, with {{worker}} in one of them; but for {{pool}} and"
                " {number}, other braces are doubled"
            )
    return Profile(
        path.stem,
        _address(table["address"]) if "address" in table else None,
        table.get("pools"),
        {name: tuple(words) for name, words in table.get("launch", {}).items()},
        table.get("host") or None,
        configure(PaceConfig, table.get("pace", {}), f"{path} [pace]"),
        configure(TaskLimits, table.get("limits", {}), f"{path} [limits]"),
    )


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        if parts.scheme and parts.hostname and parts.port:
            return text
    except ValueError:  # a port that is no number
        pass
    raise UsageError(f"{text} is no address of a Dask scheduler, as in tcp://10.0.0.5:8786")


def _is_size(value: Any, least: int) -> bool:
    return isinstance(value, int) and value >= least


def _is_command(words: Any) -> bool:
    """Whether these are words, one of them with the worker, that can be filled in."""
    if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        return False
    try:
        line = [word.format(worker="\0", pool="", number=0) for word in words]
    except (KeyError, IndexError, ValueError):
        return False
    return any("\0" in word for word in line)


def _profile_path(name: str) -> Path:
    shipped = folder("workers") / f"{name}.toml"
    path = shipped if shipped.is_file() else Path(name)
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in folder("workers").glob("*.toml")))
        raise UsageError(f"--cluster {name}: neither a file nor a profile; there are {there}")
    return path
