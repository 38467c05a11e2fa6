"""DASH: picture and sound arrive apart, each in fragments, and go on with those that are there."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts import RESOURCES
from avpipe.errors import RecordingFailed
from avpipe.media import ffmpeg
from avpipe.media.facts import media_file
from avpipe.stages import Job, download
from avpipe.types import Recording
from web import Server, serve

VIOLIN, TRUMPET = RESOURCES / "urmp_09_vn_crop.mp4", RESOURCES / "urmp_09_tpt_crop.mp4"
PICTURE = ["0-init", *(f"0-{number}" for number in range(1, 6))]
SOUND = ["1-init", *(f"1-{number}" for number in range(1, 6))]


def publish(folder: Path, media: Path) -> None:
    """Five seconds as DASH, a fragment a second."""
    command = [ffmpeg.executable(), "-v", "error", "-y", "-i", media, "-vf", "scale=64:48"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-sc_threshold", "0"]
    command += ["-c:a", "aac", "-threads", "1", "-bitexact", "-f", "dash", "-seg_duration", "1"]
    command += ["-init_seg_name", "$RepresentationID$-init.m4s"]
    command += ["-media_seg_name", "$RepresentationID$-$Number$.m4s", folder / "list.mpd"]
    subprocess.run(list(map(str, command)), check=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web").mkdir()
    publish(tmp_path / "web", VIOLIN)
    return tmp_path / "web"


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with serve(folder) as running:
        yield running


def attempt(server: Server, folder: Path, partial: str = "partial") -> bytes:
    """The media that one attempt brings."""
    out = folder.parent / f"out-{len(list(folder.parent.iterdir()))}"
    out.mkdir()
    recording = Recording("violin", "violin", url=f"{server.address}/mirror/list.mpd")
    config = download.Config(retries=0, min_free_bytes=0)
    download.run(Job(recording, config, {}, out, folder.parent / partial))
    return media_file(out).read_bytes()


def break_off(server: Server, folder: Path, piece: str, mood: str) -> None:
    """An attempt that ends in a piece."""
    server.moods[f"{piece}.m4s"] = mood
    with pytest.raises(RecordingFailed):
        attempt(server, folder)
    server.moods.clear()
    server.requests.clear()


def undisturbed(server: Server, folder: Path) -> bytes:
    """What an attempt brings that has nothing to go on with."""
    media = attempt(server, folder, partial="other")
    assert fetched(server) == sorted(PICTURE + SOUND)
    server.requests.clear()
    return media


def fetched(server: Server) -> list[str]:
    """The pieces that were asked for."""
    return sorted(Path(path).stem for path in server.requests if path.endswith(".m4s"))


@pytest.mark.parametrize("mood", ["third", "503"])
def test_a_picture_goes_on_with_what_has_arrived_of_it(
    server: Server, folder: Path, mood: str
) -> None:
    whole = undisturbed(server, folder)
    break_off(server, folder, "0-4", mood)
    assert attempt(server, folder) == whole
    assert fetched(server) == ["0-3", "0-4", "0-5", *sorted(SOUND)]


def test_a_sound_goes_on_beside_the_whole_picture(server: Server, folder: Path) -> None:
    whole = undisturbed(server, folder)
    break_off(server, folder, "1-3", "503")
    assert attempt(server, folder) == whole
    assert fetched(server) == ["0-5", "1-2", "1-3", "1-4", "1-5"]


@pytest.mark.parametrize("piece", ["0-4", "1-init", "1-3"])
def test_another_recording_at_the_same_address_starts_anew(
    server: Server, folder: Path, piece: str
) -> None:
    """Also where all of the picture had arrived, and nothing or some of the sound."""
    break_off(server, folder, piece, "503")
    publish(folder, TRUMPET)
    other = undisturbed(server, folder)
    assert attempt(server, folder) == other
