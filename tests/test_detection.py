"""`avpipe detect`: one video, with a detector that costs nothing."""

import json

import av
import numpy as np
import pytest

from avpipe import cli
from avpipe.detection import detect_file
from avpipe.errors import RecordingFailed, UsageError
from avpipe.keypoints.exchange import FORMATS, read

TOY = {"detector": "plugins.toy", "options": {"threshold": 0.0}}


@pytest.fixture
def clip(resources):
    return resources / "odd" / "clip.webm"


@pytest.mark.parametrize("format", FORMATS)
def test_a_video_gives_a_file_of_keypoints(clip, tmp_path, format):
    found = detect_file(clip, tmp_path / "out", format=format, overlay=False, **TOY)
    path = tmp_path / "out" / f"clip.skeleton.{format}"
    assert found.keypoints == {"skeleton": path}
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    content = read(path)
    assert (len(content.keypoints), content.fps) == (found.frames, 25.0)
    assert (content.keypoints.confidence == 1).all()
    assert found.hands == {"left": 1.0, "right": 1.0, "any": 1.0}
    assert found.detector["detector"] == "toy"


def test_the_overlay_has_every_frame_of_the_grid_and_the_sound(clip, tmp_path):
    found = detect_file(clip, tmp_path, fps=10, **TOY)
    assert {p.name for p in tmp_path.iterdir()} == {"clip.skeleton.h5", "clip.overlay.mp4"}
    with av.open(str(found.overlay)) as container:
        assert container.streams.video[0].average_rate == 10
        sound = container.streams.audio[0]
        assert float(sound.duration * sound.time_base) == pytest.approx(found.frames / 10, abs=0.1)
        assert sum(1 for _ in container.decode(video=0)) == found.frames
        assert found.frames == len(read(found.keypoints["skeleton"]).keypoints)


def test_a_video_without_sound_has_a_silent_overlay(resources, tmp_path):
    found = detect_file(resources / "odd" / "video_only.mp4", tmp_path, **TOY)
    with av.open(str(found.overlay)) as container:
        assert not container.streams.audio


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("zero_bytes.mp4", "unreadable: it is empty"),
        ("random_bytes.mp4", "unreadable"),
        ("html_error_page.mp4", "unreadable"),
        ("truncated_index_first.mp4", "truncated"),
        ("audio_only.m4a", "no_video"),
        ("cover_art.mp3", "no_video"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_and_leaves_nothing(
    resources, tmp_path, capsys, name, said
):
    path = resources / "odd" / name
    with pytest.raises(RecordingFailed, match=said):
        detect_file(path, tmp_path, **TOY)
    assert cli.run(["detect", str(path), "--out", str(tmp_path), "--detector", "plugins.toy"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert str(path) in shown.err
    assert said in shown.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"detector": "eyes"}, "unknown detector 'eyes'"),
        ({"options": {"colour": 1}}, "unknown parameter 'colour'"),
        ({"format": "xml"}, "h5, json, csv"),
        ({"device": "toaster"}, "device"),
        ({"fps": 0}, "from 1 to 240"),
        ({"fps": float("nan")}, "from 1 to 240"),
    ],
)
def test_what_it_cannot_do_is_said_before_anything_is_done(clip, tmp_path, change, said):
    with pytest.raises(UsageError, match=said):
        detect_file(clip, tmp_path / "out", **(TOY | change))
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="is no file"):
        detect_file(tmp_path, tmp_path / "out", **TOY)


@pytest.mark.parametrize("setting", ["threshold", "=3", ""])
def test_a_setting_is_an_option_and_a_value(clip, setting, capsys):
    assert cli.run(["detect", str(clip), "--detector", "plugins.toy", "--set", setting]) == 2
    assert "option=value" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_said(clip, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be made"):
        detect_file(clip, tmp_path / "file" / "out", **TOY)


@pytest.mark.parametrize("setting", ["threshold=2.0", "detect.options.threshold=2.0"])
def test_the_command_says_what_it_found(clip, tmp_path, setting, capsys):
    arguments = ["detect", str(clip), "--out", str(tmp_path), "--detector", "plugins.toy"]
    arguments += ["--set", setting, "--no-overlay", "--format", "json"]
    assert cli.run([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["hands"] == {"left": 0, "right": 0, "any": 0}
    assert document["files"] == {"skeleton": str(tmp_path / "clip.skeleton.json")}
    assert not np.any(read(tmp_path / "clip.skeleton.json").keypoints.confidence)
    assert cli.run(arguments) == 0
    assert "left 0%" in capsys.readouterr().out


def test_a_name_like_an_option_is_a_name(resources, tmp_path):
    odd = resources / "odd" / "-näme with späces №1.mp4"
    found = detect_file(odd, tmp_path, overlay=False, **TOY)
    assert found.keypoints["skeleton"].name == "-näme with späces №1.skeleton.h5"
    assert read(found.keypoints["skeleton"]).keypoints.confidence.all()
