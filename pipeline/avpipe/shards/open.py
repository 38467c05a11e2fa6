"""Opens shards that may be damaged or hostile: one line says what is wrong, and nothing outside
the file is ever read (no external or soft links, no external or virtual storage).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from avpipe.errors import DatasetError
from avpipe.shards.layout import Column, declared
from avpipe.types import Topology


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever HDF5 makes of a damaged file becomes a DatasetError that names it."""
    try:
        yield
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        text = " ".join(str(error).split())
        raise DatasetError(
            f"{path} cannot be read ({text}): run verify, then build again"
        ) from error


def open_shard(path: Path) -> h5py.File:
    """A shard, open for reading; the caller closes it.

    Raises:
        DatasetError: it is missing, damaged, or of another format or version.
    """
    # Without a chunk cache HDF5 reads just the bytes asked for from uncompressed chunks.
    with reading(path):
        file = h5py.File(path, "r", libver=_libver(), locking=False, rdcc_nbytes=0)
        attributes = attributes_of(file)
    found = (attributes.get("format"), attributes.get("version"))
    expected = (declared()["format"], declared()["version"])
    if found != expected:
        file.close()
        raise DatasetError(f"{path} is {found}, this avpipe reads {expected}")
    return file


def is_shard(path: Path, key: str) -> bool:
    """Whether a file is the shard with that key."""
    try:
        with open_shard(path) as file:
            return bool(attributes_of(file).get("key") == key)
    except DatasetError:
        return False


def group(parent: h5py.Group, name: str) -> h5py.Group:
    """The group of a recording; only one that is stored in this very file."""
    found = _own(parent, name)
    if not isinstance(found, h5py.Group):
        raise ValueError(f"{name} is not a group")
    return found


def dataset(parent: h5py.Group, name: str) -> h5py.Dataset:
    """A dataset whose data is stored in this very file."""
    found = _own(parent, name)
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise ValueError(f"{parent.name}/{name} is not a dataset stored in this file")
    return found


def column(parent: h5py.Group, spec: Column) -> h5py.Dataset:
    """A column of a recording, of the declared type."""
    found = dataset(parent, spec.name)
    if found.dtype.str != spec.dtype:
        raise ValueError(f"{found.name} is {found.dtype.str}, not {spec.dtype}")
    return found


def attributes_of(target: h5py.Group) -> dict[str, Any]:
    """The attributes of a group as Python values: text, numbers, and lists of them."""
    return {name: _plain(value) for name, value in target.attrs.items()}


def topology_of(file: h5py.File) -> Topology:
    """The topology of a keypoints shard."""
    attributes = attributes_of(file)
    return Topology(
        name=attributes["topology"],
        joints=tuple(attributes["joints"]),
        parents=tuple(attributes["parents"]),
        left_hand=tuple(attributes["left_hand"]),
        right_hand=tuple(attributes["right_hand"]),
        mirror=tuple(attributes["mirror"]),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value


def _own(parent: h5py.Group, name: str) -> Any:
    # The class of the link is looked at before it is followed.
    if parent.get(name, getclass=True, getlink=True) is not h5py.HardLink:
        raise ValueError(f"{parent.name} holds no {name} of its own")
    return parent[name]


def _libver() -> tuple[str, str]:
    return (declared()["libver"], declared()["libver"])
