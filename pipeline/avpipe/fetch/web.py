"""One URL through yt-dlp, in this process: run it in one that may die.

yt-dlp takes a page, a stream or a plain file for what it is; it keeps what has arrived of a body
whose length is not known, and an error page that calls itself a video. Whether the file is one is
for the scan to say.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avpipe.errors import FailureClass, RecordingFailed, UsageError
from avpipe.fetch import licences
from avpipe.fetch.address import without_password
from avpipe.fetch.failures import classify
from avpipe.fetch.guard import Guard
from avpipe.fetch.options import Options
from avpipe.fetch.partial import Changed, Partial

_KEPT = (
    "id", "title", "uploader", "uploader_id", "channel", "channel_id", "channel_url", "license",
    "duration", "upload_date", "timestamp", "description", "categories", "tags", "language",
    "age_limit", "availability", "view_count", "live_status", "extractor", "webpage_url",
    "format", "format_id", "ext", "width", "height", "fps", "vcodec", "acodec", "abr", "vbr", "asr",
    "audio_channels", "dynamic_range", "filesize", "filesize_approx", "protocol",
)  # fmt: skip
"""What is kept of yt-dlp's information: no formats that were not taken, no headers, no paths."""
_FIRST_BLOCK = 16
"""Bytes of the first read; yt-dlp grows its blocks to what arrives in about a second."""
_SOCKET_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file from the web."""

    path: Path
    info: Mapping[str, Any]
    """What the site says of it (the keys of `_KEPT` that it has), and `yt_dlp`, the version."""


def fetch(url: str, partial: Partial, private: Path, options: Options) -> Fetched:
    """Downloads one URL, and goes on from what has arrived of it before.

    Args:
        url: of the page or the file.
        partial: where it arrives.
        private: an empty folder for what must not stay, on any file system.
        options: how.

    Raises:
        RecordingFailed: of any class in `avpipe.fetch.failures`, or `timeout`, `limit`, `disk`.
        UsageError: an option cannot be used.
    """
    from yt_dlp.utils import YoutubeDLError

    with Guard(partial.folder, options) as guard:
        parameters = _parameters(partial.folder, private, options, guard)
        try:
            info = _extract(url, parameters, partial)
        except SyntaxError as error:
            raise UsageError(f"download.format {options.format!r}: {error}") from error
        except (YoutubeDLError, OSError) as error:
            raise guard.verdict or classify(error, url) from error
    if "entries" in info:
        info = next(iter(info["entries"]), {})
    downloads = info.get("requested_downloads")
    if not downloads:
        raise RecordingFailed(FailureClass.UNREADABLE, "there is no recording at its address")
    return Fetched(Path(downloads[0]["filepath"]), _facts(info))


def _extract(url: str, parameters: dict[str, Any], partial: Partial) -> dict[str, Any]:
    """What yt-dlp knows of what it has downloaded; anew if that was no continuation."""
    from avpipe.fetch.client import Client

    try:
        with Client(parameters, partial) as ydl:
            return dict(ydl.extract_info(url))
    except Changed:
        partial.clear()
    with Client(parameters, partial) as ydl:
        return dict(ydl.extract_info(url))


def probe(url: str, options: Options) -> None:
    """Asks whether a URL can be fetched, and fetches nothing of it but its page.

    Raises:
        RecordingFailed: of any class in `avpipe.fetch.failures`.
    """
    from yt_dlp import YoutubeDL
    from yt_dlp.utils import YoutubeDLError

    parameters = {
        "noplaylist": True,
        "playlist_items": "1",
        "extractor_retries": options.retries,
        "socket_timeout": _SOCKET_SECONDS,
        "proxy": options.proxy,
        "quiet": True,
        "logger": _Silence(),
    }
    try:
        with YoutubeDL(parameters | options.ytdlp) as ydl:
            ydl.extract_info(url, download=False)
    except (YoutubeDLError, OSError) as error:
        raise classify(error, url) from error


def _parameters(folder: Path, private: Path, options: Options, guard: Guard) -> dict[str, Any]:
    """Options of `yt_dlp.YoutubeDL`."""
    from avpipe.media import ffmpeg

    def admit(info: dict[str, Any], *, incomplete: bool) -> None:
        """Called with what is known of a recording before it is downloaded."""
        seconds = info.get("duration") or 0
        if seconds > options.limits.max_seconds:
            raise RecordingFailed(
                FailureClass.LIMIT,
                f"it lasts {seconds:,.0f} s, the limit is {options.limits.max_seconds:,.0f}",
            )
        if not incomplete:
            licences.require(options.require_licence, info.get("license") or options.licence)
        if info.get("is_live"):
            raise RecordingFailed(FailureClass.LIMIT, "it is live and has no end")
        size = info.get("filesize") or 0
        guard.check_bytes(size)
        needed = size or info.get("filesize_approx") or 0
        guard.check_disk(max(0, needed - guard.size()))

    parameters: dict[str, Any] = {
        "paths": {"home": str(folder)},
        # another format is another file, never the rest of this one
        "outtmpl": {"default": "media.%(format_id).80B.%(ext)s"},
        "format": options.format,
        "noplaylist": True,
        "playlist_items": "1",
        "match_filter": admit,
        "progress_hooks": [guard.progress],
        "skip_unavailable_fragments": False,
        "keep_fragments": True,  # for the next attempt
        "ffmpeg_location": str(ffmpeg.executable()),
        "js_runtimes": {"deno": {}, "node": {}, "bun": {}, "quickjs": {}},
        "retries": options.retries,
        "fragment_retries": options.retries,
        "extractor_retries": options.retries,
        "socket_timeout": _SOCKET_SECONDS,
        "buffersize": _FIRST_BLOCK,
        "ratelimit": options.rate_limit_bytes,
        "proxy": options.proxy,
        "updatetime": False,
        "quiet": True,
        "noprogress": True,
        "color": {"stdout": "no_color", "stderr": "no_color"},
        "logger": _Silence(),
        **_cookies(private, options),
    }
    return parameters | options.ytdlp


def _cookies(private: Path, options: Options) -> dict[str, Any]:
    """yt-dlp rewrites its cookie file, so every download has a copy of its own."""
    if options.cookies_file:
        if not Path(options.cookies_file).is_file():
            raise UsageError(f"download.cookies_file: there is no file {options.cookies_file}")
        copy = private / "cookies.txt"
        shutil.copyfile(options.cookies_file, copy)
        copy.chmod(0o600)
        return {"cookiefile": str(copy)}
    if options.cookies_from_browser:
        from yt_dlp import parse_options

        parsed = parse_options(["--cookies-from-browser", options.cookies_from_browser])
        return {"cookiesfrombrowser": parsed.ydl_opts["cookiesfrombrowser"]}
    return {}


def _facts(info: dict[str, Any]) -> dict[str, Any]:
    from yt_dlp import YoutubeDL
    from yt_dlp.version import __version__

    plain = YoutubeDL.sanitize_info(info, remove_private_keys=True)
    facts = {key: plain[key] for key in _KEPT if plain.get(key) is not None}
    for key in ("webpage_url", "channel_url"):
        if key in facts:
            facts[key] = without_password(facts[key])
    return {**facts, "yt_dlp": __version__}


class _Silence:
    """A logger that says nothing: what matters comes as an exception."""

    def debug(self, message: str) -> None:
        """Progress, one line at a time."""

    def warning(self, message: str) -> None:
        """What yt-dlp finds worth knowing."""

    def error(self, message: str) -> None:
        """What is raised as well."""
