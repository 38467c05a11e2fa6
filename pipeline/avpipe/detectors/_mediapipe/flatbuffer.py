"""Reads FlatBuffers: tables found by field number, as the format lays them down.

A table begins with the distance back to its list of field positions; a field that is not in the
list has its default. Source: flatbuffers.dev, "FlatBuffer internals".
"""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt


class Table:
    """A table in a buffer."""

    def __init__(self, buffer: bytes, position: int) -> None:
        self._buffer, self._position = buffer, position
        self._fields = position - self._number("<i", position)
        self._size = self._number("<H", self._fields)

    @classmethod
    def root(cls, buffer: bytes) -> "Table":
        """The table that a file consists of."""
        return cls(buffer, struct.unpack_from("<I", buffer)[0])

    def number(self, field: int, kind: str, default: int = 0) -> int:
        """A number; `kind` as in `struct`."""
        at = self._at(field)
        return default if at is None else self._number(f"<{kind}", at)

    def table(self, field: int) -> "Table | None":
        """A table, or what a union holds."""
        at = self._at(field)
        return None if at is None else Table(self._buffer, self._follow(at))

    def tables(self, field: int) -> "list[Table]":
        """A vector of tables."""
        start, count = self._vector(field)
        return [Table(self._buffer, self._follow(start + 4 * i)) for i in range(count)]

    def array(self, field: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """A vector of numbers; empty if it is not there."""
        start, count = self._vector(field)
        return np.frombuffer(self._buffer, dtype, count, start)

    def _at(self, field: int) -> int | None:
        entry = 4 + 2 * field
        offset = self._number("<H", self._fields + entry) if entry < self._size else 0
        return self._position + offset if offset else None

    def _vector(self, field: int) -> tuple[int, int]:
        at = self._at(field)
        if at is None:
            return 0, 0
        start = self._follow(at)
        return start + 4, self._number("<I", start)

    def _follow(self, position: int) -> int:
        return position + self._number("<I", position)

    def _number(self, kind: str, position: int) -> int:
        value: int = struct.unpack_from(kind, self._buffer, position)[0]
        return value
