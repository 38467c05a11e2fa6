"""`mediapipe` with PyTorch: fixed groups, captured graphs, memory that runs out."""

import subprocess
import sys
from itertools import islice

import numpy as np
import pytest
import torch

from avpipe.detectors import Frame
from avpipe.detectors._mediapipe import blocks, torch_lanes, torch_pictures
from avpipe.detectors._mediapipe.torch_lanes import Network
from avpipe.detectors._mediapipe.torch_pictures import Uploads
from avpipe.detectors._mediapipe.torch_runner import TorchRunner
from avpipe.detectors._torch_memory import is_out_of_memory
from avpipe.detectors.mediapipe import Config, Mediapipe, _models, create
from avpipe.errors import RecordingFailed
from avpipe.media import decode_frames, decode_planes
from avpipe.media.colour import I420, MATRICES
from clips import RESOURCES
from pretended_cuda import pretended


def test_a_batch_of_any_size_gives_the_same_bits(violin):
    around = np.tile([[280.0, 240, 150, 150, 0]], (40, 1))
    around[:, 4] = np.linspace(-1, 1, 40)
    index = np.arange(40) % 2
    found = []
    for batch in (1, 48):
        pictures = TorchRunner(["hand"], "cpu", batch).load(list(violin[:2]))
        found += [pictures.run("hand", index, around)]
    found += [[np.flip(o, 0) for o in pictures.run("hand", index[::-1], around[::-1])]]
    singly = [pictures.run("hand", [index[t]], around[t : t + 1]) for t in (0, 17, 39)]
    for outputs in zip(*found, strict=True):
        np.testing.assert_array_equal(outputs[0], outputs[1])
        np.testing.assert_array_equal(outputs[0], outputs[2])
    for t, alone in zip((0, 17, 39), singly, strict=True):
        np.testing.assert_array_equal(alone[0][0], found[0][0][t])


def test_pictures_of_the_decoder_give_the_same_bits_as_their_rgb():
    runner, clip = TorchRunner(["palm"], "cpu", 16), RESOURCES / "urmp_09_vn_crop.mp4"
    around = np.array([[280.0, 240, 560, 560, 0]])
    one, other = (
        runner.load(list(islice(decode(clip), 6))) for decode in (decode_frames, decode_planes)
    )
    assert len(one) == len(other) == 6
    np.testing.assert_array_equal(one.store.whole()[0], other.store.whole()[0])
    for t in (0, 5):
        np.testing.assert_array_equal(
            one.run("palm", [t], around)[0], other.run("palm", [t], around)[0]
        )


def test_half_precision_keeps_a_hand_within_half_a_pixel(violin):
    region = np.array([[140.0, 250, 150, 150, 0.2]])
    exact, half = (
        TorchRunner(["hand"], "cpu", 1, half=half).load(violin[:1]).run("hand", [0], region)
        for half in (False, True)
    )
    gaps = np.linalg.norm((exact[0] - half[0]).reshape(21, 3)[:, :2], axis=1) * 150 / 224
    assert 0 < np.median(gaps) <= 0.1
    assert np.percentile(gaps, 95) <= 0.5
    assert abs(exact[1] - half[1]) < 0.01


class Scarce:
    """A device without room, at a place, for the first `refusals` times, or always."""

    def __init__(self, monkeypatch, owner, name, refusals=None, error=None) -> None:
        self.left, self.refused = refusals, 0
        plain = getattr(owner, name)

        def refusing(*given, **named):
            if self.left is None or self.refused < self.left:
                self.refused += 1
                raise error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
            return plain(*given, **named)

        monkeypatch.setattr(owner, name, refusing)


TYPICAL = 1e-2
"""Of outputs in px of a crop; layouts in memory differ, and so do sums by a few bits."""
TWENTY = np.arange(20) % 10


def on_cuda(names: list[str], batch: int) -> TorchRunner:
    """On a pretended device, for which Triton has no compiler."""
    with pytest.warns(UserWarning, match="without Triton"):
        return TorchRunner(names, "cuda", batch)


def turned(count: int) -> np.ndarray:
    around = np.tile([[280.0, 240, 560, 560, 0]], (count, 1))
    around[:, 4] = np.linspace(-1, 1, count)
    return around


@pytest.fixture(scope="module")
def planes() -> list[Frame | I420]:
    """Ten frames as they come from the decoder."""
    return list(islice(decode_planes(RESOURCES / "urmp_09_vn_crop.mp4"), 10))


@pytest.fixture(scope="module")
def expected(planes) -> np.ndarray:
    pictures = TorchRunner(["hand_recrop"], "cpu", 64).load(planes)
    return pictures.run("hand_recrop", np.arange(70) % 10, turned(70))[0]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), True),
        (RuntimeError("Triton Error [CUDA]: out of memory"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("GET was unable to find an engine to execute this computation"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_missing_memory_are_known_by_class_or_by_what_they_say(error, expected):
    assert is_out_of_memory(error) == expected
    after = RuntimeError("Invalid capture.")
    after.__context__ = error
    assert is_out_of_memory(after) == expected


@pytest.mark.parametrize(
    ("owner", "name"),
    [(Uploads, "frames"), (torch_pictures, "_converted"), (torch_lanes, "crops"),
     (Network, "forward"), (torch_lanes, "_Program")],
)  # fmt: skip
@pytest.mark.parametrize(("refusals", "batch", "at_a_time"), [(1, 32, 0), (3, 16, 5), (5, 16, 1)])
def test_where_memory_runs_out_less_is_done_at_a_time_and_no_bit_changes(
    monkeypatch, planes, expected, owner, name, refusals, batch, at_a_time
):
    """Upload, conversion, crops, the network, its buffers: a refusal halves the batch, then the
    frames; of an upload that the loading thread tries the first refusal only postpones it."""
    uploading = owner in (Uploads, torch_pictures)
    runner = TorchRunner(["hand_recrop"], "cpu", 64)
    Scarce(monkeypatch, owner, name, refusals + uploading)
    pictures = runner.load(planes)
    found = pictures.run("hand_recrop", np.arange(70) % 10, turned(70))[0]
    assert (runner.batch, runner.frames_at_a_time) == (batch, at_a_time)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("refusals", "batch"), [(1, 16), (2, 16)])
def test_memory_that_runs_out_while_a_graph_is_captured(
    monkeypatch, planes, expected, refusals, batch
):
    with pretended(monkeypatch) as device:
        Scarce(monkeypatch, torch.cuda, "graph", refusals)
        runner = on_cuda(["hand_recrop"], 32)
        found = runner.load(planes).run("hand_recrop", np.arange(70) % 10, turned(70))[0]
    assert runner.batch == batch
    assert runner.frames_at_a_time == (0 if refusals == 1 else 5)
    assert sum(graph.replays > 0 for graph in device.graphs) == 1
    np.testing.assert_allclose(found, expected, atol=TYPICAL)


def test_frames_moved_out_of_a_full_device_give_the_same_bits(monkeypatch, planes, expected):
    """Frames that were there when memory ran out, whole and cut, and frames loaded afterwards."""
    runner = TorchRunner(["hand_recrop"], "cpu", 16)
    pictures, box = runner.load(planes), (100, 50, 500, 450)
    cut = pictures.cut(3, box)
    inside = np.array([[200.0, 200, 90, 90, 0.3]])
    expected_inside = cut.run("hand_recrop", [0], inside)[0]
    with monkeypatch.context() as patches:
        Scarce(patches, torch_lanes, "crops", 2)
        found = [pictures.run("hand_recrop", np.arange(70) % 10, turned(70))[0]]
    assert not pictures.store.resident
    assert not cut.store.resident
    later = runner.load(planes)
    assert not later.store.resident
    found += [p.run("hand_recrop", np.arange(70) % 10, turned(70))[0] for p in (later, pictures)]
    for one in found:
        np.testing.assert_array_equal(one, expected)
    cuts = [cut, later.cut(3, box), pictures.cut(3, box)]
    with monkeypatch.context() as patches:
        Scarce(patches, Uploads, "part")
        cuts += [TorchRunner(["hand_recrop"], "cpu", 16).load(planes).cut(3, box)]
        assert not cuts[-1].store.resident
    for one in cuts:
        np.testing.assert_array_equal(one.run("hand_recrop", [0], inside)[0], expected_inside)


def test_pinned_memory_that_does_not_suffice_is_done_without(monkeypatch, planes, expected):
    plain, refused = torch.empty, []

    def unpinned_only(*given, pin_memory=False, **named):
        if pin_memory and named.get("dtype") == torch.uint8:
            refused.append(given)
            raise RuntimeError("CUDA error: out of memory")
        return plain(*given, pin_memory=pin_memory, **named)

    with pretended(monkeypatch):
        runner = on_cuda(["hand_recrop"], 64)
        with monkeypatch.context() as patches:
            patches.setattr(torch, "empty", unpinned_only)
            pictures = runner.load(planes)
        found = pictures.run("hand_recrop", np.arange(70) % 10, turned(70))[0]
    assert refused
    np.testing.assert_allclose(found, expected, atol=TYPICAL)


@pytest.mark.parametrize(("owner", "name"), [(Uploads, "frames"), (torch_lanes, "crops")])
def test_memory_that_does_not_suffice_for_one_group_and_frame_is_one_line(
    monkeypatch, planes, owner, name
):
    Scarce(monkeypatch, owner, name)
    pictures = TorchRunner(["palm"], "cpu", 64).load(planes)
    with pytest.raises(RecordingFailed, match="no room for 16 regions and a frame of 560 x 480"):
        pictures.run("palm", [0], turned(1))


def test_other_errors_are_not_taken_for_missing_memory(monkeypatch, planes):
    scarce = Scarce(monkeypatch, torch_lanes, "crops", error=RuntimeError("an illegal access"))
    with pytest.raises(RuntimeError, match="illegal access"):
        TorchRunner(["palm"], "cpu", 64).load(planes).run("palm", [0], turned(1))
    assert scarce.refused == 1


def test_a_whole_recording_survives_a_device_with_room_for_little(monkeypatch, violin):
    """One group of regions at a time, and one frame, in two blocks."""
    config = Config()
    wanted = Mediapipe(config, TorchRunner(_models(config), "cpu", 16)).detect(violin[:4])
    runner = TorchRunner(_models(config), "cpu", 64)
    plain_crops, plain_frames = torch_lanes.crops, Uploads.frames

    def crops(*given):
        if runner.batch > 16:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return plain_crops(*given)

    def frames(uploads, host, matrix):
        if len(host) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return plain_frames(uploads, host, matrix)

    monkeypatch.setattr(torch_lanes, "crops", crops)
    monkeypatch.setattr(Uploads, "frames", frames)
    monkeypatch.setattr(blocks, "_LONGEST", 2)
    found = Mediapipe(config, runner).detect(violin[:4])
    assert (runner.batch, runner.frames_at_a_time) == (16, 1)
    np.testing.assert_array_equal(found["skeleton"].xy, wanted["skeleton"].xy)
    np.testing.assert_array_equal(found.notes["hand_origin"], wanted.notes["hand_origin"])


@pytest.mark.parametrize(("shape", "limit"), [((64, 48), 4 * 2**20), ((64, 48), 900), ((6, 8), 1)])
def test_planes_are_converted_the_same_in_any_bands(monkeypatch, shape, limit):
    height, width = shape
    noise = np.random.default_rng(0).integers(0, 256, (3, height // 2 * 3, width), np.uint8)
    monkeypatch.setattr(torch_pictures, "_CONVERTED_BYTES", limit)
    found = torch_pictures._converted(torch.from_numpy(noise), MATRICES[0])
    np.testing.assert_array_equal(found, [I420(one, MATRICES[0]).rgb() for one in noise])


def test_captured_once_and_replayed_a_lane_computes_the_same(monkeypatch, planes):
    for name in ("pose", "hand_recrop"):
        expected = TorchRunner([name], "cpu", 32).load(planes).run(name, TWENTY, turned(20))
        with pretended(monkeypatch) as device:
            pictures = on_cuda([name], 32).load(planes)
            found = [pictures.run(name, TWENTY, turned(20)) for _ in range(2)]
        for outputs in found:
            for one, other in zip(outputs, expected, strict=True):
                np.testing.assert_allclose(one, other, atol=TYPICAL)
        assert [graph.replays for graph in device.graphs] == [2, 2]


def test_on_a_device_the_host_waits_for_results_alone(monkeypatch, planes):
    """Uploads, their conversion and crops of further groups go on meanwhile."""
    with pretended(monkeypatch) as device:
        runner = on_cuda(["hand_recrop"], 32)
        runner.load(planes[:1]).run("hand_recrop", [0] * 20, turned(20))  # captures
        device.waits.clear()
        pictures = runner.load(planes)
        assert not device.waits
        pictures.run("hand_recrop", TWENTY, turned(20))
        assert device.waits == {"synchronize": 2}  # groups


def test_frames_leave_a_device_when_their_upload_is_done(monkeypatch, planes):
    with pretended(monkeypatch):
        pictures = on_cuda(["hand_recrop"], 16).load(planes)
        pictures.store.leave()
        assert not pictures.store.resident
        part = pictures.cut(2, (100, 50, 300, 250)).store._host
    np.testing.assert_array_equal(part[0], planes[2].rgb()[50:250, 100:300])


@pytest.mark.slow
def test_a_recording_on_a_device_gives_what_it_gives_on_the_cpu(monkeypatch, violin):
    """From the thread that loads to the last hand, in two blocks."""
    monkeypatch.setattr(blocks, "_LONGEST", 1)
    wanted = create(Config(threads=1), "cpu").detect(violin[:2])
    with pretended(monkeypatch), pytest.warns(UserWarning, match="without Triton"):
        found = create(Config(batch=16), "cuda").detect(violin[:2])
    np.testing.assert_allclose(found["skeleton"].xy, wanted["skeleton"].xy, atol=1 / 8)
    np.testing.assert_array_equal(found.notes["hand_origin"], wanted.notes["hand_origin"])


@pytest.mark.parametrize("api", ["plain", "names before 2.9", "names from 2.9 on"])
def test_single_precision_is_kept_whatever_the_process_has_chosen(api):
    """In a process of its own: PyTorch refuses to go back from one set of names to the other."""
    program = f"""
import torch
from avpipe.detectors._precision import strict
api = {api!r}
if api == "names before 2.9":
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
elif api == "names from 2.9 on" and hasattr(torch.backends.cudnn, "conv"):
    torch.backends.fp32_precision = "tf32"
    torch.backends.cudnn.conv.fp32_precision = "tf32"
def state():
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    kinds = [p.fp32_precision for p in (cudnn.conv, products)] if hasattr(cudnn, "conv") else [
        "tf32" if p.allow_tf32 else "ieee" for p in (cudnn, products)]
    return [*kinds, cudnn.deterministic, cudnn.benchmark]
before = state()
with strict():
    assert state() == ["ieee", "ieee", True, False], state()
assert state() == before, (before, state())
"""
    subprocess.run([sys.executable, "-c", program], check=True)
