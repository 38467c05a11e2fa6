"""Reading a dataset: clips, windows, pickles, forks, and files that are not as they should be."""

import multiprocessing
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

import avpipe
from avpipe.errors import DatasetError, UsageError
from avpipe.shards import pack
from avpipe.types import Segment
from tiny_dataset import facts, member, members


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    packed = members(folder)
    pack(folder / "out", facts(), packed)
    return folder / "out", {m.id: m for m in packed}


@pytest.fixture
def dataset(built):
    return avpipe.open_dataset(built[0])


def test_the_index_has_a_row_a_segment(dataset):
    assert len(dataset) == 5
    index = dataset.index
    assert index["recording"].tolist() == ["mute", "radio", "trumpet-a", "violin-b", "violin-b"]
    assert index["start_seconds"].tolist() == [0.2, 0.0, 0.0, 0.4, 8.0]
    assert index["row_start"].tolist() == [0, 0, 0, 0, 160]
    assert index["sample_start"].tolist() == [0, 0, 0, 0, 160 * 441]
    assert index["split"].tolist()[2] == "test"
    assert index["fields"].tolist()[:3] == ["skeleton", "audio", "audio,skeleton"]


def test_a_clip_is_the_segment_of_its_recording(dataset, built):
    clip = dataset.clip(4)
    artifact = built[1]["violin-b"].artifacts["audio"]
    samples, rate = soundfile.read(artifact / "audio.wav", dtype="float32")
    assert clip.segment == Segment(200, 390)
    assert (clip.recording, clip.category, clip.sample_rate) == ("violin-b", "Violin", rate)
    np.testing.assert_array_equal(clip.audio, samples[200 * 441 : 390 * 441])
    assert clip.audio.dtype == np.float32
    for name in ("xy", "confidence", "filled"):
        expected = np.load(artifact / f"skeleton_{name}.npy")[200:390]
        np.testing.assert_array_equal(getattr(clip.keypoints, name), expected)
    assert clip.keypoints.topology.name == "openpose67"
    assert clip.keypoints.view("solos47").xy.shape == (190, 47, 2)


def test_what_a_recording_does_not_have_is_none(dataset):
    assert dataset.clip(0).audio is None
    assert dataset.clip(0).keypoints is not None
    assert dataset.clip(1).audio is not None
    assert dataset.clip(1).keypoints is None


@pytest.mark.parametrize("sample_rate", [11025, 16384, 44100])
def test_windows_are_cut_out_of_the_clip_at_any_sample_rate(tmp_path, sample_rate):
    rate = {"sample_rate": sample_rate}
    pack(tmp_path, facts(**rate), [member(tmp_path / "w", "v", [(3, 84), (101, 396)], **rate)])
    dataset = avpipe.open_dataset(tmp_path)
    for i in range(2):
        whole = dataset.clip(i)
        for start in (0, 1, 7, 31):
            window = dataset.clip(i, start_frame=start, frames=50)
            assert window.segment == Segment(
                whole.segment.start + start, whole.segment.start + start + 50
            )
            first = round(start * sample_rate / 25)
            np.testing.assert_array_equal(window.audio, whole.audio[first:][: len(window.audio)])
            np.testing.assert_array_equal(
                window.keypoints.xy, whole.keypoints.xy[start : start + 50]
            )
        last = dataset.clip(i, start_frame=len(whole.segment) - 3)
        np.testing.assert_array_equal(last.audio, whole.audio[-len(last.audio) :])


def test_only_the_fields_that_are_asked_for_are_read(dataset):
    clip = dataset.clip(4, fields=["audio"])
    assert clip.audio is not None
    assert clip.keypoints is None
    assert dataset.clip(4, fields=["skeleton"]).audio is None


def test_a_window_that_leaves_the_clip_is_refused(dataset):
    with pytest.raises(UsageError, match=r"frames \[100, 200\) of clip 3: it has 160 frames"):
        dataset.clip(3, start_frame=100, frames=100)
    with pytest.raises(IndexError, match=r"no clip 5: .* has 5"):
        dataset.clip(5)


def test_facts_of_the_dataset_can_be_asked(dataset):
    assert (dataset.name, dataset.fps, dataset.sample_rate) == ("tiny", 25, 11025)
    assert dataset.fields == ("audio", "skeleton")
    assert dataset.topology.joints[0] == dataset.clip(0).keypoints.topology.joints[0]
    assert dataset.manifest.counts == {"recordings": 4, "segments": 5, "frames": 1200}


def _sums(dataset, rows):
    return [float(np.abs(dataset.clip(i).audio).sum()) for i in rows]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_opened_dataset_works_in_other_processes(dataset, method):
    rows = [1, 2, 3, 4] * 8
    expected = _sums(dataset, rows)  # handles are open before the fork
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = [pool.apply_async(_sums, (dataset, rows)) for _ in range(4)]
        assert _sums(dataset, rows) == expected
        assert all(r.get(timeout=60) == expected for r in results)


def test_a_fork_reads_through_handles_of_its_own(dataset):
    _sums(dataset, [1])
    inherited = dataset._shards["shards/audio-00000.h5"]
    pid = os.fork()
    if pid == 0:
        os._exit(0 if dataset._shards["shards/audio-00000.h5"] is not inherited else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_threads_share_a_dataset(dataset):
    rows = [1, 2, 3, 4] * 20
    expected = _sums(dataset, rows)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda i: _sums(dataset, [i])[0], rows)) == expected


def test_a_pickle_is_small_and_opens_the_same_dataset(dataset):
    dataset.clip(2)
    pickled = pickle.dumps(dataset)
    assert len(pickled) < 1000
    np.testing.assert_array_equal(pickle.loads(pickled).clip(2).audio, dataset.clip(2).audio)


def test_a_pickle_of_another_version_is_refused(tmp_path):
    pack(tmp_path, facts(), members(tmp_path / "w"))
    pickled = pickle.dumps(avpipe.open_dataset(tmp_path))
    pack(tmp_path, facts(), members(tmp_path / "w")[:2])
    with pytest.raises(DatasetError, match="was rebuilt since it was opened"):
        pickle.loads(pickled)


def test_a_shard_that_was_replaced_after_opening_is_not_read_as_the_old_one(tmp_path):
    pack(tmp_path, facts(), members(tmp_path / "w"))
    dataset = avpipe.open_dataset(tmp_path)
    changed = member(tmp_path / "w", "violin-b", [(10, 170), (200, 390)], seed=1)
    pack(tmp_path, facts(), [changed, *members(tmp_path / "w")[1:]])
    with pytest.raises(DatasetError, match="open the dataset again"):
        dataset.clip(4)


def test_damage_is_one_line(tmp_path):
    with pytest.raises(DatasetError, match="is not a built dataset"):
        avpipe.open_dataset(tmp_path)
    pack(tmp_path, facts(), members(tmp_path / "w"))
    dataset = avpipe.open_dataset(tmp_path)
    os.truncate(tmp_path / "shards/audio-00000.h5", 4000)
    with pytest.raises(DatasetError) as caught:
        dataset.clip(1)
    assert "\n" not in str(caught.value)
    (tmp_path / "index.parquet").write_bytes(b"PAR1")
    with pytest.raises(DatasetError, match=r"index\.parquet is not the file"):
        avpipe.open_dataset(tmp_path)
    (tmp_path / "MANIFEST.json").write_text("{")
    with pytest.raises(DatasetError, match="is damaged"):
        avpipe.open_dataset(tmp_path)
