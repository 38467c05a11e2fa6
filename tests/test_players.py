"""An ensemble as URMP's: three real musicians side by side, and a view of each of them."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import avpipe
from avpipe import cli
from avpipe.dag import line
from avpipe.detectors.mediapipe import Body
from avpipe.errors import AvpipeError, UsageError
from avpipe.export import export
from avpipe.media import decode_frames, ffmpeg
from avpipe.players import around, largest, persons
from avpipe.separation import footage
from avpipe.separation.look import Look
from avpipe.separation.players import watch
from avpipe.shards.open import open_shard
from avpipe.stages import Job, players
from avpipe.types import Players, Recording
from test_fields import manifest

RESOURCES = Path(__file__).parent / "resources"
PIECE = "45_Test_vn_tpt_vn"
WIDTH, HEIGHT = 1440, 810
STRIPS = [(0, 480), (480, 960), (960, 1440)]
"""Columns of the ensemble's picture that each of the players is composed into."""
FRAMES = 31


def compose(target: Path) -> None:
    """The three players beside each other, one of them much smaller, and the mixture's sound."""
    clips = (
        "urmp_vln1.mp4",
        "urmp_09_tpt_crop.mp4",
        "urmp_09_vn_crop.mp4",
        "urmp_20_mix_11025.flac",
    )
    graph = (
        "[0:v]fps=25,scale=-2:480,pad=480:480:(ow-iw)/2:0[a];[1:v]fps=25,crop=480:480[b];"
        "[2:v]fps=25,crop=480:480[c];[a][b][c]hstack=3,pad=1440:810:0:200[v]"
    )
    command = [str(ffmpeg.executable()), "-v", "error", "-y"]
    command += [part for clip in clips for part in ("-i", str(RESOURCES / clip))]
    command += ["-filter_complex", graph, "-map", "[v]", "-map", "3:a", "-t", str(FRAMES / 25)]
    command += ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-c:a", "aac", str(target)]
    subprocess.run(command, check=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """The folder of the piece's folder: its video, its mixture and the players' tracks."""
    folder = tmp_path_factory.mktemp("ensemble")
    piece = folder / "urmp" / PIECE
    piece.mkdir(parents=True)
    compose(piece / f"Vid_{PIECE}.mp4")
    for number, (code, of) in enumerate((("vn", "vn"), ("tpt", "tpt"), ("vn", "vc")), start=1):
        track = piece / f"AuSep_{number}_{code}_45_Test.flac"
        shutil.copy(RESOURCES / f"urmp_20_{of}_11025.flac", track)
    return piece.parent


def build(folder: Path, source: Path, instruments: str, *more: str) -> Path:
    rows = f"id,category,instruments\n{PIECE},trio,{instruments}\n"
    fields = ["audio", "stems", "player_frames", "player_skeletons"]
    path = manifest(folder, "ensemble", fields, rows, 11025, "whole")
    command = ["build", path, "--source", str(source / "{id}" / "Vid_{id}.mp4"), "--workers", "1"]
    assert cli.run([*command, "--out", str(folder / "out"), "--json", *more]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def built(source, tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("built"), source, "vn tpt vn")


@pytest.fixture(scope="module")
def clip(built):
    return avpipe.open_dataset(built).clip(0)


def test_every_player_has_a_view_in_the_order_of_the_parts(clip):
    frames, skeletons = clip.fields["player_frames"], clip.fields["player_skeletons"]
    assert frames.names == skeletons.names == ("vn", "tpt", "vn")
    assert frames.squares == skeletons.squares
    for (left, top, side), (first, last) in zip(frames.squares, STRIPS, strict=True):
        assert first < left + side / 2 < last
        assert 0 <= left <= left + side <= WIDTH
        assert 200 <= top + side / 2 <= 680
    assert frames.squares[0][2] < 0.7 * frames.squares[1][2]  # the small player has a small view


def test_each_skeleton_is_that_of_its_player(clip):
    for player, (first, last) in zip(clip.fields["player_skeletons"].views, STRIPS, strict=True):
        topology = player.topology
        assert player.xy.shape == (FRAMES, 67, 2)
        for joint in ("nose", "neck", "right_wrist"):
            known = player.confidence[:, topology.index(joint)] > 0
            x, y = player.xy[known, topology.index(joint)].T
            assert known.mean() > 0.9
            assert (first < x).all()
            assert (x < last).all()
            assert (y > 200).all()
            assert (y < 680).all()


def test_the_views_show_the_players_heads_and_hands(clip):
    skeletons = clip.fields["player_skeletons"]
    for skeleton, (left, top, side) in zip(skeletons.views, skeletons.squares, strict=True):
        for joint in ("nose", "right_ear", "left_wrist", "right_wrist"):
            index = skeleton.topology.index(joint)
            known = skeleton.confidence[:, index] > 0
            inside = (skeleton.xy[known, index] - (left, top)) / side
            assert ((inside > 0) & (inside < 1)).mean() > 0.95, joint


def test_the_pictures_are_those_of_every_third_frame_of_one_square(built, clip):
    video = next((built / "work" / "video").glob("*/*/video.mp4"))
    decoded = list(decode_frames(video))
    for view, (left, top, side) in zip(
        clip.fields["player_frames"].views, clip.fields["player_frames"].squares, strict=True
    ):
        assert view.shape == (11, 256, 256, 3)
        assert view.frames.tolist() == list(range(0, FRAMES, 3))
        for number in (0, 10):
            part = decoded[3 * number][top : top + side, left : left + side]
            expected = np.asarray(Image.fromarray(part).resize((256, 256))).astype(float)
            assert np.abs(view[number].astype(float) - expected).mean() < 4


def test_windows_show_the_same_as_the_whole_clip(built, clip):
    window = avpipe.open_dataset(built).clip(0, start_frame=10, frames=20)
    for player in range(3):
        whole, part = (c.fields["player_frames"][player] for c in (clip, window))
        assert part.frames.tolist() == [2, 5, 8, 11, 14, 17]
        assert (np.asarray(part) == np.asarray(whole)[4:10]).all()
        whole, part = (c.fields["player_skeletons"][player] for c in (clip, window))
        assert (part.xy == whole.xy[10:30]).all()
        assert (part.confidence == whole.confidence[10:30]).all()


def test_players_of_one_instrument_belong_to_one_source(clip):
    assert clip.fields["stems"].names == ("vn", "tpt")
    assert len(clip.fields["player_frames"].of("vn")) == 2
    assert clip.fields["player_skeletons"].of("tpt")[0] is clip.fields["player_skeletons"][1]
    with pytest.raises(AvpipeError, match="nobody plays 'va'; there are vn, tpt, vn"):
        clip.fields["player_frames"].of("va")
    with pytest.raises(AvpipeError, match="1 names, 0 views"):
        Players(("vn",), (), ())


def test_the_dataset_is_whole_and_inspected(built, capsys):
    assert cli.run(["verify", str(built)]) == 0
    capsys.readouterr()
    assert cli.run(["inspect", str(built / "shards" / "player_skeletons-00000.h5"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    shard = facts[0] if isinstance(facts, list) else facts
    text = json.dumps(shard)
    assert '"P"' in text
    with open_shard(built / "shards" / "player_skeletons-00000.h5") as file:
        assert file[PIECE]["xy"].shape == (FRAMES, 3, 67, 2)


@pytest.mark.parametrize("to", ["webdataset", "parquet"])
def test_views_are_exported(built, clip, tmp_path, to):
    export(avpipe.open_dataset(built), to, tmp_path / to)
    if to == "parquet":
        (path,) = (tmp_path / to).glob("*.parquet")
        row = pq.read_table(path).to_pylist()[0]
        assert [p["name"] for p in row["player_skeletons"]] == ["vn", "tpt", "vn"]
        second = row["player_skeletons"][1]
        assert second["square"] == list(clip.fields["player_skeletons"].squares[1])
        assert second["xy"] == clip.fields["player_skeletons"][1].xy.ravel().tolist()
        assert len(row["player_frames"][2]["images"]) == 11
        return
    (path,) = (tmp_path / to).glob("*.tar")
    with tarfile.open(path) as tar:
        files = {m.name.split(".", 1)[1]: tar.extractfile(m).read() for m in tar}
    facts = json.loads(files["json"])
    assert facts["player_frames"]["names"] == ["vn", "tpt", "vn"]
    assert facts["player_skeletons_3"]["topology"] == "openpose67"
    assert files["player_frames_2.mjpeg"] == clip.fields["player_frames"][1].jpeg.tobytes()
    assert {f"player_skeletons_{p}.npz" for p in (1, 2, 3)} < set(files)


def test_another_number_of_people_than_players_is_recorded_as_such(source, tmp_path, capsys):
    shutil.copytree(source, tmp_path / "urmp")
    fourth = tmp_path / "urmp" / PIECE / "AuSep_4_vc_45_Test.flac"
    shutil.copy(RESOURCES / "urmp_20_vc_11025.flac", fourth)
    fields = ["--fields", "audio,player_frames,player_skeletons"]
    out = build(tmp_path, tmp_path / "urmp", "vn tpt vn vc", *fields)
    dataset = avpipe.open_dataset(out)
    assert dataset.index["fields"].tolist() == ["audio"]
    capsys.readouterr()
    assert cli.run(["stats", str(tmp_path / "ensemble.toml"), "--out", str(out)]) == 0
    text = f"{PIECE} has no views of its players: 3 people are seen, 4 play"
    assert text in " ".join(capsys.readouterr().out.split())


def test_an_importer_has_no_skeletons_of_players(tmp_path, source):
    rows = f"id,category,instruments\n{PIECE},trio,vn tpt vn\n"
    path = manifest(tmp_path, "ensemble", ["player_skeletons"], rows, 11025, "whole")
    with pytest.raises(UsageError, match="import:solos imports one skeleton"):
        line(avpipe.read_manifest(path), settings={"detect": {"detector": "import:solos"}})


def test_a_recording_without_video_or_names_has_no_views_and_says_why(tmp_path):
    video = {"present": False, "frames": 80, "fps": 25}
    for name, present, extra, reason in (
        ("a", False, {"instruments": "vn va"}, "it has no video"),
        ("b", True, {}, "nothing says who plays: give the manifest a column instruments"),
    ):
        folder, out = tmp_path / name, tmp_path / f"{name}-out"
        folder.mkdir()
        out.mkdir()
        (folder / "video.json").write_text(json.dumps(video | {"present": present}))
        job = Job(
            Recording(name, "duet", extra=extra),
            players.Config(),
            {"video": folder, "download": folder},
            out,
        )
        assert players.run(job)["reason"] == reason
        written = json.loads((out / "players.json").read_text())
        assert (written["present"], written["frames"], written["squares"]) == (False, 80, [])


def body(x: float, presence: float, width: float = 80) -> Body:
    xy = np.zeros((39, 2))
    xy[:33] = (x, 300.0)
    xy[11], xy[12] = (x + width / 2, 300.0), (x - width / 2, 300.0)
    return Body(xy, np.ones(39), presence)


def test_who_is_seen_in_fewer_than_half_of_the_frames_is_no_player():
    frames = [[body(600 + 5 * t, 0.9), body(100 - 3 * t, 0.95)] for t in range(6)]
    frames[2].append(body(350, 0.99))
    found = persons(frames)
    assert [len(person) for person in found] == [6, 6]
    assert found[0][0].xy[0, 0] < 200 < found[1][0].xy[0, 0]
    square = around(found[0], 0.0, 400, 800)
    assert square.width == square.height <= 400
    assert square.left <= 50
    assert square.left + square.width >= 140


def test_of_more_people_than_players_the_largest_are_shown_to_a_separator(monkeypatch, resources):
    small, large, larger = ([body(x, 0.9, w)] * 12 for x, w in ((90, 40), (250, 80), (430, 90)))
    assert largest([larger, small, large], 2) == [larger, large]
    monkeypatch.setattr(footage, "find", lambda *_: [small, large, larger])
    video = resources / "urmp_09_vn_crop.mp4"
    with (
        pytest.warns(UserWarning, match="3 people are found in the picture: the 2 largest ones"),
        footage.opened(video, 2) as film,
    ):
        left, right = film.places
    assert left.left < 250 < left.left + left.width < right.left + right.width
    assert right.left < 430 < right.left + right.width


def test_a_separator_is_shown_what_the_dataset_holds_of_each_player(clip, source):
    look = Look(frozenset({"frames", "keypoints"}), "openpose67")
    held, skeletons = clip.fields["player_frames"], clip.fields["player_skeletons"]
    with footage.opened(source / PIECE / f"Vid_{PIECE}.mp4", 3) as film:
        assert [(p.left, p.top, p.width) for p in film.places] == list(held.squares)
        scene = watch(film, look)
    for number, player in enumerate(scene.sources):
        shown = player.read(0, FRAMES, ("frames", "skeleton"))
        assert shown.fields["frames"].jpeg.tobytes() == held[number].jpeg.tobytes()
        skeleton = skeletons[number]
        np.testing.assert_array_equal(shown.keypoints.confidence, skeleton.confidence)
        known = (skeleton.confidence > 0) | skeleton.filled
        moved = skeleton.xy[known] - skeletons.squares[number][:2]
        np.testing.assert_allclose(shown.keypoints.xy[known], moved, atol=1e-3)
