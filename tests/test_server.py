"""The loopback server of datasets that ship their media."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from avpipe.server import serve


def test_it_serves_the_folder_and_nothing_else_on_loopback(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a clip.mp4").write_bytes(b"bytes")
    (tmp_path / "secret").write_bytes(b"not for you")
    with serve(tmp_path / "media") as address:
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{address}/a%20clip.mp4") as reply:
            assert reply.read() == b"bytes"
        for path in ("gone.mp4", "../secret", "%2e%2e/secret"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"{address}/{path}")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{address}/a%20clip.mp4")


def test_two_servers_do_not_meet(tmp_path: Path) -> None:
    with serve(tmp_path) as one, serve(tmp_path) as two:
        assert one != two
