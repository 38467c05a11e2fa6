"""The guard of a download: time, speed, size and free space."""

import signal
import threading
import time
from pathlib import Path

import pytest

from avpipe.errors import RecordingFailed
from avpipe.fetch.guard import Guard
from avpipe.fetch.options import Options
from avpipe.limits import MediaLimits


def test_it_interrupts_what_waits_for_ever(tmp_path: Path) -> None:
    with (
        pytest.raises(RecordingFailed) as caught,
        Guard(tmp_path, Options(timeout_seconds=0.5)) as guard,
    ):
        time.sleep(30)
    assert caught.value.failure == "timeout"
    assert guard.verdict is caught.value


def test_it_leaves_the_timer_and_its_handler_as_they_were(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with Guard(tmp_path, Options()):
        assert signal.getsignal(signal.SIGALRM) != before
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_slow_start_counts_from_the_first_block(tmp_path: Path) -> None:
    options = Options(stall_seconds=0.2, min_bytes_per_second=100)
    with Guard(tmp_path, options) as guard:
        guard.progress({"status": "downloading", "downloaded_bytes": 1})
        time.sleep(0.3)
        with pytest.raises(RecordingFailed, match="bytes arrived in"):
            guard.check()


def test_fast_enough_goes_on(tmp_path: Path) -> None:
    options = Options(stall_seconds=0.2, min_bytes_per_second=100)
    with Guard(tmp_path, options) as guard:
        for size in (1, 100, 200):
            (tmp_path / "media.part").write_bytes(b"x" * size)
            guard.progress({"status": "downloading", "downloaded_bytes": size})
            time.sleep(0.15)
        guard.progress({"status": "finished", "downloaded_bytes": 200})
        time.sleep(0.3)
        guard.check()  # merging what has arrived is no stall


def test_it_stops_at_the_announced_size_or_at_what_is_there(tmp_path: Path) -> None:
    with Guard(tmp_path, Options(limits=MediaLimits(max_bytes=100))) as guard:
        with pytest.raises(RecordingFailed, match="limit"):
            guard.progress({"status": "downloading", "total_bytes": 101})
        (tmp_path / "media.part").write_bytes(b"x" * 101)
        with pytest.raises(RecordingFailed, match="limit"):
            guard.check()


def test_it_keeps_the_free_space_it_is_told_to_keep(tmp_path: Path) -> None:
    with Guard(tmp_path, Options(min_free_bytes=0)) as guard:
        guard.check_disk()
        with pytest.raises(RecordingFailed, match="bytes are free") as caught:
            guard.check_disk(needed=1 << 60)
    assert (caught.value.failure, caught.value.permanent) == ("disk", False)


def test_it_also_works_where_no_signal_arrives(tmp_path: Path) -> None:
    verdicts: list[object] = []

    def elsewhere() -> None:
        with Guard(tmp_path, Options(timeout_seconds=-1)) as guard:
            try:
                guard.progress({"status": "downloading"})
            except RecordingFailed as error:
                verdicts.append(error.failure)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert verdicts == ["timeout"]
