"""Downloads that are cut off go on where they ended; what has changed meanwhile starts anew."""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts import RESOURCES
from avpipe.engine.child import Child
from avpipe.engine.work import Order, perform
from avpipe.errors import FailureClass, RecordingFailed
from avpipe.fetch.partial import hold, owners
from avpipe.limits import TaskLimits
from avpipe.media import ffmpeg
from avpipe.media.facts import media_file
from avpipe.stages import Job, download
from avpipe.store import Store
from avpipe.types import Recording
from web import Server, serve

NAME, PATH = "violin.mp4", "/mirror/violin.mp4"
MEDIA_FILE = RESOURCES / "urmp_09_vn_crop.mp4"
MEDIA = MEDIA_FILE.read_bytes()
SIZE = len(MEDIA)
OVERLAP = 8192


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web").mkdir()
    shutil.copy(MEDIA_FILE, tmp_path / "web" / NAME)
    shutil.copy(RESOURCES / "urmp_09_tpt_crop.mp4", tmp_path / "web" / "other.mp4")
    return tmp_path / "web"


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with serve(folder) as running:
        yield running


def publish_tracks(folder: Path, media: Path) -> None:
    """Picture and sound as a file each, and the list of both."""
    command = [ffmpeg.executable(), "-v", "error", "-y", "-i", media, "-bitexact", "-c", "copy"]
    command += ["-an", folder / "picture.mp4", "-bitexact", "-c", "copy", "-vn"]
    subprocess.run([*map(str, command), folder / "sound.mp4"], check=True)
    sets = "".join(
        f'<AdaptationSet><Representation id="{name}" mimeType="{kind}/mp4" codecs="{codec}">'
        f"<BaseURL>{name}.mp4</BaseURL></Representation></AdaptationSet>"
        for name, kind, codec in (
            ("picture", "video", "avc1.42c01e"),
            ("sound", "audio", "mp4a.40.2"),
        )
    )
    (folder / "tracks.mpd").write_text(
        f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>{sets}</Period></MPD>'
    )


class Place:
    """A recording's partial folder, and attempts at it that get no second chance by themselves."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.partial, self._folder, self.server = folder / "partial", folder, server
        self._attempts = 0

    def attempt(self, mood: str, url: str = "", **options: object) -> bytes:
        """The media that one attempt brings."""
        self._attempts += 1
        out = self._folder / f"out-{self._attempts}"
        out.mkdir()
        self.server.moods[NAME] = mood
        recording = Recording("violin", "violin", url=url or self.server.url("mirror", NAME))
        config = download.Config(retries=0, **options)  # type: ignore[arg-type]
        download.run(Job(recording, config, {}, out, self.partial))
        return media_file(out).read_bytes()

    def fail(self, mood: str, **options: object) -> RecordingFailed:
        with pytest.raises(RecordingFailed) as caught:
            self.attempt(mood, **options)
        return caught.value

    def received(self) -> int:
        """Bytes of the parts that are there."""
        return sum(path.stat().st_size for path in self.partial.glob("*.part"))

    def last_range(self) -> str | None:
        return self.server.ranges[PATH][-1]


@pytest.fixture
def place(tmp_path: Path, server: Server) -> Place:
    return Place(tmp_path, server)


@pytest.mark.parametrize("headers", [{}, {"ETag": '"1"'}, {"Last-Modified": "yesterday"}])
def test_a_reset_in_the_middle_costs_only_what_is_left(
    place: Place, headers: dict[str, str]
) -> None:
    place.server.headers = headers
    assert place.fail("third").failure == "network"
    first = place.received()
    assert 0 < first <= SIZE // 3
    assert place.fail("third").failure == "network"
    second = place.received()
    assert place.last_range() == f"bytes={first - OVERLAP}-"
    assert first < second <= first - OVERLAP + SIZE // 3
    place.server.sent.clear()
    assert place.attempt("good") == MEDIA
    assert place.last_range() == f"bytes={second - OVERLAP}-"
    looked = place.server.sent[PATH] - (SIZE - second + OVERLAP)
    assert looked == SIZE or looked < 1 << 16  # the same bytes, after a look at what is there


def test_a_timeout_goes_on_as_well(place: Place) -> None:
    assert place.fail("stalls", stall_seconds=1.0).failure == "timeout"
    received = place.received()
    assert received > OVERLAP
    assert place.attempt("good") == MEDIA
    assert place.last_range() == f"bytes={received - OVERLAP}-"


@pytest.mark.parametrize("mood", ["whole", "416-ranges", "501-ranges"])
def test_who_refuses_ranges_is_asked_for_the_whole(place: Place, mood: str) -> None:
    place.fail("whole-third")
    assert place.received()
    assert place.attempt(mood) == MEDIA


def _padded(media: bytes, size: int) -> bytes:
    """The same mp4 in so many bytes: it may end with a box of padding."""
    return (media + (size - len(media)).to_bytes(4, "big") + b"free").ljust(size, b"\0")


@pytest.mark.parametrize("change", ["size", "etag", "nothing it says", "shorter"])
def test_a_file_that_has_changed_starts_anew(place: Place, folder: Path, change: str) -> None:
    other = (folder / "other.mp4").read_bytes()
    if change == "nothing it says":  # of the same size, and the server says no more than that
        (folder / NAME).write_bytes(_padded(MEDIA, len(other)))
    elif change == "etag":
        place.server.headers = {"ETag": '"1"'}
    place.fail("third")
    place.fail("third")
    if change == "etag":
        place.server.headers = {"ETag": '"2"'}
    elif change == "shorter":
        other = (RESOURCES / "odd" / "clip.3gp").read_bytes()
    (folder / NAME).write_bytes(other)
    assert place.attempt("good") == other


def test_another_address_or_format_starts_anew(place: Place) -> None:
    place.fail("third")
    other = place.server.url("good", "other.mp4")
    assert place.attempt("good", url=other) != MEDIA
    assert place.server.ranges["/good/other.mp4"][-1] is None


def test_parts_and_fragments_of_unknown_files_start_anew(place: Place) -> None:
    """Their state is not known to be what is in the file."""
    place.fail("third")
    part = next(place.partial.glob("*.part"))
    for name in ("media.hls.mp4.part", "media.hls.mp4.ytdl", "media.hls.mp4.part-Frag7"):
        (place.partial / name).write_bytes(b"x")
    with hold(place.partial, Recording("violin", "violin"), place.server.url("mirror", NAME)):
        assert {p.name for p in place.partial.iterdir()} == {part.name, "partial.json", "lock"}


def test_of_a_whole_file_that_waits_only_the_end_is_fetched_again(place: Place) -> None:
    """Killed between the last byte and the end of the attempt."""
    place.fail("third")
    part = next(place.partial.glob("*.part"))
    part.write_bytes(MEDIA)
    part.rename(part.with_suffix(""))
    place.server.sent.clear()
    assert place.attempt("good") == MEDIA
    assert place.last_range() == f"bytes={SIZE - OVERLAP}-"
    looked = place.server.sent[PATH] - OVERLAP
    assert looked == SIZE or looked < 1 << 16


def test_a_picture_never_meets_the_sound_of_another_recording(place: Place, folder: Path) -> None:
    """They arrive one after the other, and the address is given another recording in between."""
    url = place.server.url("mirror", "tracks.mpd")
    place.server.moods["sound.mp4"] = "503"
    publish_tracks(folder, MEDIA_FILE)
    with pytest.raises(RecordingFailed):
        place.attempt("good", url)
    assert list(place.partial.glob("*.mp4"))
    publish_tracks(folder, folder / "other.mp4")
    place.server.moods.clear()
    again = place.attempt("good", url)
    shutil.rmtree(place.partial)
    assert place.attempt("good", url) == again


def test_a_whole_picture_waits_for_its_sound(place: Place, folder: Path) -> None:
    url = place.server.url("mirror", "tracks.mpd")
    place.server.moods["sound.mp4"] = "503"
    publish_tracks(folder, MEDIA_FILE)
    with pytest.raises(RecordingFailed):
        place.attempt("good", url)
    place.server.moods.clear()
    place.attempt("good", url)
    size = (folder / "picture.mp4").stat().st_size
    assert place.server.ranges["/mirror/picture.mp4"] == [None, f"bytes={size - OVERLAP}-"]


def test_what_is_no_whole_file_is_fetched_anew_and_not_gone_on_with(place: Place) -> None:
    place.fail("third")
    part = next(place.partial.glob("*.part"))
    part.rename(part.with_suffix(""))
    assert place.attempt("good") == MEDIA


def test_cookies_do_not_stay_with_what_has_arrived(place: Place, tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(
        "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tsecret-value\n"
    )
    place.fail("third", cookies_file=str(cookies))
    kept = b"".join(path.read_bytes() for path in place.partial.iterdir())
    assert len(kept) > 2 * OVERLAP
    assert b"secret-value" not in kept


def test_what_has_arrived_counts_for_the_limit_and_not_twice_for_the_disk(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.fail("third")
    free = SIZE - place.received() + OVERLAP + 4096
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, free))
    assert place.attempt("good", min_free_bytes=0) == MEDIA


def test_two_processes_never_write_into_one_file(place: Place) -> None:
    recording = Recording("violin", "violin")
    with hold(place.partial, recording, place.server.url("mirror", NAME)):
        assert place.attempt("good") == MEDIA
        assert place.received() == 0


@pytest.mark.parametrize("note", ["{", "[]", '{"versions": {}}', '{"versions": {"a": 1}}'])
def test_a_damaged_note_starts_anew(place: Place, note: str) -> None:
    place.fail("third")
    (place.partial / "partial.json").write_text(note)
    assert place.attempt("good") == MEDIA
    assert place.last_range() is None


def test_attempts_that_bring_nothing_take_nothing_away(place: Place) -> None:
    place.fail("third")
    received = place.received()
    for _ in range(3):
        assert place.fail("503").failure == "network"
        assert place.received() == received
    assert place.attempt("good") == MEDIA
    assert place.last_range() == f"bytes={received - OVERLAP}-"


def test_it_is_known_whose_it_is(place: Place, tmp_path: Path) -> None:
    recording = Recording("cut-1", "violin", extra={"video": "v"})
    with hold(place.partial, recording, "http://me:secret@host/v"):
        assert owners(place.partial) == {"cut-1", "v"}
        assert "secret" not in (place.partial / "partial.json").read_text()
    assert owners(tmp_path / "nowhere") == frozenset()


def order(store: Store, server: Server, **options: object) -> Order:
    config = download.Config(min_free_bytes=0, **options)  # type: ignore[arg-type]
    recording = Recording("violin", "violin", url=server.url("mirror", NAME))
    return Order(
        store.root, "download", "k" * 64, {}, {}, recording, config, {}, TaskLimits(seconds=60.0)
    )


def test_a_killed_child_costs_only_what_is_left(tmp_path: Path, server: Server) -> None:
    store, server.moods[NAME] = Store(tmp_path / "work"), "stalls"
    child, outcomes = Child(), []
    thread = threading.Thread(target=lambda: outcomes.append(child.perform(order(store, server))))
    thread.start()
    deadline = time.monotonic() + 60
    while sum(p.stat().st_size for _, f in store.partials() for p in f.iterdir()) < 2 * OVERLAP:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.kill()  # SIGKILL
    thread.join()
    assert outcomes[0].failure is FailureClass.CRASHED
    received = sum(p.stat().st_size for _, f in store.partials() for p in f.glob("*.part"))
    server.moods[NAME] = "good"
    outcome = child.perform(order(store, server))
    child.close()
    assert outcome.artifact is not None
    assert server.ranges[PATH][-1] == f"bytes={received - OVERLAP}-"
    assert media_file(store.path("download", "k" * 64)).read_bytes() == MEDIA
    assert store.partials() == []
    assert store.problems("download", "k" * 64) == []
    assert [stage for stage, _ in store.artifacts()] == ["download"]


def test_what_arrives_stays_as_long_as_the_failure_may_pass(tmp_path: Path, server: Server) -> None:
    store, server.moods[NAME] = Store(tmp_path / "work"), "third"
    assert perform(order(store, server, retries=0)).failure == "network"
    assert [key for key, _ in store.partials()] == ["k" * 64]
    assert [stage for stage, _ in store.artifacts()] == []
