"""What the demux scan says of every kind of file."""

import subprocess
from pathlib import Path

import pytest

from avpipe.errors import RecordingFailed
from avpipe.limits import MediaLimits
from avpipe.media import Scan, ffmpeg, scan
from avpipe.media.ending import cut_short
from avpipe.media.facts import AudioStream, VideoStream

RESOURCES = Path(__file__).parents[1] / "resources"
ODD = RESOURCES / "odd"

FRAMES = {  # T at 25 fps: round(25 * end of the last presented video packet), floor for sound
    "-näme with späces №1.mp4": 50,
    "audio_early.mkv": 51,
    "audio_late.mp4": 50,
    "audio_only.m4a": 50,
    "audio_shorter.mp4": 50,
    "clip.3gp": 50,
    "clip.avi": 51,
    "clip.flv": 51,
    "clip.ts": 51,
    "clip.webm": 50,
    "clip.wmv": 51,
    "cover_art.mp3": 50,
    "edit_list.mp4": 37,
    "fps_1.mp4": 50,
    "fps_2.mp4": 50,
    "fps_29.97.mp4": 50,
    "fps_60.mp4": 50,
    "odd_size_10bit_444.mp4": 50,
    "rotated_90.mp4": 50,
    "silent_audio.mp4": 50,
    "size_changes_25.mkv": 50,
    "size_changes_30.mkv": 50,
    "surround_96k.mkv": 50,
    "two_audio_tracks.mkv": 50,
    "vfr.mp4": 50,
    "video_only.mp4": 50,
}
BROKEN = {
    "html_error_page.mp4": "unreadable",
    "random_bytes.mp4": "unreadable",
    "truncated.webm": "truncated",
    "truncated_index_first.mp4": "truncated",
    "truncated_index_last.mp4": "unreadable",
    "zero_bytes.mp4": "unreadable",
}


def test_every_odd_file_is_in_one_of_the_two_tables() -> None:
    assert {path.name for path in ODD.iterdir()} == FRAMES.keys() | BROKEN.keys()


@pytest.mark.parametrize(("name", "frames"), FRAMES.items())
def test_a_readable_file_is_good_and_has_its_number_of_frames(name: str, frames: int) -> None:
    found = scan(ODD / name)
    assert (found.verdict, found.reason) == ("good", "")
    assert found.frames(25) == frames


@pytest.mark.parametrize(("name", "verdict"), BROKEN.items())
def test_a_broken_file_is_truncated_or_unreadable_and_says_why(name: str, verdict: str) -> None:
    found = scan(ODD / name)
    assert found.verdict == verdict
    assert found.reason


def test_the_facts_of_a_plain_file_are_those_of_its_packets() -> None:
    found = scan(RESOURCES / "urmp_09_vn_crop.mp4")
    assert found.video == VideoStream(0, "h264", 560, 480, 0, "yuv420p", "25", 5.0, 125, True)
    assert found.audio == AudioStream(1, "aac", 44100, 2, 0.0, 5.03873)
    assert found.bytes == 432878
    assert found.start_seconds == 0


def test_a_scan_reads_back_as_it_was_written(tmp_path: Path) -> None:
    for name in ("clip.webm", "audio_only.m4a", "zero_bytes.mp4"):
        found = scan(ODD / name)
        found.write(tmp_path)
        assert Scan.read(tmp_path) == found


def test_two_scans_write_the_same_bytes(tmp_path: Path) -> None:
    texts = []
    for _ in range(2):
        scan(ODD / "clip.ts").write(tmp_path)
        texts.append((tmp_path / "scan.json").read_bytes())
    assert texts[0] == texts[1]


def test_a_transport_stream_counts_from_its_own_start() -> None:
    found = scan(ODD / "clip.ts")
    assert found.start_seconds > 1
    assert found.audio is not None
    assert found.audio.start_seconds == pytest.approx(0, abs=0.05)


def test_discarded_packets_before_an_edit_are_not_presented() -> None:
    found = scan(ODD / "edit_list.mp4").video
    assert found is not None
    assert (found.packets, found.constant) == (37, False)


def test_a_turned_picture_keeps_its_stored_size_and_says_how_to_turn_it() -> None:
    found = scan(ODD / "rotated_90.mp4").video
    assert found is not None
    assert (found.width, found.height, found.rotation) == (160, 136, 270)


def test_cover_art_is_no_video() -> None:
    assert scan(ODD / "cover_art.mp3").video is None


def test_the_track_that_sounds_is_chosen_over_a_silent_default_one() -> None:
    found = scan(ODD / "two_audio_tracks.mkv").audio
    assert found is not None
    assert (found.index, found.sample_rate) == (2, 44100)


def test_the_only_track_is_chosen_although_it_is_silent() -> None:
    assert scan(ODD / "silent_audio.mp4").audio is not None


@pytest.mark.parametrize(
    ("limits", "unit"),
    [
        (MediaLimits(max_bytes=1000), "bytes"),
        (MediaLimits(max_seconds=1.5), "seconds"),
        (MediaLimits(max_pixels=160 * 136 - 1), "pixels"),
        (MediaLimits(max_streams=1), "streams"),
    ],
)
def test_a_file_beyond_a_limit_fails_with_that_limit(limits: MediaLimits, unit: str) -> None:
    with pytest.raises(RecordingFailed, match=unit) as caught:
        scan(ODD / "fps_60.mp4", limits)
    assert caught.value.failure == "limit"
    assert caught.value.permanent


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{target}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {target}\n",
    ],
    ids=["hls", "concat"],
)
def test_a_playlist_that_calls_itself_a_video_is_not_followed(tmp_path: Path, text: str) -> None:
    playlist = tmp_path / "media.mp4"
    playlist.write_text(text.format(target=(ODD / "clip.ts").resolve()))
    assert scan(playlist).verdict == "unreadable"


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a violinist in containers that are not in `odd/`, too."""
    folder = tmp_path_factory.mktemp("containers")
    for name in ("clip.webm", "clip.avi", "clip.flv", "clip.3gp", "clip.ts", "clip.wmv"):
        (folder / name).write_bytes((ODD / name).read_bytes())
    for name, codecs in {
        "clip.mpg": "-vf scale=160:136 -c:v mpeg2video -c:a mp2",
        "clip.m2ts": "-vf scale=160:136 -c:v mpeg2video -c:a mp2",
        "clip.ogv": "-vf scale=160:136 -c:v libtheora -c:a libvorbis",
        "clip.opus": "-vn -c:a libopus",
        "clip.wma": "-vn -c:a wmav2",
        "clip.caf": "-vn",
        "clip.aiff": "-vn",
        "clip.wav": "-vn",
        "clip.flac": "-vn",
    }.items():
        command = [ffmpeg.executable(), "-v", "error", "-i", RESOURCES / "urmp_09_vn_crop.mp4"]
        subprocess.run([*command, "-t", "2", *codecs.split(), folder / name], check=True)
    return folder


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.85])
def test_a_file_cut_anywhere_is_never_good(containers: Path, tmp_path: Path, share: float) -> None:
    for path in containers.iterdir():
        data = path.read_bytes()
        assert scan(path).verdict == "good", path.name
        (tmp_path / path.name).write_bytes(data[: int(len(data) * share) | 1])
        assert scan(tmp_path / path.name).verdict in ("truncated", "unreadable"), path.name


@pytest.mark.parametrize(("name", "packet"), [("clip.ts", 188), ("clip.m2ts", 192)])
def test_a_transport_stream_cut_between_packets_shows_it_in_its_sound(
    containers: Path, tmp_path: Path, name: str, packet: int
) -> None:
    data = (containers / name).read_bytes()
    count = len(data) // packet
    told = 0
    for packets in range(count // 2, count):
        (tmp_path / name).write_bytes(data[: packets * packet])
        told += "sound is not whole" in cut_short(tmp_path / name, {"mpegts"})
    assert told > count / 2 / 5  # as much as is sound


@pytest.mark.parametrize(("name", "packet"), [("clip.m2ts", 192), ("clip.mpg", 2048)])
def test_a_stream_cut_between_packets_shows_it_in_its_last_picture(
    containers: Path, tmp_path: Path, name: str, packet: int
) -> None:
    data = (containers / name).read_bytes()
    count, reasons = len(data) // packet, []
    for packets in range(count // 2, count, max(1, count // 40)):
        (tmp_path / name).write_bytes(data[: packets * packet])
        reasons.append(scan(tmp_path / name).reason)
    assert "its last picture is not whole" in reasons
    assert sum(map(bool, reasons)) > len(reasons) / 2


def test_sizes_that_were_not_known_when_a_header_was_written_say_nothing(
    containers: Path, tmp_path: Path
) -> None:
    wmv, avi = ((containers / f"clip.{name}").read_bytes() for name in ("wmv", "avi"))
    flags = wmv.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")) + 88
    (tmp_path / "live.wmv").write_bytes(wmv[:flags] + b"\1" + wmv[flags + 1 : len(wmv) // 2])
    assert cut_short(tmp_path / "live.wmv", {"asf"}) == ""
    for size in (bytes(4), b"\xff" * 4):
        (tmp_path / "live.avi").write_bytes(avi[:4] + size + avi[8:-100])
        assert cut_short(tmp_path / "live.avi", {"avi"}) == ""


def test_less_than_a_frame_is_unreadable() -> None:
    with pytest.raises(RecordingFailed, match="less than a frame"):
        scan(ODD / "fps_60.mp4").frames(0.1)
