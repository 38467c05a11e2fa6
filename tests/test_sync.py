"""`avpipe verify` finds what is out of step, however right its digests are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avpipe import stages, sync
from avpipe.config import key_parameters
from avpipe.media import Scan
from avpipe.store import Store
from avpipe.types import Recording

ODD = Path(__file__).parent / "resources" / "odd"
LINE = ("download", "video", "audio", "segment")


@pytest.fixture(scope="module", params=["audio_late", "audio_shorter", "audio_early", "vfr"])
def made(request, tmp_path_factory) -> tuple[Store, dict[str, str]]:
    """A recording with an offset between its sound and its pictures, through the line."""
    (clip,) = ODD.glob(f"{request.param}.*")
    store = Store(tmp_path_factory.mktemp(request.param) / "work")
    recording, steps = Recording("a", "violin", str(clip)), {}
    configs = {"segment": {"source": "whole", "min_frames": 10}}
    for name in LINE:
        stage, folder = stages.load(name), store.temporary()
        config = stage.Config(**configs.get(name, {}))
        needs = [n for n in stage.NEEDS if n in steps]
        inputs = {n: store.path(n, steps[n]) for n in needs}
        facts = stage.run(stages.Job(recording, config, inputs, folder))
        document = {"stage": name, "parameters": key_parameters(config)}
        steps[name] = (f"{name}-key" * 8)[:64]
        store.publish(folder, name, steps[name], document, facts)
    return store, steps


@pytest.fixture
def copied(made, tmp_path) -> tuple[Store, dict[str, str]]:
    store, steps = made
    shutil.copytree(store.root, tmp_path / "work")
    return Store(tmp_path / "work"), steps


def found(store: Store, steps: dict[str, str], damaged=()) -> list[str]:
    return [f"{path}: {text}" for path, text in sync.problems(store, {"a": steps}, damaged)]


def edit(store: Store, steps: dict[str, str], stage: str, file: str, **values: object) -> None:
    path = store.path(stage, steps[stage]) / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_recordings_with_odd_offsets_are_in_step(made):
    assert found(*made) == []


def test_sound_that_was_shifted_against_its_container_is_found(copied):
    store, steps = copied
    path = store.path("audio", steps["audio"]) / "audio.wav"
    samples, rate = soundfile.read(path, dtype="int16")
    source = Scan.read(store.path("download", steps["download"]))
    early = source.audio.start_seconds
    late = len(samples) / rate - source.audio.end_seconds
    shift = -0.3 if early > late else 0.3
    soundfile.write(path, np.roll(samples, round(shift * rate)), rate, subtype="PCM_16")
    where = "before it starts" if early > late else "after it ends"
    said = found(store, steps)
    if max(early, late) < sync.RINGING_SECONDS:  # sound as long as its pictures: nothing tells
        assert said == []
        return
    (problem,) = said
    assert f"audio.wav sounds {where} in the media file, at" in problem
    assert problem.startswith(f"work/audio/{steps['audio'][:2]}/")


def test_lengths_that_do_not_agree_are_found(copied):
    store, steps = copied
    path = store.path("audio", steps["audio"]) / "audio.wav"
    samples, rate = soundfile.read(path, dtype="int16")
    soundfile.write(path, samples[:-441], rate, subtype="PCM_16")
    frames = json.loads((store.path("audio", steps["audio"]) / "audio.json").read_text())["frames"]
    (problem,) = found(store, steps)
    assert f"a: audio.wav has ({len(samples) - 441},) samples at 11025 Hz" in problem
    assert f"{frames} frames need {len(samples)}" in problem
    assert found(store, steps, {("audio", steps["audio"])}) == []


def test_a_stage_of_another_length_is_found(copied):
    store, steps = copied
    whole = json.loads((store.path("video", steps["video"]) / "video.json").read_text())["frames"]
    edit(store, steps, "video", "video.json", frames=whole + 1)
    edit(store, steps, "segment", "segments.json", segments=[[0, whole + 5]])
    text = "\n".join(found(store, steps))
    assert f"has {whole + 1} frames, its media file has {whole}" in text
    assert f"video.mp4 has {whole} frames, not {whole + 1}" in text
    assert f"segment [0, {whole + 5}) lies outside its {whole} frames" in text


def test_a_video_at_another_rate_is_found(copied):
    store, steps = copied
    edit(store, steps, "video", "video.json", fps=24)
    assert any("video.mp4 runs at 25" in text for text in found(store, steps))


def test_what_was_let_go_of_is_not_asked(copied):
    store, steps = copied
    for stage in ("download", "video"):
        store.release(stage, steps[stage])
    assert found(store, steps) == []
