"""The table of failure classes, by the words of sites, by status and by kind of error."""

import errno
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import BytesIO

import pytest
from yt_dlp.networking.common import Response
from yt_dlp.networking.exceptions import HTTPError, TransportError
from yt_dlp.utils import DownloadError, ExtractorError

from avpipe.errors import FailureClass
from avpipe.fetch.failures import classify, retry_after_seconds

YOUTUBE = "https://www.youtube.com/watch?v=abcdefghijk"
MIRROR = "https://mirror.example/violin/abc.mp4"

SAID = {
    "Private video. Sign in if you've been granted access to this video": "private",
    "Video unavailable. This video is private": "private",
    "Video unavailable": "removed",
    "Video unavailable. This video has been removed by the uploader": "removed",
    "This video has been removed for violating YouTube's Terms of Service": "removed",
    "Video unavailable. This video is no longer available because the YouTube account associated"
    " with this video has been terminated.": "removed",
    "This live stream recording is not available.": "removed",
    "Video unavailable. The uploader has not made this video available in your country": "geo",
    "This video is not available from your location due to geo restriction": "geo",
    "Video unavailable. This video contains content from SME, who has blocked it in your country on"
    " copyright grounds": "geo",
    "Video unavailable. This video contains content from WMG, who has blocked it on copyright"
    " grounds": "copyright",
    "This video is no longer available due to a copyright claim by a third party": "copyright",
    "Sign in to confirm you’re not a bot. Use --cookies-from-browser or --cookies for the"
    " authentication": "bot",
    "Got HTTP Error 403 caused by Cloudflare anti-bot challenge; try again": "bot",
    "Video unavailable. YouTube is requiring a captcha challenge before playback": "bot",
    "Video unavailable. This content isn't available, try again later. The current session has been"
    " rate-limited by YouTube for up to an hour.": "rate_limited",
    "Sign in to confirm your age. This video may be inappropriate for some users.": "login",
    "Join this channel to get access to members-only content like this video": "login",
    "This video requires payment to watch": "login",
    "This video is DRM protected": "unreadable",
    "Requested format is not available. Use --list-formats": "unreadable",
    "unable to write data: [Errno 28] No space left on device": "disk",
    "unable to download video data: The read operation timed out": "timeout",
    "1000 bytes read, 3000 more expected. Giving up after 2 retries": "network",
    "Failed to extract any player response; please report this issue on the tracker": "network",
}


@pytest.mark.parametrize(("words", "expected"), SAID.items())
def test_what_a_site_says_decides_the_class(words: str, expected: str) -> None:
    error = DownloadError(f"ERROR: [youtube] abcdefghijk: {words}")
    assert classify(error, YOUTUBE).failure == expected


def answer(status: int, url: str = MIRROR, **headers: str) -> DownloadError:
    """What yt-dlp raises for an HTTP response that is an error."""
    response = Response(
        BytesIO(), url, {k.replace("_", "-"): v for k, v in headers.items()}, status
    )
    cause = HTTPError(response)
    inner = ExtractorError("Unable to download webpage", cause=cause, video_id="abc", ie="generic")
    return DownloadError(f"ERROR: {inner}", (type(inner), inner, None))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "login"),
        (403, "private"),
        (404, "removed"),
        (410, "removed"),
        (418, "removed"),
        (408, "timeout"),
        (429, "rate_limited"),
        (451, "geo"),
        (500, "network"),
        (502, "network"),
        (503, "network"),
    ],
)
def test_the_status_decides_where_there_are_no_words(status: int, expected: str) -> None:
    assert classify(answer(status), MIRROR).failure == expected


def test_youtube_refuses_the_client_and_a_mirror_the_file() -> None:
    refused = classify(answer(403), YOUTUBE)
    assert (refused.failure, refused.permanent) == ("bot", False)
    refused = classify(answer(403), MIRROR)
    assert (refused.failure, refused.permanent) == ("private", True)


def test_an_empty_answer_is_an_empty_file_but_not_at_youtube() -> None:
    error = DownloadError("ERROR: Did not get any data blocks")
    assert classify(error, MIRROR).permanent
    assert not classify(error, YOUTUBE).permanent


def test_what_only_an_outdated_downloader_cannot_read_is_tried_again() -> None:
    error = DownloadError("ERROR: [youtube] abc: Requested format is not available")
    assert not classify(error, YOUTUBE).permanent
    assert classify(error, MIRROR).permanent


@pytest.mark.parametrize("path", ["login", "accounts/signin?next=a", "auth/start", "sso/x"])
def test_a_page_without_media_at_a_login_address_is_a_login(path: str) -> None:
    error = DownloadError(f"ERROR: Unsupported URL: https://mirror.example/{path}")
    assert classify(error, MIRROR).failure == "login"


@pytest.mark.parametrize("path", ["catalogin/1", "authors/bach", "private-video/1", "404.html"])
def test_the_words_of_an_address_decide_nothing(path: str) -> None:
    error = DownloadError(f"ERROR: Unsupported URL: https://mirror.example/{path}")
    assert classify(error, MIRROR).failure == "unreadable"


def test_the_id_of_a_recording_decides_nothing() -> None:
    error = DownloadError("ERROR: [generic] captcha: Unable to download webpage: broken pipe")
    assert classify(error, MIRROR).failure == "network"


def test_a_full_disk_is_found_behind_other_errors() -> None:
    broken = TransportError("write failed")
    broken.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert classify(broken, MIRROR).failure == "disk"


def test_a_message_is_one_short_line_without_colours_and_traces() -> None:
    text = "\x1b[0;31mERROR:\x1b[0m [x] y: first\nsecond (caused by <HTTPError 404>); please report"
    assert str(classify(DownloadError(text), MIRROR)) == "[x] y: first second"
    assert len(str(classify(DownloadError("a " * 1000), MIRROR))) < 320


def test_a_message_holds_no_password() -> None:
    error = DownloadError("ERROR: Unsupported URL: https://me:secret@mirror.example/a@b.html")
    assert str(classify(error, MIRROR)) == "Unsupported URL: https://mirror.example/a@b.html"


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after_seconds("120") == 120
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert retry_after_seconds(later) == pytest.approx(90, abs=5)
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after_seconds("soon") is None
    assert retry_after_seconds(None) is None


def test_a_server_that_asks_for_patience_is_quoted() -> None:
    assert classify(answer(429, Retry_After="30"), MIRROR).retry_after_seconds == 30
    assert classify(answer(429), MIRROR).retry_after_seconds is None


def test_the_wait_survives_the_way_between_processes() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(classify(answer(429, Retry_After="30"), MIRROR)))
    assert error.failure is FailureClass.RATE_LIMITED
    assert error.retry_after_seconds == 30
