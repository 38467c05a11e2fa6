"""Decoding by NVDEC: the choice, the check of its pictures, and the CPU where it does not do."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts import ODD, RESOURCES
from avpipe.errors import RecordingFailed
from avpipe.media import NvdecPlanes, decode_planes, nvdec
from avpipe.media.colour import I420
from avpipe.media.decode import decoded

CLIP = RESOURCES / "urmp_09_vn_crop.mp4"


def same(one: Any, other: Any) -> bool:
    return (
        isinstance(one, I420)
        and one.matrix == other.matrix
        and np.array_equal(one.planes, other.planes)
    )


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A stand-in for NVDEC: the CPU's pictures with colour differences side by side."""

    def install(layout: str = "nv12", spoil: int = -1, stop: int = -1) -> None:
        def pictures(path: Path, accelerator: Any) -> Iterator[Any]:
            for number, picture in enumerate(decoded(path)):
                if number == stop:
                    raise RecordingFailed("unreadable", "the driver has gone")
                given = picture.reformat(format=layout)
                if number == spoil:
                    array = given.to_ndarray()
                    array[3, 5] ^= 1
                    given = type(given).from_ndarray(array, format=layout)
                    given.colorspace, given.color_range = picture.colorspace, picture.color_range
                yield given

        monkeypatch.setattr(nvdec, "decoded", pictures)
        monkeypatch.setattr(nvdec, "_cuda", lambda: None)

    return install


def looked_at(path: Path) -> tuple[list[Any], str, list[str]]:
    """Pictures, what decoded them, and warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pictures = NvdecPlanes(path, threads=2)
        found = list(pictures)
    return found, pictures.decoder, [str(warning.message) for warning in caught]


def test_pictures_of_nvdec_are_those_of_the_cpu(hardware: Callable[..., None]) -> None:
    hardware()
    found, decoder, said = looked_at(CLIP)
    assert (len(found), decoder, said) == (125, "nvdec", [])
    assert all(map(same, found, decode_planes(CLIP)))


@pytest.mark.parametrize(
    ("behaviour", "first", "reason"),
    [
        ({"spoil": 0}, 0, "frame 0 differs from the CPU's"),
        ({"spoil": 5}, 5, "frame 5 differs from the CPU's"),
        ({"stop": 60}, 60, "the driver has gone"),
        ({"layout": "yuv420p"}, 0, "frame 0 comes as yuv420p"),
        ({"layout": "p010le"}, 0, "frame 0 comes as p010le"),
    ],
)
def test_where_nvdec_fails_the_cpu_goes_on_and_says_so(
    hardware: Callable[..., None], behaviour: dict[str, Any], first: int, reason: str
) -> None:
    hardware(**behaviour)
    found, decoder, said = looked_at(CLIP)
    assert (len(found), decoder, len(said)) == (125, "cpu", 1)
    assert f"decoded by the CPU from frame {first} on, not by NVDEC: {reason}" in said[0]
    assert all(map(same, found, decode_planes(CLIP)))


def test_without_such_a_gpu_the_cpu_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    hwaccel = pytest.importorskip("av.codec.hwaccel")
    nowhere = hwaccel.HWAccel("cuda", device="99", allow_software_fallback=False)
    monkeypatch.setattr(nvdec, "_cuda", lambda: nowhere)
    found, decoder, said = looked_at(CLIP)
    assert (decoder, len(said)) == ("cpu", 1)
    assert "\n" not in said[0]
    assert all(map(same, found, decode_planes(CLIP)))


def test_a_pyav_without_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    hwaccel = pytest.importorskip("av.codec.hwaccel")
    monkeypatch.setattr(hwaccel, "hwdevices_available", lambda: ["vaapi"])
    _, decoder, said = looked_at(CLIP)
    assert decoder == "cpu"
    assert "this PyAV is built without it" in said[0]


def test_pictures_without_a_known_matrix_are_the_cpus(hardware: Callable[..., None]) -> None:
    hardware()
    clip = RESOURCES / "asl_hand.25fps.mp4"  # 4:4:4
    found, decoder, said = looked_at(clip)
    assert decoder == "cpu"
    assert "4:2:0" in said[0]
    np.testing.assert_array_equal(found[0], next(decode_planes(clip)))


def test_a_damaged_file_fails_as_on_the_cpu(hardware: Callable[..., None]) -> None:
    hardware()
    with pytest.raises(RecordingFailed, match=r"of \d+ frames decode|does not decode"):
        looked_at(ODD / "truncated_index_first.mp4")


@pytest.mark.gpu
def test_nvdec_itself_gives_the_cpus_pictures() -> None:
    found, decoder, said = looked_at(CLIP)
    assert (decoder, said) == ("nvdec", [])
    assert all(map(same, found, decode_planes(CLIP)))
