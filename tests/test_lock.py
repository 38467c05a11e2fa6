"""Two builds of one folder at once: the second is told who holds it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avpipe.errors import Locked, UsageError
from avpipe.lock import exclusive

HOLDER = """
import sys, time
from pathlib import Path
from avpipe.lock import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_told_who_holds_it_and_a_kill_frees_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Locked, match=f"process {holder.pid} on .* since {time.localtime()[0]}"):
            exclusive(tmp_path).__enter__()
        holder.send_signal(signal.SIGKILL)
    with exclusive(tmp_path):
        pass


def test_it_can_be_held_again_after_it_was_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with exclusive(tmp_path / "new"):
            assert f'"pid": {os.getpid()}' in (tmp_path / "new" / ".lock").read_text()


def test_a_holder_that_wrote_nothing_is_still_a_holder(tmp_path: Path) -> None:
    with exclusive(tmp_path):
        (tmp_path / ".lock").write_text("")
        with pytest.raises(Locked, match="another process"):
            exclusive(tmp_path).__enter__()


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=f"{name} cannot be written to .*--out"):
        exclusive(tmp_path / name).__enter__()
