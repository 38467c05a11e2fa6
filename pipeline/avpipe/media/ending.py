"""Where a file should end, by what its container says of its own size and structure.

libav reads a file to wherever it ends. What cannot be told from the file: that a transport or
program stream which ends with a whole packet, and that between two pictures, or a bare stream of
AAC or MP3 frames (without Xing header) has lost its end.
"""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_TAIL = 1 << 20
"""The last bytes, in which the last pack or page begins."""
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_BROADCAST = 1
"""Flag of an ASF header whose sizes were not known when it was written."""
_TS_SYNC, _TS_BYTES = 0x47, 188
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))
"""Sizes of a transport stream's packets, and where in them is the sync byte."""
_PACK, _PROGRAM_END = 0xBA, 0xB9
_OGG_LAST = 4
"""Flag of the last page of a stream."""


def cut_short(path: Path, formats: set[str]) -> str:
    """Why a file cannot be whole, or an empty text.

    Args:
        path: the file.
        formats: short names of its container format, as libav has them.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        for name in sorted(formats & _ENDINGS.keys()):
            return _ENDINGS[name](file, size)
    return ""


def _riff(file: BinaryIO, size: int) -> str:
    """Bytes 4 to 8 are the size of what follows; 0 or all ones if it was not known."""
    stated = int.from_bytes(file.read(8)[4:], "little")
    return _stated(stated + 8, size) if stated not in (0, (1 << 32) - 1) else ""


def _aiff(file: BinaryIO, size: int) -> str:
    """The same with the bytes in the other order."""
    stated = int.from_bytes(file.read(8)[4:], "big")
    return _stated(stated + 8, size) if stated not in (0, (1 << 32) - 1) else ""


def _caf(file: BinaryIO, size: int) -> str:
    """Chunks of a type and a size, of which the last may be -1: to the end."""
    at = 8
    while at + 12 <= size:
        file.seek(at + 4)
        length = int.from_bytes(file.read(8), "big", signed=True)
        if length < 0:
            return ""
        at += 12 + length
    return _stated(at, size)


def _asf(file: BinaryIO, size: int) -> str:
    """The file properties, an object of the header, state the size of the file."""
    head = file.read(24)
    if head[:16] != _ASF_HEADER:
        return ""
    header = head + file.read(min(int.from_bytes(head[16:], "little"), _TAIL) - 24)
    at = header.find(_ASF_FILE)
    if at < 0 or len(header) < at + 92:
        return ""
    stated, flags = struct.unpack_from("<Q40xI", header, at + 40)
    return "" if flags & _BROADCAST else _stated(stated, size)


def _mpegts(file: BinaryIO, size: int) -> str:
    """Packets of one size, each with a sync byte."""
    head = file.read(5 * 204)
    for packet, at in _TS_PACKETS:
        syncs = head[at::packet][:5]
        if len(syncs) == 5 and set(syncs) == {_TS_SYNC}:
            if rest := size % packet:
                return f"its last packet has {rest} of {packet} bytes"
            return _cut_pes(_tail(file, size), packet, at)
    return ""


def _cut_pes(tail: bytes, packet: int, at: int) -> str:
    """Packets of elementary streams are spread over transport packets; those of sound, and small
    ones of pictures, state their length."""
    missing: dict[int, int] = {}
    for start in range(len(tail) % packet + at, len(tail), packet):
        flags, low, control = tail[start + 1 : start + 4]
        if not control & 0x10:  # without payload
            continue
        pid = (flags & 0x1F) << 8 | low
        payload = start + 4 + (1 + tail[start + 4] if control & 0x20 else 0)
        size = start + _TS_BYTES - payload
        if not flags & 0x40:
            if pid in missing:
                missing[pid] -= size
        elif tail[payload : payload + 3] == b"\0\0\1":
            length = int.from_bytes(tail[payload + 4 : payload + 6], "big")
            missing[pid] = 6 + length - size if length else 0
    return "its last packet of sound is not whole" if max(missing.values(), default=0) > 0 else ""


def _mpeg(file: BinaryIO, size: int) -> str:
    """A program stream: packs, and in them packets that state their length."""
    tail = _tail(file, size)
    at = tail.rfind(bytes((0, 0, 1, _PACK)))
    while at >= 0 and tail[at : at + 3] == b"\0\0\1" and at + 4 <= len(tail):
        code = tail[at + 3]
        if code == _PROGRAM_END:
            return ""
        length = _pack_length(tail, at) if code == _PACK else _packet_length(tail, at)
        if length is None or at + length > len(tail):
            return "its last packet is not whole"
        at += length
    return ""


def _pack_length(data: bytes, at: int) -> int | None:
    """Of a pack header of MPEG-2 (14 bytes and stuffing) or MPEG-1; None: it is cut."""
    if at + 14 > len(data):
        return None
    return 14 + (data[at + 13] & 7) if data[at + 4] >> 6 == 1 else 12


def _packet_length(data: bytes, at: int) -> int | None:
    return 6 + int.from_bytes(data[at + 4 : at + 6], "big") if at + 6 <= len(data) else None


def _ogg(file: BinaryIO, size: int) -> str:
    """Pages; the last one of every stream says that it is."""
    tail = _tail(file, size)
    at = tail.rfind(b"OggS")
    if at < 0 or at + 27 > len(tail):
        return "its last page is not whole"
    segments = tail[at + 27 : at + 27 + tail[at + 26]]
    if len(segments) < tail[at + 26] or at + 27 + len(segments) + sum(segments) > len(tail):
        return "its last page is not whole"
    return "" if tail[at + 5] & _OGG_LAST else "its last page is not the last of its stream"


def _tail(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, size - _TAIL), os.SEEK_SET)
    return file.read()


def _stated(stated: int, size: int) -> str:
    return f"it has {size:,} bytes, its header says {stated:,}" if stated > size else ""


_ENDINGS: dict[str, Callable[[BinaryIO, int], str]] = {
    "aiff": _aiff,
    "asf": _asf,
    "avi": _riff,
    "caf": _caf,
    "mpeg": _mpeg,
    "mpegts": _mpegts,
    "ogg": _ogg,
    "wav": _riff,
}
"""Container format -> what its end has to be like."""
