"""Checks of single words of a manifest: names of files, seconds, URLs.

Each returns what is wrong as text, or None.
"""

import re
from urllib.parse import urlsplit

MAX_NAME_BYTES = 200
"""Longest id or category; file systems allow 255 bytes and stages append suffixes."""

YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")

PLACEHOLDERS = ("{id}", "{video}", "{category}")
"""What a template of URLs or paths may hold."""

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")


def bad_name(text: str) -> str | None:
    """Why a text cannot be the name of a file and of an HDF5 group inside a folder."""
    if not text:
        return "is empty; every recording needs one"
    if text.startswith("."):
        return "may not begin with a dot (it would be hidden or leave the folder)"
    if "/" in text or "\\" in text:
        return "may not contain / or \\ (it would leave the folder)"
    if not text.isprintable():
        return "may not contain control or invisible characters"
    if len(text.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    return None


def bad_seconds(text: str) -> str | None:
    """Why a text is not a time in seconds."""
    if text.startswith("-"):
        return "is negative; must be seconds from the start of the media, 0 or more"
    if not _SECONDS.fullmatch(text):
        return "must be seconds as a decimal number, e.g. 84.5"
    return None


def bad_url(text: str, *, relative: bool) -> str | None:
    """Why a text is not a URL to fetch media from.

    Args:
        relative: a path inside the folder that the manifest serves is allowed too.
    """
    allowed = "must be an http:// or https:// URL"
    if not text.isprintable() or " " in text:
        return f"{allowed} without blanks or control characters (percent-encode them)"
    if "://" not in text and relative:
        parts = text.split("/")
        if "\\" in text or any(part in ("", ".", "..") for part in parts):
            return "must be a path inside the folder that `serve` names, without . or .. or \\"
        return None
    try:
        url = urlsplit(text)
    except ValueError as error:
        return f"{allowed} ({error})"
    if url.scheme not in ("http", "https") or not url.hostname:
        serve = "" if relative else ", or name the folder of the files with `serve` or `source`"
        return allowed + serve
    return None


def bad_source(text: str) -> str | None:
    """Why a text is not a source: `youtube`, a URL template, a folder, or a path template."""
    if text == "youtube":
        return None
    if not text.strip() or not text.isprintable():
        return 'must be "youtube", a URL template with {id}, a folder, or a path with {id}'
    if "://" not in text:
        return None
    placeholders = re.findall(r"\{[^{}]*\}", text)
    unknown = [p for p in placeholders if p not in PLACEHOLDERS]
    if unknown:
        return f"has the placeholder {unknown[0]}; allowed are {', '.join(PLACEHOLDERS)}"
    if not {"{id}", "{video}"} & set(placeholders):
        return "is a URL without {id}: every recording would be the same file"
    return bad_url(re.sub(r"[{}]", "", text), relative=False)
