"""Players of real clips side by side: found from left to right, each with a video and a stem."""

import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
from scipy.signal import correlate

from avpipe.errors import UsageError
from avpipe.media import ffmpeg, scan
from avpipe.players import Place
from avpipe.separation import footage, separate
from clips import RESOURCES
from untrained_run import make_run

WIDTH, HEIGHT = 560, 480
"""Of each of the two clips."""
LATE = 0.2
"""Seconds after the pictures at which the sound of the duet begins."""


@pytest.fixture(scope="module")
def duet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trumpeter to the left of a violinist, 2 s, with the sound of both in stereo."""
    path = tmp_path_factory.mktemp("duet") / "duet.mp4"
    left, right = (str(RESOURCES / f"urmp_09_{name}_crop.mp4") for name in ("tpt", "vn"))
    graph = "[0:v][1:v]hstack[v];[2:a][3:a]join=inputs=2:channel_layout=stereo[a]"
    inputs = ["-i", left, "-i", right]
    inputs += ["-itsoffset", str(LATE), "-i", left, "-itsoffset", str(LATE), "-i", right]
    made = ["-t", "2", "-map", "[v]", "-map", "[a]", "-ar", "44100", "-preset", "ultrafast"]
    subprocess.run(
        [ffmpeg.executable(), "-v", "error", *inputs, "-filter_complex", graph, *made, path],
        check=True,
    )
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run"))


def heard(path: Path, samples: int) -> np.ndarray:
    """The sound of a video from its time 0 on."""
    timeline = np.zeros(samples, np.float32)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            first = round(frame.time * frame.rate)
            part = frame.to_ndarray()[0]
            stop = min(samples, first + len(part))
            if stop > max(first, 0):
                timeline[max(first, 0) : stop] = part[max(0, -first) : stop - first]
    return timeline


def test_players_are_found_where_they_are(duet: Path) -> None:
    with footage.opened(duet, 2) as film:
        trumpeter, violinist = film.places
    assert (film.frames, film.fps) == (50, 25)
    assert film.sound_start_seconds == pytest.approx(LATE, abs=0.03)
    for place in film.places:
        assert place.width == place.height <= HEIGHT
        assert 0 <= place.top <= HEIGHT - place.height
    assert 0 <= trumpeter.left < trumpeter.left + trumpeter.width < WIDTH + 100
    assert WIDTH - 100 < violinist.left < violinist.left + violinist.width <= 2 * WIDTH


@pytest.mark.parametrize("style", ["crop", "dim"])
def test_every_player_has_a_video_with_the_stem_in_its_place(
    duet: Path, run: Path, tmp_path: Path, style: str
) -> None:
    found = separate(duet, run, ["flute", "viola"], out=tmp_path, videos=style)
    names = [path.name for path in found.files]
    assert names == ["flute.wav", "viola.wav", "spectrograms.png", "flute.mp4", "viola.mp4"]
    lead = round(LATE * found.sample_rate)
    for name, stem in found.stems.items():
        with av.open(str(tmp_path / f"{name}.mp4")) as container:
            times = [float(frame.time) for frame in container.decode(video=0)]
            size = (container.streams.video[0].width, container.streams.video[0].height)
        np.testing.assert_allclose(times, np.arange(50) / 25, atol=1e-6)
        assert size == (2 * WIDTH, HEIGHT) if style == "dim" else size[0] < WIDTH
        sound = heard(tmp_path / f"{name}.mp4", lead + len(stem))
        begins = int(correlate(sound, stem)[len(stem) - 1 :].argmax())
        start = scan(duet).audio.start_seconds
        assert begins == round(start * found.sample_rate)


def test_pictures_without_as_many_people_are_cut_into_strips(resources: Path) -> None:
    with (
        pytest.warns(UserWarning, match="1 of 3 players are found in the picture"),
        footage.opened(resources / "urmp_09_vn_crop.mp4", 3) as film,
    ):
        assert film.places == footage.strips(3, HEIGHT, WIDTH)
    assert footage.strips(2, 7, 11) == (Place(0, 0, 5, 7), Place(5, 0, 6, 7))


def test_what_is_impossible_is_one_clear_line(duet: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name them, or their instruments, left to right"):
        separate(duet, run, out=tmp_path, videos="crop")
    with pytest.raises(UsageError, match="need a folder to be written to"):
        separate(duet, run, ["flute"], videos="crop")
    with pytest.raises(UsageError, match="3 players and 1 names: give one name a player"):
        separate(duet, run, ["flute"], players=3)
    with pytest.raises(UsageError, match="players = 0: must be at least 1"):
        separate(duet, run, players=0)
    (tmp_path / "flute.mp4").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"flute\.mp4 exists: choose another folder"):
        separate(duet, run, ["flute"], out=tmp_path, videos="crop")
