import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avpipe.detectors._mediapipe import decode, regions, tflite
from avpipe.detectors._mediapipe.crop import crop, steps, to_picture, whole_picture
from avpipe.detectors._mediapipe.litert import LiteRT
from avpipe.detectors._mediapipe.models import MODELS, WEIGHTS, digests
from avpipe.detectors._sides import SIDES
from avpipe.errors import ToolMissing


def by_definition(frame: np.ndarray, region: np.ndarray, size: int, replicate: bool) -> np.ndarray:
    """The crop as its definition reads, in whole numbers."""
    cx, cy, width, height, rotation = region
    i, j = np.meshgrid(np.arange(size), np.arange(size))
    u, v = (i / size - 0.5) * width, (j / size - 0.5) * height
    x = np.rint(32 * (cx + np.cos(rotation) * u - np.sin(rotation) * v)).astype(int)
    y = np.rint(32 * (cy + np.sin(rotation) * u + np.cos(rotation) * v)).astype(int)
    h, w = frame.shape[:2]

    def tap(dx: int, dy: int) -> np.ndarray:
        column, row = (x >> 5) + dx, (y >> 5) + dy
        values = frame[row.clip(0, h - 1), column.clip(0, w - 1)].astype(int)
        outside = (column < 0) | (column >= w) | (row < 0) | (row >= h)
        if not replicate:
            values[outside] = 0
        return values

    a, b = (x & 31)[..., None], (y & 31)[..., None]
    top = tap(0, 0) * (32 - a) + tap(1, 0) * a
    bottom = tap(0, 1) * (32 - a) + tap(1, 1) * a
    return ((top * (32 - b) + bottom * b + 512) >> 10).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(
    region=st.tuples(
        st.floats(-200, 400),
        st.floats(-200, 400),
        st.floats(1, 900),
        st.floats(1, 900),
        st.floats(-3.2, 3.2),
    ),
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    replicate=st.booleans(),
)
def test_a_crop_is_what_its_definition_says_on_cpu_and_in_torch(region, shape, replicate):
    import torch

    from avpipe.detectors._mediapipe.torch_crop import crops, plainly

    frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    expected = by_definition(frame, np.array(region), 40, replicate)
    cut = crop(frame, np.array(region), 40, replicate).astype(int)
    # Positions are sums in another order: one in 10,000 rounds to the neighbouring 1/32 px.
    assert (cut != expected).mean() < 1e-3
    placed = torch.from_numpy(np.column_stack([steps(np.array([region])), [0.0]]))
    in_torch = crops(torch.from_numpy(frame)[None], placed, 40, replicate, plainly)
    np.testing.assert_array_equal(in_torch[0].numpy(), cut)


def test_the_kernel_for_cuda_gives_the_bits_of_the_plain_operations():
    """In Triton's interpreter, which must be chosen before the kernel is read."""
    pytest.importorskip("triton")
    program = """
import torch
from avpipe.detectors._mediapipe import torch_crop, triton_crop
assert torch_crop.agrees(triton_crop.fused, torch.device("cpu"))
assert not torch_crop.agrees(lambda *given: triton_crop.fused(*given) + 1, torch.device("cpu"))
"""
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_a_region_far_outside_is_the_border():
    frame = np.full((20, 30, 3), 7, np.uint8)
    far = np.array([1e6, -1e6, 50.0, 50.0, 0.3])
    assert (crop(frame, far, 16, replicate=True) == 7).all()
    assert (crop(frame, far, 16, replicate=False) == 0).all()


def test_points_of_a_crop_go_back_to_where_they_were_taken_from():
    region = np.array([[50.0, 40.0, 30.0, 20.0, np.pi / 2]])
    corners = np.array([[[0.5, 0.5], [1.0, 0.5], [0.5, 1.0]]])
    np.testing.assert_allclose(to_picture(corners, region)[0], [[50, 40], [50, 55], [40, 40]])


def test_sparse_rows_are_expanded():
    starts, columns, values = np.array([0, 1, 1, 3]), np.array([2, 0, 3]), np.array([5, 6, 7, 0])
    dense = tflite.expanded(starts, columns, values, (3, 1, 1, 4))
    np.testing.assert_array_equal(dense.reshape(3, 4), [[0, 0, 5, 0], [0, 0, 0, 0], [6, 0, 0, 7]])


@pytest.mark.parametrize("name", MODELS)
def test_a_model_file_is_read_as_its_own_library_reads_it(name):
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    path = MODELS[name].path()
    graph = tflite.read(path)
    theirs = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    kinds = {number: kind for kind, number in vars(schema.BuiltinOperator).items()}
    constant = {"DEQUANTIZE", "DENSIFY"}
    operators = [
        (kinds[max(code.builtinCode, code.deprecatedBuiltinCode)], operator)
        for operator in theirs.subgraphs[0].operators
        for code in [theirs.operatorCodes[operator.opcodeIndex]]
    ]
    computed = [(kind, operator) for kind, operator in operators if kind not in constant]
    assert graph.outputs == tuple(theirs.subgraphs[0].outputs)
    assert [op.kind for op in graph.ops] == [kind for kind, _ in computed]
    for op, (_, operator) in zip(graph.ops, computed, strict=True):
        assert op.inputs == tuple(operator.inputs)
        assert all(getattr(operator.builtinOptions, k) == v for k, v in op.options.items())
    for tensor, expected in enumerate(theirs.subgraphs[0].tensors):
        assert graph.shapes[tensor] == tuple(expected.shape)
    assert all(array.shape == graph.shapes[t] for t, array in graph.constants.items())


@pytest.mark.parametrize("name", MODELS)
def test_torch_computes_what_litert_computes(name, violin):
    import torch

    from avpipe.detectors._mediapipe.torch_graph import TorchGraph

    model = MODELS[name]
    here = [np.array([250.0, 240, 480, 480, 0]), np.array([140.0, 200, 150, 150, 0.4])]
    pictures = np.stack([crop(violin[0], region, model.size, model.replicate) for region in here])
    litert = LiteRT(model)
    expected = [
        np.stack(column) for column in zip(*(litert(violin[0], r) for r in here), strict=True)
    ]
    scale = np.float32((2 if model.signed else 1) / 255)
    with torch.inference_mode():
        network = TorchGraph(tflite.read(model.path()), model.outputs).eval()
        found = network(torch.from_numpy(pictures * scale - np.float32(model.signed)))
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=1e-4 * max(np.ptp(other), 1))


def test_a_pruned_model_gives_the_same_numbers(violin):
    from ai_edge_litert.interpreter import Interpreter

    model = MODELS["pose"]
    region = np.array([250.0, 240, 480, 480, 0])
    picture = crop(violin[0], region, model.size, replicate=True)
    whole = Interpreter(str(model.path()), num_threads=1)
    whole.allocate_tensors()
    scaled = np.multiply(picture, np.float32(1 / 255), dtype=np.float32)
    whole.set_tensor(whole.get_input_details()[0]["index"], scaled[None])
    whole.invoke()
    details = whole.get_output_details()
    assert len(details) == 5
    for position, found in zip(model.outputs, LiteRT(model)(violin[0], region), strict=True):
        np.testing.assert_array_equal(found, whole.get_tensor(details[position]["index"])[0])


def test_a_wrong_or_missing_model_file_is_named_with_both_digests(tmp_path):
    with pytest.raises(ToolMissing, match=r"palm_detection_full.tflite: sha256 is no such file"):
        digests(["palm"], tmp_path)
    (tmp_path / "palm_detection_full.tflite").write_bytes(b"other")
    with pytest.raises(ToolMissing, match=r"is d9298a10\w+, must be 1b14e9422c"):
        digests(["palm"], tmp_path)


def test_all_model_files_ship_and_are_credited():
    assert {path.name for path in WEIGHTS.glob("*.tflite")} == {m.file for m in MODELS.values()}
    notice = (WEIGHTS / "NOTICE").read_text()
    assert all(model.file in notice for model in MODELS.values())


def raw_boxes(at: dict[int, tuple[float, list[float]]]) -> tuple[np.ndarray, np.ndarray]:
    """Raw output of the palm detector: logit and values by anchor, nothing elsewhere."""
    raw, logits = np.zeros((2016, 18), np.float32), np.full((2016, 1), -50, np.float32)
    for anchor, (logit, values) in at.items():
        logits[anchor], raw[anchor, : len(values)] = logit, values
    return raw, logits


def test_boxes_stand_at_their_anchors_and_overlapping_ones_are_averaged_by_score():
    # Anchors 0 and 1 share the first cell of 24 x 24; 2016 - 1 is the last of 12 x 12.
    raw, logits = raw_boxes(
        {0: (2.0, [0, 0, 96, 96]), 1: (0.5, [19.2, 0, 96, 96]), 2015: (1.0, [0, 0, 19.2, 19.2])}
    )
    found = decode.detections("palm", raw, logits, 0.5)
    scores = 1 / (1 + np.exp(-np.array([2.0, 0.5])))
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp([-2.0, -1.0])), rtol=1e-6)
    x = 0.5 / 24 + scores @ [0, 0.1] / scores.sum()
    np.testing.assert_allclose(found.boxes[0], [x, 0.5 / 24, 0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(found.boxes[1], [11.5 / 12, 11.5 / 12, 0.1, 0.1], rtol=1e-6)
    assert found.keypoints.shape == (2, 7, 2)


def test_boxes_below_the_threshold_or_turned_inside_out_are_nothing():
    raw, logits = raw_boxes({3: (-0.1, [0, 0, 9, 9]), 9: (3.0, [0, 0, -9, 9])})
    found = decode.detections("palm", raw, logits, 0.5)
    assert found.keypoints.shape == (0, 7, 2)


def test_a_joint_moves_to_the_mass_of_its_heat_map_where_that_is_sure():
    raw = np.zeros((1, 39, 5), np.float32)
    raw[0, :, :2] = 128.0
    raw[0, 2, :2] = -5.0
    heat = np.full((1, 64, 64, 39), -80, np.float32)
    heat[0, 33, 34, 0] = heat[0, 33, 36, 0] = 5
    heat[0, 33, 34, 1] = -1
    raw = raw.reshape(1, -1)
    xy, visibility = decode.body_landmarks(raw, decode.heat_windows(raw, heat, 9))
    np.testing.assert_allclose(xy[0, 0], [35 / 64, 33 / 64], rtol=1e-6)
    np.testing.assert_allclose(xy[0, 1], 0.5)
    np.testing.assert_allclose(xy[0, 2], -5 / 256, rtol=1e-6)
    assert (visibility == 0.5).all()


def test_a_hand_region_stands_upright_and_reaches_beyond_the_fingers():
    box = np.array([[100.0, 100.0, 40.0, 40.0]])
    keypoints = np.zeros((1, 7, 2))
    keypoints[0, 0], keypoints[0, 2] = (100, 120), (100, 80)
    np.testing.assert_allclose(
        regions.hand_from_palm(box, keypoints)[0], [100, 80, 104, 104, 0], atol=1e-9
    )
    keypoints[0, 2] = (140, 120)
    turned = regions.hand_from_palm(box, keypoints)[0]
    np.testing.assert_allclose(turned, [120, 100, 104, 104, np.pi / 2], atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    angle=st.floats(-3, 3), scale=st.floats(0.2, 5), dx=st.floats(-99, 99), dy=st.floats(-99, 99)
)
def test_regions_move_turn_and_grow_with_their_subject(angle, scale, dx, dy):
    points = np.random.default_rng(1).normal(0, 30, (1, 468, 2))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = points @ turn.T + (dx, dy)
    ways = [
        regions.hand_from_landmarks,
        regions.body,
        regions.face_from_landmarks,
        *(lambda p, side=side: regions.hand_from_pose(p, side) for side in SIDES),
    ]
    for way in ways:
        before, after = way(points)[0], way(moved)[0]
        np.testing.assert_allclose(after[:2], turn @ before[:2] + (dx, dy), atol=1e-6)
        np.testing.assert_allclose(after[2:4], scale * before[2:4], rtol=1e-9)
        difference = (after[4] - before[4] - angle + np.pi) % (2 * np.pi) - np.pi
        assert abs(difference) < 1e-6


def test_the_whole_picture_is_padded_to_a_square():
    np.testing.assert_array_equal(whole_picture(100, 60), [[30, 50, 100, 100, 0]])
