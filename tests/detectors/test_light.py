import numpy as np
import pytest

from avpipe.detectors._mediapipe.light import stretched
from avpipe.media.colour import I420, MATRICES


def picture(low: int, high: int, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """(120, 160, 3) a slope of grey from one level to another."""
    slope = np.linspace(low, high, 160)[None, :, None]
    rng = np.random.default_rng(seed)
    return np.clip(slope + rng.normal(0, noise, (120, 160, 3)), 0, 255).astype(np.uint8)


def only(frame):
    (made,) = stretched(iter([frame]))
    return made


def test_pictures_of_ordinary_contrast_stay_the_very_same():
    for frame in (picture(0, 255), picture(40, 180), picture(100, 255)):
        assert only(frame) is frame


@pytest.mark.parametrize(("low", "high"), [(0, 30), (96, 160), (10, 60)])
def test_little_contrast_becomes_half_of_the_range(low, high):
    made = only(picture(low, high))
    assert made.min() <= 8
    assert 100 <= made.max() <= 150
    assert (np.diff(made[0, :, 0].astype(int)) >= 0).all()


def test_a_black_picture_stays_black_and_tiny_ones_are_no_error():
    assert not only(np.zeros((90, 120, 3), np.uint8)).any()
    for shape in ((1, 1, 3), (1, 64, 3), (9, 7, 3)):
        assert only(np.full(shape, 9, np.uint8)).shape == shape


def test_noise_is_not_made_stronger_than_models_cope_with():
    quiet, noisy = only(picture(0, 30)), only(picture(0, 30, noise=2))
    assert quiet[:, -8:].mean() > 1.4 * noisy[:, -8:].mean() > 1.4 * 30
    loud = picture(0, 30, noise=8)
    assert only(loud) is loud


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("size", [(48, 64), (2, 2), (50, 38)])
def test_planes_become_what_their_colours_become(matrix, size):
    """So that both decoders' pictures give the same keypoints."""
    height, width = size
    rng = np.random.default_rng(0)
    for top in (40, 60, 120, 235):
        planes = rng.integers(16, top, (height * 3 // 2, width), np.uint8)
        planes[height:] = rng.integers(120, 136, (height // 2, width), np.uint8)
        planes = np.sort(planes, axis=1)
        frame = I420(planes, matrix)
        made, expected = only(frame), only(frame.rgb())
        np.testing.assert_array_equal(made.rgb() if isinstance(made, I420) else made, expected)
        assert isinstance(made, I420) == np.array_equal(expected, frame.rgb())
