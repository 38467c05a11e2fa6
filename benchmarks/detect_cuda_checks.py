"""Whether the detector `mediapipe` is right on CUDA: what `detect_cuda.py` checks first.

On the CPU (`device` "cpu") the same goes as a rehearsal.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avpipe.detectors import Frame
from avpipe.detectors._mediapipe.crop import crop, steps
from avpipe.detectors._mediapipe.models import MODELS
from avpipe.detectors._mediapipe.runner import LiteRTRunner, Runner
from avpipe.detectors._mediapipe.torch_crop import crops, plainly, sampler
from avpipe.detectors._mediapipe.torch_lanes import GROUP
from avpipe.detectors._mediapipe.torch_runner import TorchRunner
from avpipe.detectors._precision import strict
from avpipe.detectors.mediapipe import Config, Mediapipe, _models
from avpipe.errors import RecordingFailed
from avpipe.media.colour import I420
from avpipe.types import Keypoints

RESOURCES = Path(__file__).parents[1] / "tests" / "resources"
CLIPS = ("urmp_vln1.mp4", "urmp_09_tpt_crop.mp4", "urmp_09_vn_crop.mp4")


def decoded(path: Path, decoder: str = "cpu") -> Iterator[Frame | I420]:
    """The pictures of a video, by PyAV as the stage decodes them, else by OpenCV."""
    if find_spec("av") is not None:
        from avpipe.media import NvdecPlanes, decode_planes

        yield from NvdecPlanes(path, 4) if decoder == "nvdec" else decode_planes(path, 4)
        return
    import cv2

    reader = cv2.VideoCapture(str(path))
    while (read := reader.read())[0]:
        yield np.ascontiguousarray(read[1][..., ::-1])


def rgb(frames: Iterator[Frame | I420]) -> list[Frame]:
    return [frame.rgb() if isinstance(frame, I420) else frame for frame in frames]


def detector(device: str, **options: Any) -> Mediapipe:
    """As `avpipe.detectors.create` makes it, also with PyTorch on the CPU."""
    config = Config(**options)
    half = config.fidelity == "fast"
    return Mediapipe(config, TorchRunner(_models(config), device, config.batch, half=half))


def reference() -> tuple[str, Mediapipe]:
    """What the CPU finds, by LiteRT where it is installed."""
    config = Config()
    if find_spec("ai_edge_litert") is not None:
        runner: Runner = LiteRTRunner(_models(config), torch.get_num_threads())
        return "LiteRT", Mediapipe(config, runner)
    return "PyTorch", detector("cpu")


def arithmetic(device: str) -> dict[str, Any]:
    """Single precision, and which crops, with the share of their values that differ from OpenCV's
    (zero but for positions that fall between two steps of 1/32 px)."""
    noise = torch.Generator().manual_seed(0)
    x, w = (torch.randn(s, generator=noise) for s in ((8, 64, 28, 28), (64, 64, 3, 3)))
    exact = torch.conv2d(x.double(), w.double())
    with strict():
        found = torch.conv2d(x.to(device), w.to(device)).cpu()
        product = (x[0, 0].to(device) @ x[0, 1].to(device)).cpu()
    errors = [(found - exact).abs().max() / exact.abs().max(),
              (product - x[0, 0].double() @ x[0, 1].double()).abs().max() / 28]  # fmt: skip
    frames = np.stack(rgb(islice(decoded(RESOURCES / CLIPS[2]), 2)))
    around = np.array([[280, 240, 560, 560, 0], [140, 250, 150.3, 150.3, 0.4], [9, 9, 64, 64, 2.0]])
    placed = torch.from_numpy(np.column_stack([steps(around), [0, 1, 1]])).to(device)
    sample = sampler(torch.device(device))
    on_device = crops(torch.from_numpy(frames).to(device), placed, 224, True, sample).cpu().numpy()
    wanted = [crop(frames[t], r, 224, True) for t, r in zip((0, 1, 1), around, strict=True)]
    return {
        "relative_error_of_convolution_and_product": [float(f"{e:.1e}") for e in errors],
        "crops": "plain operations" if sample is plainly else "one kernel",
        "crop_values_that_differ": float((on_device != np.stack(wanted)).mean()),
    }


def models(device: str) -> dict[str, dict[str, float]]:
    """Largest difference of each model's outputs from the CPU's, as part of their range."""
    frames = rgb(islice(decoded(RESOURCES / CLIPS[2]), 1))
    around = np.array([[280, 240, 560, 560, 0], [140, 250, 150, 150, 0.4], [300, 200, 300, 300, 0]])
    result: dict[str, dict[str, float]] = {}
    for name in MODELS:
        outputs = [
            TorchRunner([name], where, GROUP, half=half).load(frames).run(name, [0] * 3, around)
            for where, half in (("cpu", False), (device, False), (device, device != "cpu"))
        ]
        for label, found in zip(("exact", "fast"), outputs[1:], strict=True):
            worst = max(float(np.abs(a - b).max() / max(np.ptp(a), 1))
                        for a, b in zip(outputs[0], found, strict=True))  # fmt: skip
            result.setdefault(name, {})[label] = float(f"{worst:.1e}")
    return result


def keypoints(device: str, count: int) -> dict[str, Any]:
    """Distances of keypoints on real clips, px."""
    name, cpu = reference()
    exact, fast = (detector(device, fidelity=f) for f in ("exact", "fast"))
    gaps: dict[str, list[Any]] = {"exact": [], "fast, hands": [], "fast, body": []}
    differing = 0
    for clip in CLIPS:
        frames = rgb(islice(decoded(RESOURCES / clip), count))
        found, other = (d.detect(frames)["skeleton"] for d in (exact, cpu))
        gaps["exact"].append(distances(found, other))
        differing += int(((found.confidence > 0) != (other.confidence > 0)).sum())
        if device != "cpu":
            halves = fast.detect(frames)["skeleton"]
            body = found.topology.left_hand[0]
            gaps["fast, hands"].append(distances(halves, found, slice(body, None)))
            gaps["fast, body"].append(distances(halves, found, slice(body)))
    result: dict[str, Any] = {"reference": name, "presence_differs": differing}
    for label, parts in gaps.items():
        if parts:
            all_ = np.concatenate(parts)
            p50, p95 = np.percentile(all_, (50, 95))
            result[label] = {"median": round(p50, 4), "p95": round(p95, 4), "points": len(all_)}
    result["exact"]["within_an_eighth"] = float((np.concatenate(gaps["exact"]) <= 1 / 8).mean())
    return result


def distances(one: Keypoints, other: Keypoints, joints: slice = slice(None)) -> Any:
    both = (one.confidence > 0) & (other.confidence > 0)
    return np.linalg.norm(one.xy - other.xy, axis=-1)[:, joints][both[:, joints]]


def same_bits(device: str, count: int) -> dict[str, bool]:
    """Whether keypoints depend on batch size, on repetition, or on memory running out."""
    frames = rgb(islice(decoded(RESOURCES / CLIPS[0]), count))
    expected = detector(device, batch=64).detect(frames)["skeleton"].xy
    result = {
        f"batch {batch}": bool((detector(device, batch=batch).detect(frames)["skeleton"].xy
                                == expected).all())
        for batch in (GROUP, 64, 256)
    }  # fmt: skip
    for mib in (800, 600) if device == "cuda" else (600,):
        scarce = detector(device, batch=256)
        runner: Any = scarce._runner
        if device == "cuda":
            total = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.empty_cache()
            allowed = torch.cuda.memory_reserved() + mib * 2**20
            torch.cuda.set_per_process_memory_fraction(allowed / total)
        else:
            _refuse_more_lanes_than(1, runner)
        try:
            found, reason = scarce.detect(frames)["skeleton"].xy, ""
        except RecordingFailed as error:
            found, reason = None, f": {error}"
        finally:
            if device == "cuda":
                torch.cuda.set_per_process_memory_fraction(1.0)
        result[
            f"{mib} MiB left, batch {runner.batch}, frames {runner.frames_at_a_time}{reason}"
        ] = found is not None and bool((found == expected).all())
        result[f"{mib} MiB left, the batch was halved"] = runner.batch < 256
    return result


def _refuse_more_lanes_than(most: int, runner: Any) -> None:
    def refused(*given: Any) -> None:
        raise torch.cuda.OutOfMemoryError("refused")

    for lane in runner._lanes[most:]:
        lane.start = refused


def broken(result: dict[str, Any]) -> list[str]:
    """The bounds that do not hold."""
    found = result["keypoints"]
    bounds = {
        "single precision": max(result["arithmetic"][
            "relative_error_of_convolution_and_product"]) < 1e-5,
        "crops": result["arithmetic"]["crop_values_that_differ"] < 1e-3,
        "models within 1e-4 of their range": all(
            row["exact"] <= 1e-4 for row in result["models"].values()),
        "presence as on the CPU": found["presence_differs"] == 0,
        "99.9 % within 1/8 px of the CPU": found["exact"]["within_an_eighth"] >= 0.999,
        "the same bits": all(result["same_bits"].values()),
    }  # fmt: skip
    if "fast, hands" in found:
        hands, body = found["fast, hands"], found["fast, body"]
        bounds["fast, hands"] = hands["median"] <= 0.1 and hands["p95"] <= 0.5
        bounds["fast, body"] = body["median"] <= 1 and body["p95"] <= 6
    return [bound for bound, holds in bounds.items() if not holds]
