"""A loopback web server that plays all the moods of the sites that recordings come from.

`http://127.0.0.1:port/<mood>/<file>`: the file of the folder it serves, as that mood gives it.
`http://127.0.0.1:port/mirror/<file>`: in the mood that `Server.moods` has for the file, else good.
`Server.requests` counts what was asked for, by path, without those that want headers only;
`Server.ranges` keeps the Range header of each of them, `Server.sent` the bytes they were given.
"""

import socket
import struct
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from urllib.parse import unquote, urlsplit

LOGIN = b"<!DOCTYPE html><html><body><form action=/login><input type=password></form></body></html>"
APOLOGY = b"<!DOCTYPE html><html><body><h1>Something went wrong</h1></body></html>"
ANNOUNCED_SECONDS = 60


@dataclass(slots=True)
class Server:
    """A running server."""

    address: str
    requests: Counter[str] = field(default_factory=Counter)
    ranges: dict[str, list[str | None]] = field(default_factory=lambda: defaultdict(list))
    sent: Counter[str] = field(default_factory=Counter)
    log: list[tuple[float, str]] = field(default_factory=list)
    """When (monotonic) which file was asked for, every request counted."""
    cookies: list[str] = field(default_factory=list)
    """The cookies that came with them."""
    headers: dict[str, str] = field(default_factory=dict)
    """Further headers of every whole file or part of one: `{"ETag": '"1"'}`."""
    moods: dict[str, str] = field(default_factory=dict)
    stopping: Event = field(default_factory=Event)

    def url(self, mood: str, name: str) -> str:
        """Where `name` is served in that mood."""
        return f"{self.address}/{mood}/{name}"


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Serves a folder on a free port of the loopback address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as http:
        http.daemon_threads = True
        server = Server(f"http://127.0.0.1:{http.server_port}")
        http.folder, http.state = folder, server  # type: ignore[attr-defined]
        thread = Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            http.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """Answers in the mood that the path names."""
        self.close_connection = True
        self.state: Server = self.server.state  # type: ignore[attr-defined]
        if self.command == "GET":
            self.state.requests[self.path] += 1
            self.state.ranges[self.path].append(self.headers.get("Range"))
        self.state.cookies.append(self.headers.get("Cookie") or "")
        _, mood, name = unquote(urlsplit(self.path).path).split("/", 2)  # a proxy gets addresses
        self.state.log.append((time.monotonic(), name))
        folder: Path = self.server.folder  # type: ignore[attr-defined]
        if mood == "mirror":
            mood = self.state.moods.get(name, "good")
        data = (folder / name).read_bytes() if (folder / name).is_file() else b""
        with suppress(ConnectionError):
            if mood.isdigit():
                self.send_error(int(mood))
            else:
                MOODS[mood](self, data)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def head(self, status: int = 200, kind: str = "", **headers: object) -> None:
        """Status and headers; `Content_Length=5` is `Content-Length: 5`."""
        self.send_response(status)
        of_file = "application/dash+xml" if self.path.endswith(".mpd") else "video/mp4"
        self.send_header("Content-Type", kind or of_file)
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def body(self, data: bytes) -> None:
        """What follows them."""
        if self.command != "HEAD":
            self.wfile.write(data)
            self.state.sent[self.path] += len(data)

    def reset(self) -> None:
        """Ends the connection as a crashing server does."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def times(self) -> int:
        """How often this path has been asked for, this time included."""
        return self.state.requests[self.path]


def _good(on: _Handler, data: bytes) -> None:
    """The file, or the part of it that is asked for."""
    on.body(_wanted(on, data))


def _wanted(on: _Handler, data: bytes) -> bytes:
    """Answers that the file follows, or a part of it; returns that."""
    more = on.state.headers
    if wanted := on.headers.get("Range"):
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last or len(data)), len(data) - 1) + 1
        if start >= len(data):
            on.send_error(416)
            raise ConnectionError
        span = f"bytes {start}-{stop - 1}/{len(data)}"
        on.head(206, Content_Length=stop - start, Content_Range=span, **more)
        return data[start:stop]
    on.head(Content_Length=len(data), Accept_Ranges="bytes", **more)
    return data


def _third(on: _Handler, data: bytes) -> None:
    """A third of the file from where it is asked for, and then breaks off."""
    on.body(_wanted(on, data)[: len(data) // 3])
    on.reset()


def _whole_third(on: _Handler, data: bytes) -> None:
    """Knows no ranges, and breaks off after a third."""
    on.head(Content_Length=len(data), **on.state.headers)
    on.body(data[: len(data) // 3])
    on.reset()


def _whole(on: _Handler, data: bytes) -> None:
    """The whole file, whatever part is asked for."""
    on.head(Content_Length=len(data), **on.state.headers)
    on.body(data)


def _refuses_ranges(on: _Handler, data: bytes, status: int) -> None:
    """An error for who asks for a part."""
    if on.headers.get("Range"):
        on.send_error(status)
    else:
        _whole(on, data)


def _no_ranges(on: _Handler, data: bytes) -> None:
    """Breaks off once in the middle, and then knows only the whole file."""
    on.head(Content_Length=len(data), Accept_Ranges="none")
    if on.headers.get("Range"):
        on.body(data)
    else:
        on.body(data[: len(data) // 2])


def _reset(on: _Handler, data: bytes) -> None:
    on.head(Content_Length=len(data))
    on.body(data[: len(data) // 2])
    on.reset()


def _reset_once(on: _Handler, data: bytes) -> None:
    """Breaks off in the middle, and serves the rest when asked again."""
    if on.headers.get("Range"):
        _good(on, data)
    else:
        _reset(on, data)


def _half(on: _Handler, data: bytes, **headers: object) -> None:
    on.head(**headers)
    on.body(data[: len(data) // 2])


def _half_once(on: _Handler, data: bytes) -> None:
    """Half a file of no length to the first download, which asks twice, then all of it."""
    if on.times() <= 2:
        _half(on, data)
    else:
        _good(on, data)


def _changing(on: _Handler, data: bytes) -> None:
    """Half a file, a little longer every time."""
    on.head()
    on.body(data[: len(data) // 2 + on.times()])


def _slow(on: _Handler, data: bytes) -> None:
    """Five bytes a second."""
    on.head(Content_Length=len(data))
    for byte in data:
        on.body(bytes([byte]))
        if on.state.stopping.wait(0.2):
            return


def _stalls(on: _Handler, data: bytes) -> None:
    """Half of the file at once, and then five bytes a second."""
    on.head(Content_Length=len(data), **on.state.headers)
    on.body(data[: len(data) // 2])
    for byte in data[len(data) // 2 :]:
        on.body(bytes([byte]))
        if on.state.stopping.wait(0.2):
            return


def _silent(on: _Handler, data: bytes) -> None:
    """Accepts, and never answers."""
    on.state.stopping.wait(60)


def _announces_more(on: _Handler, data: bytes) -> None:
    """A page whose video is said to last a minute."""
    target = on.path.replace("/announces-more/", "/good/")
    page = f"""<!DOCTYPE html><html><head><title>A solo</title>
        <script type="application/ld+json">{{"@context": "https://schema.org",
        "@type": "VideoObject", "name": "A solo", "duration": "PT{ANNOUNCED_SECONDS}S",
        "contentUrl": "{on.state.address}{target}"}}</script></head><body></body></html>"""
    on.head(kind="text/html", Content_Length=len(page))
    on.body(page.encode())


def _announces_size(on: _Handler, data: bytes) -> None:
    """A page that says how large its video is, of which half comes."""
    target = on.path.replace("/announces-size/", "/half-of-half-length/")
    page = f"""<!DOCTYPE html><html><head><title>A solo</title>
        <script type="application/ld+json">{{"@context": "https://schema.org",
        "@type": "VideoObject", "name": "A solo", "contentSize": "{len(data)}",
        "contentUrl": "{on.state.address}{target}"}}</script></head><body></body></html>"""
    _page(on, page.encode())


def _page(on: _Handler, text: bytes, kind: str = "text/html") -> None:
    on.head(kind=kind, Content_Length=len(text))
    on.body(text)


def _too_many(on: _Handler, retry_after: str) -> None:
    on.head(429, kind="text/plain", Retry_After=retry_after, Content_Length=0)


def _too_many_once(on: _Handler, data: bytes) -> None:
    """Asks the first time to be left alone for two seconds."""
    if on.times() <= 1:
        _too_many(on, "2")
    else:
        _good(on, data)


def _error_twice(on: _Handler, data: bytes) -> None:
    if on.times() <= 2:
        on.send_error(500)
    else:
        _good(on, data)


def _sets_cookie(on: _Handler, data: bytes) -> None:
    on.head(Content_Length=len(data), Set_Cookie="from=server; Max-Age=1000")
    on.body(data)


def _challenge(on: _Handler, data: bytes) -> None:
    """What a site's bot check answers."""
    on.head(403, kind="text/html", cf_mitigated="challenge", Content_Length=0)


MOODS: dict[str, Callable[[_Handler, bytes], None]] = {
    "good": _good,
    "third": _third,
    "whole-third": _whole_third,
    "whole": _whole,
    "416-ranges": lambda on, data: _refuses_ranges(on, data, 416),
    "501-ranges": lambda on, data: _refuses_ranges(on, data, 501),
    "no-ranges": _no_ranges,
    "reset": _reset,
    "reset-once": _reset_once,
    "half-of-its-length": lambda on, data: _half(on, data, Content_Length=len(data)),
    "half-of-half-length": lambda on, data: _half(on, data, Content_Length=len(data) // 2),
    "half-of-no-length": _half,
    "half-once": _half_once,
    "changing": _changing,
    "slow": _slow,
    "stalls": _stalls,
    "silent": _silent,
    "announces-more": _announces_more,
    "announces-size": _announces_size,
    "too-many": lambda on, _: _too_many(on, "30"),
    "too-many-once": _too_many_once,
    "500-twice": _error_twice,
    "sets-cookie": _sets_cookie,
    "challenge": _challenge,
    "to-login": lambda on, _: on.head(302, Location="/login/page", Content_Length=0),
    "login": lambda on, _: _page(on, LOGIN),
    "apology": lambda on, _: _page(on, APOLOGY),
    "apology-as-video": lambda on, _: _page(on, APOLOGY, kind="video/mp4"),
}
"""Mood -> how it answers. A number is the mood that answers with that status."""
