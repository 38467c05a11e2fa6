"""Folders as mirrors: which file is a recording's, and how it is taken."""

import os
from pathlib import Path

import pytest

from avpipe.errors import RecordingFailed
from avpipe.fetch import folder
from avpipe.types import Recording


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"media")
    return path


def test_the_folder_itself_comes_before_that_of_the_category(tmp_path: Path) -> None:
    inner = touch(tmp_path / "violin" / "a.mp4")
    assert folder.find(tmp_path, Recording("a", "violin")) == inner
    outer = touch(tmp_path / "a.webm")
    assert folder.find(tmp_path, Recording("a", "violin")) == outer


def test_a_category_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    touch(tmp_path / "secret" / "a.mp4")
    (tmp_path / "mirror").mkdir()
    for category in ("../secret", str(tmp_path / "secret"), "..", "x/../../secret"):
        with pytest.raises(RecordingFailed):
            folder.find(tmp_path / "mirror", Recording("a", category))


def test_recordings_of_one_video_find_it_by_the_video_s_id(tmp_path: Path) -> None:
    whole = touch(tmp_path / "video1.mp4")
    recording = Recording("video1_30", "violin", extra={"video": "video1"})
    assert folder.find(tmp_path, recording) == whole
    own = touch(tmp_path / "video1_30.mp4")
    assert folder.find(tmp_path, recording) == own


def test_what_stands_beside_a_video_is_not_taken_for_it(tmp_path: Path) -> None:
    for name in ("a.json", "a.info.json", "a.jpg", "a.part", "ab.mp4", "b.mp4"):
        touch(tmp_path / name)
    with pytest.raises(RecordingFailed) as caught:
        folder.find(tmp_path, Recording("a", "violin"))
    assert (caught.value.failure, caught.value.permanent) == ("removed", True)
    assert folder.find(touch(tmp_path / "a.rare"), Recording("a", "x")) == tmp_path / "a.rare"


def test_a_file_is_linked_and_not_copied(tmp_path: Path) -> None:
    source = touch(tmp_path / "a.mp4")
    (tmp_path / "link.mp4").symlink_to(source)
    folder.link(tmp_path / "link.mp4", tmp_path / "media.mp4")
    assert not (tmp_path / "media.mp4").is_symlink()
    assert (tmp_path / "media.mp4").samefile(source)


def test_a_file_is_copied_where_it_cannot_be_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_file_system(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_file_system)
    folder.link(touch(tmp_path / "a.mp4"), tmp_path / "media.mp4")
    assert (tmp_path / "media.mp4").read_bytes() == b"media"
