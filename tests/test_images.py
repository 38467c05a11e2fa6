import numpy as np
import pytest
from PIL import Image

from avpipe import images
from avpipe.errors import DatasetError
from avpipe.types import Segment


@pytest.fixture
def pictures() -> list[bytes]:
    """Five flat grey pictures of 16x24, each brighter than the one before."""
    flat = [np.full((16, 24, 3), 40 * i, np.uint8) for i in range(5)]
    return [images.encode(Image.fromarray(p), quality=95) for p in flat]


def clip(pictures: list[bytes]) -> images.Images:
    jpeg = np.frombuffer(b"".join(pictures), np.uint8)
    offsets = np.cumsum([0, *map(len, pictures)])
    held = np.array([True, False, False, False, True])
    return images.Images(jpeg, offsets, np.arange(5) * 3, 16, 24, held)


def test_pictures_behave_like_the_array_of_their_pixels(pictures):
    found = clip(pictures)
    pixels = np.asarray(found)
    assert pixels.shape == found.shape == (5, 16, 24, 3)
    assert pixels.dtype == found.dtype == np.uint8
    assert pixels[:, 0, 0, 0].tolist() == pytest.approx([0, 40, 80, 120, 160], abs=1)
    assert (found[-1] == pixels[4]).all()
    with pytest.raises(IndexError):
        found[5]


def test_a_range_of_pictures_keeps_frames_and_marks(pictures):
    part = clip(pictures)[3:]
    assert part.frames.tolist() == [9, 12]
    assert part.held.tolist() == [False, True]
    assert (np.asarray(part) == np.asarray(clip(pictures))[3:]).all()
    assert len(clip(pictures)[2:2]) == 0
    assert np.asarray(clip(pictures)[2:2]).shape == (0, 16, 24, 3)


def test_a_stream_of_pictures_is_split_where_each_one_starts(pictures):
    offsets = images.split(b"".join(pictures))
    assert offsets == np.cumsum([0, *map(len, pictures)]).tolist()


@pytest.mark.parametrize("cut", [1, 2, 40, 300])
def test_a_stream_that_ends_early_is_refused(pictures, cut):
    with pytest.raises(ValueError, match="JPEG"):
        images.split(b"".join(pictures)[:-cut])


def test_what_is_no_picture_is_a_dataset_error():
    with pytest.raises(DatasetError, match="cannot be decoded"):
        images.decode(b"\xff\xd8 and no more")


def test_equal_pixels_give_equal_bytes(pictures):
    flat = Image.fromarray(np.full((16, 24, 3), 80, np.uint8))
    assert images.encode(flat, quality=95) == pictures[2]


def test_saved_pictures_are_counted_and_indexed(pictures, tmp_path):
    facts = images.Facts(True, frames=13, step=3, height=16, width=24)
    saved = images.save(tmp_path, "frames", pictures, facts, None)
    assert saved == images.read_facts(tmp_path, "frames")
    assert (saved.images, saved.bytes) == (5, sum(map(len, pictures)))
    assert (tmp_path / "frames.mjpeg").read_bytes() == b"".join(pictures)


@pytest.mark.parametrize(
    ("segment", "step", "expected"),
    [((0, 9), 3, [0, 3, 6]), ((1, 9), 3, [3, 6]), ((3, 10), 3, [3, 6, 9]), ((1, 3), 3, [])],
)
def test_kept_frames_are_the_multiples_of_step_in_the_segment(segment, step, expected):
    start, stop = Segment(*segment).every(step)
    assert [i * step for i in range(start, stop)] == expected
