"""What pictures and sound have in common on their way to the time grid."""

import os
from pathlib import Path

import numpy as np
import pytest

from artifacts import ODD, RESOURCES, run_stage
from avpipe.errors import RecordingFailed


@pytest.mark.parametrize(
    ("stage", "name", "file"),
    [("video", "fps_29.97.mp4", "video.mp4"), ("audio", "surround_96k.mkv", "audio.wav")],
)
def test_the_same_file_gives_the_same_bytes_on_one_core_and_on_all(
    stage: str, name: str, file: str, tmp_path: Path
) -> None:
    cores = os.sched_getaffinity(0)
    written = []
    for number, allowed in enumerate([cores, {min(cores)}]):
        os.sched_setaffinity(0, allowed)
        try:
            out, _ = run_stage(stage, ODD / name, tmp_path / str(number))
        finally:
            os.sched_setaffinity(0, cores)
        written.append((out / file).read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("stage", ["video", "audio"])
def test_what_does_not_decode_makes_a_recording_unreadable(stage: str, tmp_path: Path) -> None:
    data = bytearray((RESOURCES / "urmp_vln1.mp4").read_bytes())
    half = len(data) // 2
    data[half : half + 200_000] = np.random.default_rng(0).bytes(200_000)
    (tmp_path / "damaged.mp4").write_bytes(data)
    with pytest.raises(RecordingFailed, match="do not decode") as caught:
        run_stage(stage, tmp_path / "damaged.mp4", tmp_path / "work")
    assert caught.value.failure == "unreadable"
