"""Topologies by name, read from `schemas/topologies/<name>.toml`.

A file lists its joints in order as `joint = "parent"`, or puts other topologies together as parts
(with a prefix for their names and a parent for their roots), or counts numbered points. Two facts
follow from the names and are stated nowhere else: `left_x` and `right_x` mirror each other, and
`left_hand_*` / `right_hand_*` are the joints of a hand's own detection.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any

from avpipe import resources
from avpipe.errors import AvpipeError, UsageError
from avpipe.types import Topology

_Joints = dict[str, str]
"""Joint -> parent ("" for a root), in order."""
_OPPOSITE = {"left": "right", "right": "left"}


def names() -> tuple[str, ...]:
    """All topologies."""
    return tuple(
        sorted(p.stem for p in (resources.folder("schemas") / "topologies").glob("*.toml"))
    )


@cache
def topology(name: str) -> Topology:
    """The topology `name`, e.g. `openpose67`.

    Raises:
        UsageError: there is none of that name; the text lists what there is.
    """
    data = _read(name)
    parent_of = _joints(data)
    joints = tuple(parent_of)
    return Topology(
        name=name,
        joints=joints,
        parents=tuple(joints.index(p) if p else -1 for p in parent_of.values()),
        left_hand=tuple(i for i, j in enumerate(joints) if j.startswith("left_hand_")),
        right_hand=tuple(i for i, j in enumerate(joints) if j.startswith("right_hand_")),
        mirror=_mirror(name, joints, data.get("mirror", [])),
        mappings={
            other: _mapping(name, joints, other, given)
            for other, given in data.get("mappings", {}).items()
        },
    )


@cache
def _read(name: str) -> dict[str, Any]:
    if name not in names():
        raise UsageError(f"unknown topology {name!r}; there are {', '.join(names())}")
    path = resources.folder("schemas") / "topologies" / f"{name}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _joints(data: Mapping[str, Any]) -> _Joints:
    joints: _Joints = {}
    for part in data.get("parts", []):
        joints |= _part(**part)
    if numbered := data.get("numbered"):
        prefix, root = numbered["prefix"], f"{numbered['prefix']}{numbered['root']}"
        points = [f"{prefix}{i}" for i in range(numbered["count"])]
        joints |= {point: "" if point == root else root for point in points}
    joints |= data.get("joints", {})
    return joints


def _part(
    topology: str,
    prefix: str = "",
    parent: str = "",
    only: list[str] | None = None,
    omit: list[str] | None = None,
) -> _Joints:
    """Joints of another topology, renamed; what hung on an omitted joint hangs on `parent`."""
    source = _joints(_read(topology))
    kept = [j for j in source if (only is None or j in only) and j not in (omit or [])]
    return {prefix + j: prefix + source[j] if source[j] in kept else parent for j in kept}


def _mirror(name: str, joints: tuple[str, ...], pairs: list[list[int]]) -> tuple[int, ...]:
    mirror = list(range(len(joints)))
    for a, b in pairs:
        mirror[a], mirror[b] = b, a
    for i, joint in enumerate(joints):
        side, _, rest = joint.partition("_")
        if side in _OPPOSITE:
            other = f"{_OPPOSITE[side]}_{rest}"
            if other not in joints:
                raise AvpipeError(f"topology {name}: {joint} has no counterpart {other}")
            mirror[i] = joints.index(other)
    return tuple(mirror)


def _mapping(
    name: str, joints: tuple[str, ...], other: str, given: Mapping[str, list[str]]
) -> dict[str, tuple[str, ...]]:
    """Sources of every joint in `other`: as given, else the joint of the same name."""
    there = _joints(_read(other))
    sources = {joint: tuple(given.get(joint, [joint])) for joint in joints}
    for joint in [*given, *sources]:
        missing = [s for s in sources.get(joint, (joint,)) if s not in there]
        if joint not in sources or missing:
            raise AvpipeError(
                f"topology {name}: mapping from {other}: {joint}: there is no such joint there;"
                " name the joints it is the mean of, or [] for none"
            )
    return {joint: found for joint, found in sources.items() if found}
