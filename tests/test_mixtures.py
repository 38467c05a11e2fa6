"""Mixtures of random windows for training."""

import pickle

import numpy as np
import pytest

import avpipe
from avpipe.errors import UsageError
from avpipe.shards import pack
from tiny_dataset import facts, member, members

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixtures")
    second_violin = member(folder, "violin-c", [(0, 200)])
    pack(folder / "out", facts(), [*members(folder), second_violin])
    return avpipe.open_dataset(folder / "out")


def test_a_mixture_is_the_sum_of_its_sources(dataset):
    mixtures = dataset.torch(seconds=2.0, mix=2, seed=3)
    assert isinstance(mixtures, torch.utils.data.Dataset)
    for item in (mixtures[i] for i in range(len(mixtures))):
        assert item["mix"].shape == (22050,)
        assert item["sources"].shape == (2, 22050)
        assert item["mix"].dtype == item["sources"].dtype == torch.float32
        torch.testing.assert_close(item["mix"], item["sources"].sum(0))
        assert item["mix"].abs().max() <= 1
        assert item["xy"].shape == (2, 50, 67, 2)
        assert item["confidence"].shape == item["filled"].shape == (2, 50, 67)


def test_sources_are_windows_of_the_recordings_that_the_item_names(dataset):
    item = dataset.torch(seconds=2.0, mix=3, seed=0)[2]
    index = dataset.index
    for s in range(3):
        start = int(item["start_frames"][s])
        row = index[
            (index["recording"] == item["recordings"][s])
            & (index["start_frame"] <= start)
            & (start + 50 <= index["stop_frame"])
        ].index[0]
        clip = dataset.clip(row, start_frame=start - index["start_frame"][row], frames=50)
        np.testing.assert_array_equal(item["sources"][s].numpy(), clip.audio / np.float32(3))
        if clip.keypoints is None:
            assert not item["confidence"][s].any()
        else:
            np.testing.assert_array_equal(item["xy"][s].numpy(), clip.keypoints.xy)


def test_sources_are_of_different_categories_and_then_of_different_recordings(dataset):
    for item in map(dataset.torch(seconds=2.0, mix=3).__getitem__, range(20)):
        assert len(set(item["categories"])) == 3
        assert "mute" not in item["recordings"]
    four = [dataset.torch(seconds=2.0, mix=4)[i] for i in range(20)]
    assert all(len(set(item["recordings"])) == 4 for item in four)


def test_items_depend_on_seed_and_number_alone(dataset):
    one, two = dataset.torch(seconds=2.0, seed=1), dataset.torch(seconds=2.0, seed=1)
    assert [two[i]["recordings"] for i in (7, 3)] == [one[i]["recordings"] for i in (7, 3)]
    torch.testing.assert_close(one[3]["mix"], pickle.loads(pickle.dumps(two))[3]["mix"])
    other = dataset.torch(seconds=2.0, seed=2)
    assert not torch.equal(one[3]["mix"], other[3]["mix"])


def test_an_epoch_has_an_item_a_window_of_clips_that_are_long_enough(dataset):
    assert len(dataset.torch(seconds=2.0)) == 300 // 50 + 400 // 50 + 160 // 50 + 190 // 50 + 4
    assert len(dataset.torch(seconds=8.0)) == 1 + 2 + 0 + 0 + 1
    with pytest.raises(UsageError, match=r"need 2 recordings with 12\.5 s of audio .* has 1"):
        dataset.torch(seconds=12.5)
    with pytest.raises(IndexError):
        dataset.torch(seconds=2.0)[99]


def test_a_data_loader_with_workers_gives_the_same_batches(dataset):
    mixtures = dataset.torch(seconds=1.0)
    mixtures[0]
    loaders = [torch.utils.data.DataLoader(mixtures, 4, num_workers=n) for n in (0, 2)]
    for alone, shared in zip(*loaders, strict=True):
        torch.testing.assert_close(alone["mix"], shared["mix"])
        torch.testing.assert_close(alone["xy"], shared["xy"])
        assert alone["recordings"] == shared["recordings"]
