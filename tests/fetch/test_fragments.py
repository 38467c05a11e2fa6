"""What arrives in fragments goes on with those that are there, if they are still the same."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from artifacts import RESOURCES
from avpipe.errors import RecordingFailed
from avpipe.media.facts import media_file
from avpipe.stages import Job, download
from avpipe.types import Recording
from web import Server, serve

MEDIA = (RESOURCES / "urmp_09_vn_crop.mp4").read_bytes()
OTHER = (RESOURCES / "urmp_09_tpt_crop.mp4").read_bytes()
PIECES = 6
URL = "/mirror/list.m3u8"


def publish(folder: Path, media: bytes, *, pieces: int = PIECES, ranges: bool = False) -> None:
    """The media as an HLS list of pieces: files of their own, or ranges of two files that follow
    each other without saying where they begin."""
    cuts = [len(media) * i // pieces for i in range(pieces + 1)]
    lines = ["#EXTM3U", "#EXT-X-VERSION:4", "#EXT-X-TARGETDURATION:1"]
    (folder / "a.mp4").write_bytes(media[: cuts[4]])
    (folder / "b.mp4").write_bytes(media[cuts[4] :])
    for i, (start, stop) in enumerate(pairwise(cuts)):
        (folder / f"{i}.mp4").write_bytes(media[start:stop])
        lines.append("#EXTINF:1.0,")
        lines += [f"#EXT-X-BYTERANGE:{stop - start}{'@0' * (i in (0, 4))}"] if ranges else []
        lines.append(("a.mp4" if i < 4 else "b.mp4") if ranges else f"{i}.mp4")
    (folder / "list.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web").mkdir()
    publish(tmp_path / "web", MEDIA)
    return tmp_path / "web"


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with serve(folder) as running:
        yield running


def attempt(server: Server, folder: Path) -> bytes:
    """The media that one attempt brings."""
    out = folder.parent / f"out-{len(list(folder.parent.iterdir()))}"
    out.mkdir()
    recording = Recording("violin", "violin", url=server.address + URL)
    config = download.Config(retries=0, min_free_bytes=0, ytdlp={"fixup": "never"})
    download.run(Job(recording, config, {}, out, folder.parent / "partial"))
    return media_file(out).read_bytes()


def break_off(server: Server, folder: Path, at: int, mood: str = "third") -> None:
    """An attempt that ends in piece `at`."""
    server.moods[f"{at}.mp4"] = mood
    with pytest.raises(RecordingFailed):
        attempt(server, folder)
    server.moods.clear()
    server.requests.clear()


def fetched(server: Server) -> list[int]:
    """The pieces that were asked for since the last break-off."""
    return sorted(i for i in range(PIECES) if server.requests[f"/mirror/{i}.mp4"])


def kept(folder: Path) -> list[str]:
    partial = folder.parent / "partial"
    return sorted(p.name.split("Frag")[1] for p in partial.iterdir() if "Frag" in p.name)


@pytest.mark.parametrize("mood", ["third", "503"])
def test_only_what_is_left_and_the_last_piece_are_fetched(
    server: Server, folder: Path, mood: str
) -> None:
    break_off(server, folder, 4, mood)
    assert set("1234") <= set(kept(folder))  # numbered from 1
    assert attempt(server, folder) == MEDIA
    assert fetched(server) == [3, 4, 5]
    assert kept(folder) == []


def test_attempts_that_bring_nothing_take_nothing_away(server: Server, folder: Path) -> None:
    break_off(server, folder, 4)
    for _ in range(3):
        break_off(server, folder, 3, "503")
    assert attempt(server, folder) == MEDIA
    assert fetched(server) == [3, 4, 5]


@pytest.mark.parametrize("pieces", [PIECES, PIECES + 1])
def test_another_file_at_the_same_address_starts_anew(
    server: Server, folder: Path, pieces: int
) -> None:
    """With pieces that are other ones, or more of them."""
    break_off(server, folder, 4)
    publish(folder, OTHER, pieces=pieces)
    assert attempt(server, folder) == OTHER


def test_two_files_are_not_mixed_over_three_attempts(server: Server, folder: Path) -> None:
    break_off(server, folder, 4)
    publish(folder, OTHER)
    break_off(server, folder, 5)
    assert attempt(server, folder) == OTHER


def test_ranges_of_a_file_are_put_together_in_their_places(server: Server, folder: Path) -> None:
    """yt-dlp's own way of going on takes them from the start of the file."""
    publish(folder, MEDIA, ranges=True)
    server.moods["b.mp4"] = "503"
    with pytest.raises(RecordingFailed):
        attempt(server, folder)
    server.moods.clear()
    server.requests.clear()
    assert attempt(server, folder) == MEDIA
    assert (server.requests["/mirror/a.mp4"], server.requests["/mirror/b.mp4"]) == (1, 2)


def test_an_empty_piece_is_fetched_again(server: Server, folder: Path) -> None:
    """As a machine leaves it that lost its power."""
    break_off(server, folder, 4)
    (piece,) = (folder.parent / "partial").glob("*-Frag2")
    piece.write_bytes(b"")
    assert attempt(server, folder) == MEDIA
    assert fetched(server) == [1, 3, 4, 5]


def test_a_killed_process_leaves_what_can_be_gone_on_with(server: Server, folder: Path) -> None:
    server.moods["4.mp4"] = "silent"
    code = (
        "import sys; from pathlib import Path; from avpipe.stages import Job, download;"
        "from avpipe.types import Recording; out, partial = map(Path, sys.argv[2:]); out.mkdir();"
        "config = download.Config(retries=0, min_free_bytes=0);"
        "recording = Recording('violin', 'violin', url=sys.argv[1]);"
        "download.run(Job(recording, config, {}, out, partial))"
    )
    for number in range(2):  # the second is killed while the last piece is compared
        places = [str(folder.parent / f"killed-{number}"), str(folder.parent / "partial")]
        process = subprocess.Popen([sys.executable, "-c", code, server.address + URL, *places])
        deadline = time.monotonic() + 60
        while server.requests["/mirror/4.mp4"] <= number:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    server.moods.clear()
    server.requests.clear()
    assert attempt(server, folder) == MEDIA
    assert fetched(server) == [3, 4, 5]
