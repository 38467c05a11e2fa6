"""How a media file is opened, by PyAV and by ffmpeg alike: as a local file, in a known format.

The `file:` prefix makes any name safe (a leading dash, a colon); the protocol and format lists
keep playlists, concatenations and network addresses inside a file from being followed.
"""

from pathlib import Path
from typing import Any

PROTOCOLS = "file"
FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,mp3,aac,wav,flac,aiff,caf"
"""Demuxers that may open a file. Playlist formats (hls, concat, dash, ...) are not among them."""
OPTIONS = {"protocol_whitelist": PROTOCOLS, "format_whitelist": FORMATS}


def address(path: Path) -> str:
    """The path as libav's address of a local file."""
    return f"file:{path.absolute()}"


def open_container(path: Path, accelerator: Any = None) -> Any:
    """The file as a PyAV input container.

    Args:
        path: a media file.
        accelerator: a `HWAccel` of PyAV for its decoders.

    Raises:
        av.error.FFmpegError: it is in none of the formats, or the accelerator is not there.
    """
    import av

    return av.open(address(path), options=OPTIONS, metadata_errors="ignore", hwaccel=accelerator)
