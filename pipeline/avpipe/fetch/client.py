"""yt-dlp, but it asks for the rest of a file only while it is the rest of the same file.

yt-dlp goes on from what it finds, whatever has become of the file on the server since.
"""

from typing import Any

from yt_dlp import YoutubeDL
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import parse_http_range

from avpipe.fetch.partial import Partial, Version

_REFUSES_RANGES = {400, 405, 412, 416, 501}
"""Statuses with which servers answer who asks for a part: then the whole is asked for."""


class Client(YoutubeDL):  # type: ignore[misc]  # it has no annotations
    """A downloader into a folder that may hold a part of the file already.

    Args:
        parameters: yt-dlp's own.
        partial: the folder.
    """

    def __init__(self, parameters: dict[str, Any], partial: Partial) -> None:
        self._partial = partial
        self._version = Version(None, None, None)
        """Of what the last response holds: the file that is arriving."""
        super().__init__(parameters)
        self.add_progress_hook(self._watch)

    def urlopen(self, req: Any) -> Any:
        """Sends a request; one for the rest of another file becomes one for all of it."""
        response = self._rest(req)
        if response is None:
            response = super().urlopen(req)
        self._version = _version(response)
        return response

    def _rest(self, request: Any) -> Any:
        """The response with the rest that is asked for; None if the whole is to be asked for."""
        start = None if isinstance(request, str) else _start(request)
        name = self._partial.rest_from(start) if start else None
        if name is None:
            return None
        try:
            response = super().urlopen(request)
        except HTTPError as error:
            if error.status not in _REFUSES_RANGES:
                raise
        else:
            if response.status == 206 and self._partial.is_of(name, _version(response)):
                return response
            if response.status != 206:
                self._partial.starts_anew(name)
                return response
            response.close()
        self._partial.starts_anew(name)
        del request.headers["Range"]
        return None

    def _watch(self, status: dict[str, Any]) -> None:
        if status["status"] == "downloading" and "fragment_index" not in status:
            self._partial.arriving(status["tmpfilename"], self._version)
        elif status["status"] == "downloading" and status.get("fragment_count"):
            self._partial.arriving_in(status["tmpfilename"], status["fragment_count"])
        elif status["status"] == "finished":
            self._partial.arrived(status["filename"])


def _start(request: Any) -> int | None:
    """First byte that is asked for."""
    start: int | None = parse_http_range(request.headers.get("Range"))[0]
    return start


def _version(response: Any) -> Version:
    headers = response.headers
    if response.status == 206:
        size = parse_http_range(headers.get("Content-Range"))[2]
    else:
        length = headers.get("Content-Length") or ""
        size = int(length) if length.isdigit() else None
    return Version(size, headers.get("ETag"), headers.get("Last-Modified"))
