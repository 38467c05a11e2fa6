"""Media files: what one holds (`scan`), the ffmpeg program (`ffmpeg`), its pixels and samples
(`decode`).

Media come from strangers. Every file is opened as a file, by a fixed list of container formats,
and nothing that it refers to is followed.
"""

from avpipe.media.decode import decode_frames, decode_planes, decodes, read_audio
from avpipe.media.facts import Scan
from avpipe.media.nvdec import NvdecPlanes
from avpipe.media.scan import scan

__all__ = [
    "NvdecPlanes",
    "Scan",
    "decode_frames",
    "decode_planes",
    "decodes",
    "read_audio",
    "scan",
]
