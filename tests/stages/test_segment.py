import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avpipe.config import configure
from avpipe.errors import AvpipeError, RecordingFailed, UsageError
from avpipe.keypoints import files, topology
from avpipe.stages import Job, segment
from avpipe.types import Keypoints, Recording

RESOURCES = Path(__file__).parents[1] / "resources"
RATE = 11025
OPENPOSE67 = topology("openpose67")


@dataclass
class Made:
    """What a run wrote and returned."""

    data: dict
    bands: dict
    facts: dict
    out: Path

    @property
    def segments(self):
        return [tuple(s) for s in self.data["segments"]]


class Bench:
    """Makes the inputs of a stage in a temporary folder and runs it."""

    def __init__(self, tmp_path):
        self.folder = tmp_path
        self.inputs = {}
        self.runs = 0

    def detect(self, visible, field="skeleton"):
        """A left hand where `visible` says; None: no video."""
        out = self.inputs["detect"] = self.folder / "detect"
        out.mkdir()
        if isinstance(visible, int):
            files.write_summary(out / "detect.json", visible, None)
            return self
        confidence = np.zeros((len(visible), 67), np.float32)
        confidence[np.ix_(np.asarray(visible, bool), OPENPOSE67.left_hand)] = 0.9
        xy = np.zeros((len(visible), 67, 2), np.float32)
        keypoints = Keypoints(xy, confidence, OPENPOSE67)
        files.save(out, field, keypoints)
        files.write_summary(out / "detect.json", len(visible), {field: keypoints})
        return self

    def audio(self, samples, frames=None):
        """PCM samples, or None and T: no sound."""
        out = self.inputs["audio"] = self.folder / "audio"
        out.mkdir()
        count = 0 if samples is None else len(samples)
        facts = {"present": samples is not None, "frames": frames or count // 441}
        if samples is not None:
            soundfile.write(out / "audio.wav", samples, RATE, subtype="PCM_16")
        (out / "audio.json").write_text(
            json.dumps({**facts, "samples": count, "sample_rate": RATE})
        )
        return self

    def run(self, recording=None, **parameters):
        self.runs += 1
        out = self.folder / f"segment{self.runs}"
        out.mkdir()
        recording = recording or Recording("r", "Violin")
        config = configure(segment.Config, parameters, "[segment]")
        facts = segment.run(Job(recording, config, self.inputs, out))
        json.dumps(facts)  # as the sidecar will hold it
        data = json.loads((out / "segments.json").read_text())
        bands = json.loads((out / "bands.sidecar.json").read_text())
        return Made(data, bands, facts, out)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def trumpet():
    """Four seconds of a real trumpet without a rest."""
    samples, _ = soundfile.read(RESOURCES / "urmp_20_tpt_11025.flac", dtype="int16")
    return samples[RATE:]


def music_with_a_rest():
    """8 s of trumpet, 3 s of nothing, 8 s of trumpet: frames 0-200, 200-275, 275-475."""
    return np.concatenate(
        [trumpet(), trumpet(), np.zeros(3 * RATE, np.int16), trumpet(), trumpet()]
    )


def test_hands_and_sound_give_the_stretches_that_have_both(bench):
    visible = np.ones(475, bool)
    visible[:10] = visible[300:303] = False
    made = bench.detect(visible).audio(music_with_a_rest()).run()
    assert made.segments == [(10, 200), (275, 475)]
    assert made.data == {"frames": 475, "segments": [[10, 200], [275, 475]], "reason": None}
    assert made.bands == {
        "visible": [[10, 300], [303, 475]],
        "sounding": [[0, 200], [275, 475]],
    }
    assert made.facts == {
        "frames": 475,
        "segments": 2,
        "seconds": 15.6,
        "visible_seconds": 18.48,
        "sounding_seconds": 16.0,
        "reason": None,
    }


def test_a_piece_that_silence_leaves_too_short_is_dropped(bench):
    visible = np.ones(475, bool)
    visible[:60] = False
    made = bench.detect(visible).audio(music_with_a_rest()).run()
    assert made.segments == [(275, 475)]


def test_after_a_split_segments_still_start_and_end_on_visible_frames(bench):
    visible = np.ones(475, bool)
    visible[197:203] = visible[273:278] = False
    made = bench.detect(visible).audio(music_with_a_rest()).run(max_gap=6)
    assert made.segments == [(0, 197), (278, 475)]


def test_the_minimum_counts_visible_frames_and_not_bridged_ones(bench):
    visible = np.ones(200, bool)
    visible[50:55] = visible[100:105] = False
    bench.detect(visible).audio(None, 200)
    assert bench.run(min_frames=190).segments == [(0, 200)]
    assert bench.run(min_frames=191).segments == []


def test_without_sound_only_hands_decide(bench):
    made = bench.detect(np.ones(475, bool)).audio(None, 475).run()
    assert made.segments == [(0, 475)]
    assert made.facts["sounding_seconds"] is None


def test_silence_can_be_left_in(bench):
    bench.detect(np.ones(475, bool)).audio(music_with_a_rest())
    assert bench.run(split_silence=False).segments == [(0, 475)]
    assert bench.run(silence_min_seconds=3.5).segments == [(0, 475)]


def test_no_hands_is_a_success_with_its_reason(bench):
    made = bench.detect(np.zeros(475, bool)).audio(music_with_a_rest()).run()
    assert made.data == {"frames": 475, "segments": [], "reason": "no_hands"}


def test_silence_throughout_is_a_success_with_its_reason(bench):
    made = bench.detect(np.ones(475, bool)).audio(np.zeros(475 * 441, np.int16)).run()
    assert made.data == {"frames": 475, "segments": [], "reason": "silent"}


def test_a_recording_without_video_is_taken_whole_but_for_its_silences(bench):
    made = bench.detect(475).audio(music_with_a_rest()).run()
    assert made.segments == [(0, 200), (275, 475)]
    assert made.facts["visible_seconds"] is None


@pytest.mark.parametrize(("frames", "reason"), [(475, None), (149, "short")])
def test_whole_needs_no_detection_but_the_least_length(bench, frames, reason):
    made = bench.audio(music_with_a_rest()[: 441 * frames]).run(source="whole")
    assert made.data["reason"] == reason


def test_given_times_are_taken_as_they_stand(bench):
    bench.audio(music_with_a_rest())
    solo = Recording("r", "Violin", start_seconds=7.5, stop_seconds=12.02)
    made = bench.run(solo, source="given", min_frames=150)
    assert made.segments == [(188, 300)]  # 187.5 rounds to the even frame; 300.5 likewise


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (None, None, (0, 475)),
        (2.0, None, (50, 475)),
        (None, 2.0, (0, 50)),
        (18.0, 30.0, (450, 475)),
    ],
)
def test_open_and_late_ends_are_the_ends_of_the_recording(bench, start, stop, expected):
    recording = Recording("r", "Violin", start_seconds=start, stop_seconds=stop)
    assert bench.audio(None, 475).run(recording, source="given").segments == [expected]


@pytest.mark.parametrize(("start", "stop"), [(19.0, 25.0), (5.0, 5.01), (5.0, 4.0)])
def test_a_given_range_without_a_frame_fails_for_good(bench, start, stop):
    recording = Recording("r", "Violin", start_seconds=start, stop_seconds=stop)
    with pytest.raises(RecordingFailed, match=r"holds no frame of the recording, .* 19.000 s") as e:
        bench.audio(None, 475).run(recording, source="given")
    assert e.value.permanent


def test_legacy_finds_what_the_published_code_finds_and_hears_nothing(bench):
    visible = np.ones(475, bool)
    bench.detect(visible).audio(np.zeros(475 * 441, np.int16))
    path = bench.inputs["detect"] / "skeleton_confidence.npy"
    confidence = np.zeros((475, 67), np.float32)
    confidence[:, OPENPOSE67.index("left_shoulder")] = 1
    confidence[100:105, OPENPOSE67.index("left_shoulder")] = 0
    np.save(path, confidence)
    assert bench.run(legacy=True).segments == [(105, 475)]
    assert bench.run().data["reason"] == "no_hands"


def test_the_same_input_gives_the_same_bytes(bench):
    bench.detect(np.ones(475, bool)).audio(music_with_a_rest())
    one, other = bench.run(), bench.run()
    for file in one.out.iterdir():
        assert file.read_bytes() == (other.out / file.name).read_bytes()


def test_other_rates_of_frames_are_cut_on_their_own_grid(bench):
    frames = 569  # 18.97 s at 29.97 fps
    bench.detect(frames).audio(music_with_a_rest()[: round(frames * RATE * 100 / 2997)], frames)
    made = bench.run(fps=29.97)
    assert made.segments == [(0, 240), (329, 569)]  # the rest is 239.76 to 329.67


def test_hands_without_detection_is_an_error_that_says_what_to_do(bench):
    with pytest.raises(AvpipeError, match="needs detected keypoints; use 'whole' or 'given'"):
        bench.audio(None, 475).run()


def test_hands_without_a_skeleton_is_an_error(bench):
    bench.detect(np.ones(475, bool), field="face_landmarks").audio(None, 475)
    with pytest.raises(AvpipeError, match="needs the field skeleton"):
        bench.run()


def test_inputs_of_different_lengths_are_an_error(bench):
    with pytest.raises(AvpipeError, match=r"agree on the number of frames, not .*475.*400"):
        bench.detect(np.ones(475, bool)).audio(None, 400).run()


def test_sound_of_another_length_than_it_says_is_an_error(bench):
    with pytest.raises(AvpipeError, match=r"holds 475 frames of sound, not 476"):
        bench.detect(np.ones(476, bool)).audio(music_with_a_rest(), 476).run()


@pytest.mark.parametrize(
    "wrong", [{"min_frames": 0}, {"max_gap": -1}, {"source": "feet"}, {"silence_open_db": -90}]
)
def test_parameters_that_make_no_sense_are_an_error(wrong):
    with pytest.raises((UsageError, AvpipeError), match=r"must|at least"):
        configure(segment.Config, wrong, "[segment]")


def test_nothing_outside_shapes_the_result():
    assert segment.tool(segment.Config()) == {}
