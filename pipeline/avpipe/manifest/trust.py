"""What a manifest may not say, because it may come from a stranger.

Some parameters of the download name files of this machine or programs to run: those are for the
user to give, on the command line.
"""

from collections.abc import Iterator, Mapping
from typing import Any

_HARMLESS = frozenset(
    {
        *("concurrent_fragment_downloads", "extractor_args", "format_sort", "geo_bypass_country"),
        *("http_chunk_size", "max_sleep_interval", "sleep_interval", "sleep_interval_requests"),
    }
)
"""Options of yt-dlp that choose what is fetched and how fast, and touch nothing else."""

_PRIVATE = ("cookies_file", "cookies_from_browser", "proxy")


def untrusted(tables: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """(key, value, reason) of every parameter that a manifest may not give.

    Args:
        tables: the tables of a manifest.
    """
    download = tables.get("download", {})
    for name in _PRIVATE:
        if name in download:
            yield f"download.{name}", download[name], _reason(name)
    options = download.get("ytdlp", {})
    if not isinstance(options, Mapping):
        yield "download.ytdlp", options, "must be a table"
        return
    for name in options:
        if name not in _HARMLESS:
            known = ", ".join(sorted(_HARMLESS))
            yield (
                f"download.ytdlp.{name}",
                options[name],
                f"{_reason('ytdlp')}; a manifest may give {known}",
            )


def _reason(name: str) -> str:
    return f"is for the user to give (--set download.{name}=...), not for a manifest"
