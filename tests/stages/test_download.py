"""Downloads in every mood of a web server, and from folders: what is kept, what fails as what."""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from artifacts import ODD, RESOURCES
from avpipe.config import key_parameters
from avpipe.errors import RecordingFailed, UsageError
from avpipe.fetch import licences
from avpipe.limits import MediaLimits
from avpipe.media import Scan, scan
from avpipe.media.facts import media_file
from avpipe.stages import Facts, Job, download
from avpipe.types import Recording
from web import Server, serve

CLIP = "clip.webm"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(ODD) as running:
        yield running


def fetch(url: str, out: Path, recording_id: str = "clip", **options: object) -> Facts:
    out.mkdir(exist_ok=True)
    recording = Recording(recording_id, "violin", url=url)
    return download.run(Job(recording, download.Config(**options), {}, out))  # type: ignore[arg-type]


def failure(url: str, out: Path, **options: object) -> RecordingFailed:
    with pytest.raises(RecordingFailed) as caught:
        fetch(url, out, **options)
    assert list(out.iterdir()) == []  # nothing half done is left
    return caught.value


@pytest.mark.parametrize("mood", ["good", "no-ranges", "reset-once", "half-once"])
def test_what_arrives_whole_is_kept_however_it_came(
    mood: str, server: Server, tmp_path: Path
) -> None:
    facts = fetch(server.url(mood, CLIP), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "info.sidecar.json",
        "media.webm",
        "scan.json",
    ]
    assert (tmp_path / "out" / "media.webm").read_bytes() == (ODD / CLIP).read_bytes()
    assert Scan.read(tmp_path / "out").verdict == "good"
    assert facts["bytes"] == (ODD / CLIP).stat().st_size


FAILURES = {  # mood: (class, permanent)
    "challenge": ("bot", False),
    "401": ("login", True),
    "403": ("private", True),
    "404": ("removed", True),
    "410": ("removed", True),
    "451": ("geo", True),
    "500": ("network", False),
    "503": ("network", False),
    "too-many": ("rate_limited", False),
    "reset": ("network", False),
    "half-of-its-length": ("network", False),
    "half-of-half-length": ("truncated", True),
    "half-of-no-length": ("truncated", True),
    "changing": ("truncated", False),
    "announces-more": ("truncated", True),
    "to-login": ("login", True),
    "apology": ("unreadable", True),
    "apology-as-video": ("unreadable", True),
}


@pytest.mark.parametrize(("mood", "expected"), FAILURES.items())
def test_every_mood_lands_in_its_class(
    mood: str, expected: tuple[str, bool], server: Server, tmp_path: Path
) -> None:
    error = failure(server.url(mood, CLIP), tmp_path / "out")
    assert (error.failure.value, error.permanent) == expected
    assert "\n" not in str(error)


@pytest.mark.parametrize("mood", ["slow", "stalls"])
def test_five_bytes_a_second_are_a_timeout(mood: str, server: Server, tmp_path: Path) -> None:
    error = failure(server.url(mood, CLIP), tmp_path / "out", stall_seconds=1.0)
    assert (error.failure, error.permanent) == ("timeout", False)
    assert "bytes arrived in" in str(error)


def test_a_download_ends_at_its_time_limit_whatever_it_waits_for(
    server: Server, tmp_path: Path
) -> None:
    error = failure(server.url("silent", CLIP), tmp_path / "out", timeout_seconds=1.5)
    assert error.failure == "timeout"


def test_half_a_file_that_looks_whole_is_known_by_its_announced_size(
    server: Server, tmp_path: Path
) -> None:
    """Half of this transport stream ends with a whole packet, between those of sound."""
    half = ODD / "clip.ts"
    (tmp_path / "half.ts").write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    assert scan(tmp_path / "half.ts").verdict == "good"
    error = failure(server.url("announces-size", "clip.ts"), tmp_path / "out")
    assert (error.failure, error.permanent) == ("truncated", True)
    assert "its site announced 27,824" in str(error)


def test_a_server_that_asks_for_patience_is_quoted(server: Server, tmp_path: Path) -> None:
    error = failure(server.url("too-many", CLIP), tmp_path / "out")
    assert error.retry_after_seconds == 30


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/clip.mp4", "http://no-such-host.invalid/clip.mp4"]
)
def test_a_dead_network_is_noticed_quickly(url: str, tmp_path: Path) -> None:
    error = failure(url, tmp_path / "out")
    assert (error.failure, error.permanent) == ("network", False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("zero_bytes.mp4", "unreadable"),
        ("random_bytes.mp4", "unreadable"),
        ("html_error_page.mp4", "unreadable"),
        ("truncated_index_last.mp4", "unreadable"),
        ("truncated_index_first.mp4", "truncated"),
        ("truncated.webm", "truncated"),
    ],
)
@pytest.mark.parametrize("way", ["web", "folder"])
def test_a_broken_file_fails_for_good_wherever_it_is(
    way: str, name: str, expected: str, server: Server, tmp_path: Path
) -> None:
    url = server.url("good", name) if way == "web" else str(ODD / name)
    error = failure(url, tmp_path / "out")
    assert (error.failure, error.permanent) == (expected, True)


@pytest.mark.parametrize(
    ("option", "failure_class"),
    [
        ({"limits": MediaLimits(max_bytes=1000)}, "limit"),
        ({"limits": MediaLimits(max_seconds=1.0)}, "limit"),
        ({"limits": MediaLimits(max_pixels=100)}, "limit"),
        ({"limits": MediaLimits(max_streams=1)}, "limit"),
        ({"min_free_bytes": 1 << 60}, "disk"),
    ],
)
def test_limits_hold_before_or_after_the_download(
    option: dict[str, float], failure_class: str, server: Server, tmp_path: Path
) -> None:
    assert failure(server.url("good", CLIP), tmp_path / "out", **option).failure == failure_class


def test_an_announced_duration_beyond_the_limit_is_not_downloaded(
    server: Server, tmp_path: Path
) -> None:
    name = "-näme with späces №1.mp4"  # asked for by no other test
    error = failure(
        server.url("announces-more", name), tmp_path / "out", limits=MediaLimits(max_seconds=30.0)
    )
    assert error.failure == "limit"
    assert server.requests[quote(f"/good/{name}")] < 2  # its headers are looked at, as ever


@pytest.mark.parametrize(
    ("option", "text"),
    [({"cookies_file": "/no/cookies.txt"}, "no file"), ({"format": "bv*["}, "download.format")],
)
def test_an_option_that_cannot_be_used_is_a_usage_error(
    option: dict[str, str], text: str, server: Server, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=text):
        fetch(server.url("good", CLIP), tmp_path / "out", **option)


def test_a_file_without_a_length_stops_at_the_limit(server: Server, tmp_path: Path) -> None:
    error = failure(
        server.url("half-of-no-length", CLIP), tmp_path / "out", limits=MediaLimits(max_bytes=5000)
    )
    assert error.failure == "limit"


def test_the_sidecar_says_what_the_site_says_and_no_secrets(server: Server, tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(
        "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tsecret-value\n"
    )
    url = server.url("good", CLIP).replace("http://", "http://me:my-password@")
    facts = fetch(url, tmp_path / "out", cookies_file=str(cookies))
    assert facts["url"] == server.url("good", CLIP)
    text = (tmp_path / "out" / "info.sidecar.json").read_text()
    info = json.loads(text)
    assert {"id", "title", "extractor", "format_id", "ext", "webpage_url", "yt_dlp"} <= info.keys()
    for secret in ("secret-value", "my-password", str(tmp_path), "Cookie", "User-Agent"):
        assert secret not in text
    assert "formats" not in info
    assert "session" in cookies.read_text()  # the file itself is as it was
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "info.sidecar.json",
        "media.webm",
        "scan.json",
    ]


def test_further_options_reach_the_downloader(server: Server, tmp_path: Path) -> None:
    error = failure(server.url("good", CLIP), tmp_path / "out", ytdlp={"match_filter": _reject})
    assert error.failure == "unreadable"


def _reject(info: object, *, incomplete: bool) -> str:
    return "not this one"


def test_every_request_goes_through_the_proxy(server: Server, tmp_path: Path) -> None:
    """The host does not exist: only the proxy can have answered."""
    fetch(f"http://no-such-host.invalid/good/{CLIP}", tmp_path / "out", proxy=server.address)
    assert (tmp_path / "out" / "media.webm").read_bytes() == (ODD / CLIP).read_bytes()
    assert server.requests[f"http://no-such-host.invalid/good/{CLIP}"] == 2


def test_a_rate_limit_is_kept(server: Server, tmp_path: Path) -> None:
    started = time.monotonic()
    fetch(server.url("good", CLIP), tmp_path / "out", rate_limit_bytes=8000)
    assert time.monotonic() - started > 0.75 * (ODD / CLIP).stat().st_size / 8000


def test_cookies_are_sent_and_their_file_stays_as_it_is(server: Server, tmp_path: Path) -> None:
    """The server sets another one, which yt-dlp writes into the file that it was given."""
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(
        "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tof-mine\n"
    )
    before = cookies.read_bytes()
    server.cookies.clear()
    fetch(server.url("sets-cookie", CLIP), tmp_path / "out", cookies_file=str(cookies))
    assert all("session=of-mine" in sent for sent in server.cookies)
    assert "from=server" in server.cookies[-1]
    assert cookies.read_bytes() == before


def test_cookies_are_taken_from_a_browser(server: Server, tmp_path: Path) -> None:
    """A profile as Firefox keeps it."""
    (tmp_path / "profile").mkdir()
    with sqlite3.connect(tmp_path / "profile" / "cookies.sqlite") as database:
        database.execute("CREATE TABLE moz_cookies (host, name, value, path, expiry, isSecure)")
        row = ("127.0.0.1", "session", "of-the-browser", "/", int(time.time()) + 1000, 0)
        database.execute("INSERT INTO moz_cookies VALUES (?, ?, ?, ?, ?, ?)", row)
    server.cookies.clear()
    browser = f"firefox:{tmp_path / 'profile'}"
    fetch(server.url("good", CLIP), tmp_path / "out", cookies_from_browser=browser)
    assert all("session=of-the-browser" in sent for sent in server.cookies)
    assert server.cookies


def test_a_disk_that_fills_up_meanwhile_stops_the_download(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something else takes the space as soon as the first bytes are there."""
    arrived = lambda: any(p.stat().st_size for p in tmp_path.rglob("*.part"))  # noqa: E731
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 50 if arrived() else 1 << 40)
    )
    error = failure(server.url("stalls", CLIP), tmp_path / "out", min_free_bytes=100)
    assert (error.failure, error.permanent) == ("disk", False)


def test_nothing_is_written_to_standard_output(
    server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fetch(server.url("good", CLIP), tmp_path / "good")
    failure(server.url("404", CLIP), tmp_path / "bad")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("place", ["", "violin/"])
@pytest.mark.parametrize("name", ["clip", "-dash", "[a-z]*", "näme №1", "v1.2"])
def test_a_folder_gives_the_file_of_the_id(name: str, place: str, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    (mirror / place).mkdir(parents=True)
    for other in (f"{name}.json", f"{name}.jpg", f"{name}2.webm", "a.webm"):
        (mirror / place / other).write_bytes(b"not it")
    os.link(RESOURCES / "urmp_09_vn_crop.mp4", mirror / place / f"{name}.MP4")
    fetch(str(mirror), tmp_path / "out", recording_id=name)
    assert media_file(tmp_path / "out").name == "media.mp4"
    assert Scan.read(tmp_path / "out").verdict == "good"


def test_a_folder_without_the_file_means_removed(tmp_path: Path) -> None:
    error = failure(str(RESOURCES), tmp_path / "out")
    assert (error.failure, error.permanent) == ("removed", True)


def test_a_recording_without_a_source_is_a_usage_error(tmp_path: Path) -> None:
    job = Job(Recording("clip", "violin"), download.Config(), {}, tmp_path)
    with pytest.raises(UsageError, match="no source"):
        download.run(job)


def test_no_parameter_is_in_the_key() -> None:
    assert key_parameters(download.Config()) == {}
    assert download.tool(download.Config()) == {}


@pytest.mark.parametrize("licence", ["CC-BY-4.0", "cc0-1.0"])
def test_a_recording_of_the_required_licence_is_fetched(licence, tmp_path):
    recording = Recording("clip", "violin", url=str(ODD / CLIP), licence=licence)
    config = download.Config(require_licence="CC*")
    download.run(Job(recording, config, {}, tmp_path))
    assert (tmp_path / "media.webm").exists()


@pytest.mark.parametrize("licence", ["all rights reserved", ""])
def test_another_licence_is_refused_before_anything_is_fetched(licence, server, tmp_path):
    """Of the dataset's own licence; the page of a plain file states none."""
    url = server.url("good", "vfr.mp4")
    before = server.requests.total()
    error = failure(url, tmp_path / "out", require_licence="CC*", licence=licence)
    assert (error.failure, error.permanent) == ("copyright", True)
    assert f"its licence is {licence!r}" in str(error)
    assert server.requests.total() - before <= 1  # to see what is there


def test_a_recordings_own_licence_wins_over_its_datasets(tmp_path):
    recording = Recording("clip", "violin", url=str(ODD / CLIP), licence="none")
    config = download.Config(require_licence="CC*", licence="CC0-1.0")
    with pytest.raises(RecordingFailed, match="its licence is 'none'"):
        download.run(Job(recording, config, {}, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_sites_spell_licences_in_their_own_way():
    licences.require("CC-BY*", "Creative Commons Attribution license (reuse allowed)")
    with pytest.raises(RecordingFailed):
        licences.require("CC0*", "Creative Commons Attribution license (reuse allowed)")


def test_media_that_were_removed_on_request_are_refused(tmp_path):
    digest = str(fetch(str(ODD / CLIP), tmp_path / "first")["sha256"])
    with pytest.raises(RecordingFailed, match="removed on request") as caught:
        fetch(str(ODD / CLIP), tmp_path / "second", recording_id="other", refused=(digest,))
    assert (caught.value.failure, caught.value.permanent) == ("removed", True)
