"""The table of what goes wrong on the web: from yt-dlp's errors to failure classes.

A site's own words decide first, then the HTTP status, then yt-dlp's and the system's words. What
nothing matches (an extractor that no longer understands its site) is `network`: a later version
or another day may succeed.
"""

import errno
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from avpipe.errors import FailureClass, RecordingFailed
from avpipe.fetch.address import without_password

Words = tuple[tuple[str, FailureClass], ...]
"""Regular expressions over a message in small letters, without addresses; the first that matches
counts, so what is more special stands above."""

SITE_WORDS: Words = (
    (r"not a bot|captcha|anti-bot|unusual traffic|automated quer", FailureClass.BOT),
    (r"rate-?limited|too many requests|try again later", FailureClass.RATE_LIMITED),
    (r"(in|from) your (country|region|location)|geo.?(restrict|block)", FailureClass.GEO),
    (r"copyright|trademark claim", FailureClass.COPYRIGHT),
    (r"private video|video is private|is private", FailureClass.PRIVATE),
    (
        r"sign in|log ?in\b|logged.in|age.restricted|inappropriate for some users|members.only"
        r"|this channel's members|join this channel|registered users|requires payment"
        r"|premium members",
        FailureClass.LOGIN,
    ),
    (
        r"video unavailable|(video|recording|content) is(n't| not) available|no longer available"
        r"|has been (removed|deleted|terminated)|removed by the (uploader|user)"
        r"|account .*(terminated|closed)|does not exist|incomplete youtube id",
        FailureClass.REMOVED,
    ),
)
"""What sites say, YouTube above all."""

TOOL_WORDS: Words = (
    (r"no space left|disk quota exceeded", FailureClass.DISK),
    (
        r"drm.protected|unsupported url|extension .* is unusual|did not get any data blocks"
        r"|requested format is not available|no video formats",
        FailureClass.UNREADABLE,
    ),
    (r"timed? ?out", FailureClass.TIMEOUT),
)
"""What yt-dlp and the operating system say."""

STATUS: dict[int, FailureClass] = {
    401: FailureClass.LOGIN,
    402: FailureClass.LOGIN,
    403: FailureClass.PRIVATE,
    407: FailureClass.NETWORK,
    408: FailureClass.TIMEOUT,
    425: FailureClass.NETWORK,
    429: FailureClass.RATE_LIMITED,
    451: FailureClass.GEO,
}
"""HTTP status -> class. The rest of 4xx is `removed`, the rest `network`."""

_REFUSES_CLIENTS = ("youtube.com", "youtu.be", "youtube-nocookie.com")
"""Sites whose 403 or empty answer means this client at this hour, not this video."""
_LOGIN_PAGE = re.compile(r"/(log-?in|sign-?in|auth|sso|session|accounts?|consent)\b", re.I)
_ADDRESS = re.compile(r"https?://\S+")
_NOT_SAID = re.compile(r"^\[[^]]*\] \S+: |https?://\S+|http error \d+: [\w ]*", re.I)
"""What a message holds beside words: extractor and id, addresses, the phrase of a status."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
_LONGEST = 300


def classify(error: BaseException, url: str) -> RecordingFailed:
    """The failure that an error of yt-dlp or of the file system stands for.

    Args:
        error: what was raised.
        url: what was to be fetched.
    """
    from yt_dlp.networking.exceptions import HTTPError

    message = _one_line(str(error))
    said = _NOT_SAID.sub("", message).lower()
    causes = list(_causes(error))
    if any(isinstance(cause, OSError) and cause.errno in _FULL for cause in causes):
        return RecordingFailed(FailureClass.DISK, message)
    if "unsupported url" in said and _leads_to_login(message):
        return RecordingFailed(FailureClass.LOGIN, f"it leads to a login page: {message}")
    if failure := _by_words(SITE_WORDS, said):
        return RecordingFailed(failure, message)
    for cause in causes:
        if isinstance(cause, HTTPError):
            return _by_status(cause, message, url)
    failure = _by_words(TOOL_WORDS, said) or FailureClass.NETWORK
    # What a site that refuses clients gives instead of media says nothing of the recording.
    doubtful = failure is FailureClass.UNREADABLE and _refuses_clients(url)
    return RecordingFailed(failure, message, permanent=False if doubtful else None)


def _by_words(table: Words, said: str) -> FailureClass | None:
    return next((failure for words, failure in table if re.search(words, said)), None)


def _by_status(error: Any, message: str, url: str) -> RecordingFailed:
    """The failure of an HTTP response that is an error."""
    failure = STATUS.get(
        error.status,
        FailureClass.REMOVED if 400 <= error.status < 500 else FailureClass.NETWORK,
    )
    if error.status == 403 and _refuses_clients(url):
        failure = FailureClass.BOT
    wait = retry_after_seconds(error.response.headers.get("Retry-After"))
    return RecordingFailed(failure, message, retry_after_seconds=wait)


def retry_after_seconds(header: str | None) -> float | None:
    """The value of a Retry-After header, which is seconds or a date; None if it is neither."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _refuses_clients(url: str) -> bool:
    return (urlsplit(url).hostname or "").endswith(_REFUSES_CLIENTS)


def _leads_to_login(message: str) -> bool:
    return any(_LOGIN_PAGE.search(urlsplit(found).path) for found in _ADDRESS.findall(message))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what caused it, as yt-dlp and as Python link them."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        exc_info = getattr(cause, "exc_info", None) or (None, None, None)
        waiting += [exc_info[1], getattr(cause, "cause", None), cause.__cause__, cause.__context__]


def _one_line(message: str) -> str:
    """The message for people: no `ERROR:`, no colours, traces or passwords, not too long."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", message)
    text = re.sub(r"^ERROR:\s*", "", text)
    text = re.sub(r"(; please report this issue on | \(caused by ).*", "", text, flags=re.S)
    text = " ".join(without_password(text).split()).replace("’", "'")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
