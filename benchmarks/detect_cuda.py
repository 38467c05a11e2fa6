"""The detector `mediapipe` on CUDA: whether it is right, how fast it is, what it needs.

    python benchmarks/detect_cuda.py [--device cuda] [--frames 60] [--processes 1,4,8]
        [--video FILE]

Needs numpy, torch and opencv (or PyAV) besides avpipe's own files: no mediapipe, no LiteRT. Takes
some minutes and ends with status 1 if a bound is broken. In turn: arithmetic and crops against
the CPU's; every model against the CPU's; keypoints of three clips in `exact` against the CPU's and
in `fast` against `exact`; the same bits for any batch size and after memory has run out; memory;
regions a second of each model; frames a second from 720p pictures in memory and from a 720p file,
in one process and in several; where the time goes. Writes benchmarks/results/detect_cuda.json.

`--device cpu` goes the same way without a GPU (a rehearsal: rates mean nothing then).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avpipe.detectors import Frame
from avpipe.detectors._mediapipe import torch_lanes
from avpipe.detectors._mediapipe.crop import crop, steps, whole_picture
from avpipe.detectors._mediapipe.models import MODELS
from avpipe.detectors._mediapipe.runner import LiteRTRunner, Runner
from avpipe.detectors._mediapipe.torch_crop import crops, plainly, sampler
from avpipe.detectors._mediapipe.torch_lanes import GROUP
from avpipe.detectors._mediapipe.torch_runner import TorchRunner
from avpipe.detectors.mediapipe import Config, Mediapipe, _models
from avpipe.media.colour import I420, MATRICES
from avpipe.types import Keypoints
from machine import machine, save

RESOURCES = Path(__file__).parents[1] / "tests" / "resources"
CLIPS = ("urmp_vln1.mp4", "urmp_09_tpt_crop.mp4", "urmp_09_vn_crop.mp4")
LARGE = (720, 1280)
REGIONS_A_FRAME = {"body": 0.2, "pose": 1.0, "hand_recrop": 2.0, "hand": 2.4, "palm": 0.05}
"""What the recipe `performer` asks for on the three clips, with key frames every fifth frame."""
FLOORS = {"models alone": 4000, "720p file": 2000}
"""Frames a second on one H200 with 16 cores."""


def decoded(path: Path) -> Iterator[Frame | I420]:
    """The pictures of a video, by PyAV as the stage decodes them, else by OpenCV."""
    if find_spec("av") is not None:
        from avpipe.media import decode_planes

        yield from decode_planes(path, threads=4)
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


# --- is it right


def arithmetic(device: str) -> dict[str, Any]:
    """Single precision, and which crops, with the share of their values that differ from OpenCV's
    (zero but for positions that fall between two steps of 1/32 px)."""
    noise = torch.Generator().manual_seed(0)
    x, w = (torch.randn(s, generator=noise) for s in ((8, 64, 28, 28), (64, 64, 3, 3)))
    exact = torch.conv2d(x.double(), w.double())
    with torch_lanes.strict():
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
    for mib in (600, 450) if device == "cuda" else (600,):
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
            found = scarce.detect(frames)["skeleton"].xy
        finally:
            if device == "cuda":
                torch.cuda.set_per_process_memory_fraction(1.0)
        result[f"{mib} MiB left, batch {runner.batch}, frames {runner.frames_at_a_time}"] = bool(
            (found == expected).all()
        )
        result[f"{mib} MiB left, the batch was halved"] = runner.batch < 256
    return result


def _refuse_more_lanes_than(most: int, runner: Any) -> None:
    def refused(*given: Any) -> None:
        raise torch.cuda.OutOfMemoryError("refused")

    for lane in runner._lanes[most:]:
        lane.start = refused


# --- what it needs


def memory(device: str) -> dict[str, Any]:
    """MiB on the device: of the weights, of a group of regions by model (what lives at once while
    it is computed), of a lane; measured in all for two batch sizes."""
    names = _models(Config(faces=True))
    runner = TorchRunner(names, "cpu", GROUP)
    networks = runner._lanes[0]._networks
    weights = sum(w.nbytes for network in networks.values() for w in network.buffers())
    groups = {name: _peak(network) for name, network in networks.items()}
    kept = sum(kept for _, kept in groups.values())
    lane = max(peak for peak, _ in groups.values()) + kept
    result: dict[str, Any] = {
        "weights": round(weights / 2**20, 1),
        "computing_with_a_group": {n: round(peak / 2**20, 1) for n, (peak, _) in groups.items()},
        f"a_lane_of_{GROUP}_regions": round(lane / 2**20, 1),
        "in_all": f"weights + batch / {GROUP} lanes + 512 MiB of frames at most + CUDA's own",
    }
    if device == "cuda":
        frames = _large_frames(48)
        for batch in (64, 128):
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_reserved()
            detector(device, batch=batch).detect(frames)
            used = torch.cuda.max_memory_reserved() - before
            result[f"measured_with_batch_{batch}"] = round(used / 2**20)
    return result


def _peak(network: Any) -> tuple[int, int]:
    """Bytes that live at once while a group is computed, and those of its input and outputs."""
    import weakref

    from torch.utils._python_dispatch import TorchDispatchMode

    live, peak = 0, 0

    class Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.seen: set[int] = set()

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal live, peak
            result = func(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple | list) else [result]:
                if isinstance(tensor, torch.Tensor):
                    storage = tensor.untyped_storage()
                    key, size = storage.data_ptr(), storage.nbytes()
                    if key and key not in self.seen:
                        self.seen.add(key)
                        live += size
                        peak = max(peak, live)
                        weakref.finalize(storage, self.gone, key, size)
            return result

        def gone(self, key: int, size: int) -> None:
            nonlocal live
            self.seen.discard(key)
            live -= size

    pictures = torch.zeros((GROUP, *[network.model.size] * 2, 3), dtype=torch.uint8)
    with torch.no_grad(), Count():
        outputs = network(pictures)
    return peak, pictures.nbytes + sum(output.nbytes for output in outputs)


# --- how fast


def rates(device: str, fidelity: str, seconds: float) -> dict[str, float]:
    """Regions a second of each model, crops included, and the frames a second they amount to."""
    runner = TorchRunner(list(REGIONS_A_FRAME), device, 64, half=fidelity == "fast")
    pictures = runner.load(_large_frames(8))
    result: dict[str, float] = {}
    for name in REGIONS_A_FRAME:
        n = 128 if device == "cuda" else GROUP
        around = np.repeat(whole_picture(*LARGE), n, axis=0)
        index = [t % 8 for t in range(n)]
        pictures.run(name, index, around)
        done, started = 0, time.perf_counter()
        while time.perf_counter() < started + seconds:
            pictures.run(name, index, around)
            done += n
        result[name] = round(done / (time.perf_counter() - started), 1)
    frame = sum(count / result[name] for name, count in REGIONS_A_FRAME.items())
    result["models alone"] = round(1 / frame, 1)
    return result


def _large_frames(count: int) -> list[Frame | I420]:
    """720p pictures as a decoder gives them: a clip in the middle of a dark stage."""
    import cv2

    frames: list[Frame | I420] = []
    for frame in rgb(islice(decoded(RESOURCES / CLIPS[2]), count)):
        stage = np.full((*LARGE, 3), 40, np.uint8)
        high = cv2.resize(frame, (840, 720))
        stage[:, 220:1060] = high
        planes = np.asarray(cv2.cvtColor(stage, cv2.COLOR_RGB2YUV_I420), np.uint8)
        frames.append(I420(planes, MATRICES[0]))
    return frames


def write_large(path: Path, count: int) -> str:
    """A 720p file; its codec (H.264 where there is an ffmpeg)."""
    import cv2

    frames = [f for f in _large_frames(125) if isinstance(f, I420)]
    if find_spec("imageio_ffmpeg") is not None:
        from avpipe.media import ffmpeg

        command = [str(ffmpeg.executable()), "-loglevel", "error", "-y", "-f", "rawvideo"]
        command += ["-pix_fmt", "yuv420p", "-s", "1280x720", "-r", "25", "-i", "-"]
        command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", str(path)]
        child = subprocess.Popen(command, stdin=subprocess.PIPE)
        assert child.stdin is not None
        for frame in islice(cycle(frames), count):
            child.stdin.write(frame.planes.tobytes())
        child.stdin.close()
        if child.wait():
            raise SystemExit(f"{command[0]}: status {child.returncode}")
        return "h264"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, LARGE[::-1])
    for frame in islice(cycle(frames), count):
        writer.write(np.ascontiguousarray(frame.rgb()[..., ::-1]))
    writer.release()
    return "mpeg4"


def child(device: str, fidelity: str, video: Path, start_at: float) -> None:
    """One of several processes: warms up, waits for the others, detects the whole file; prints
    when it began and ended, its CPU seconds and frames."""
    one = detector(device, fidelity=fidelity)
    one.detect(list(islice(decoded(video), 60 if device == "cuda" else 2)))
    late = max(0.0, time.time() - start_at)
    time.sleep(max(0.0, start_at - time.time()))
    began, cpu = time.time(), time.process_time()
    count = len(one.detect(decoded(video))["skeleton"])
    print(json.dumps([began, time.time(), time.process_time() - cpu, count, late]))


def from_file(device: str, fidelity: str, video: Path, processes: int) -> dict[str, float]:
    """Frames a second of several processes that detect the same file at the same time."""
    start_at = time.time() + (15 + 2 * processes if device == "cuda" else 1)
    command = [sys.executable, __file__, "--device", device, "--video", str(video)]
    command += ["--child", fidelity, str(start_at)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
    busy = _busy(start_at) if device == "cuda" else None
    rows = np.array([json.loads(p.communicate()[0].splitlines()[-1]) for p in started])
    wall = rows[:, 1].max() - rows[:, 0].min()
    result = {
        "frames_per_second": round(rows[:, 3].sum() / wall, 1),
        "cpu_milliseconds_per_frame": round(1000 * rows[:, 2].sum() / rows[:, 3].sum(), 2),
        "started_late_seconds": round(rows[:, 4].max(), 1),
    }
    if busy is not None:
        busy.terminate()
        samples = [int(line) for line in busy.communicate()[0].split() if line.isdigit()]
        result["gpu_busy"] = round(float(np.median(samples)) / 100, 2) if samples else -1.0
    return result


def _busy(start_at: float) -> "subprocess.Popen[bytes]":
    """nvidia-smi, asked five times a second how busy the GPU is, from the start on."""
    query = "nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits -lms 200"
    wait = max(0.0, start_at + 1 - time.time())
    return subprocess.Popen(["sh", "-c", f"sleep {wait}; exec {query}"], stdout=subprocess.PIPE)


def shares(device: str, count: int) -> dict[str, Any]:
    """Where the time of one process goes, frames in memory: the GPU's by kind of kernel, and the
    share of the wall clock in which it computes."""
    from torch.profiler import ProfilerActivity, profile

    one, frames = detector(device), _large_frames(48 if device == "cuda" else 4)
    one.detect(frames)
    many = list(islice(cycle(frames), count))
    started, cpu = time.perf_counter(), time.process_time()
    one.detect(many)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    result: dict[str, Any] = {
        "frames_per_second": round(count / wall, 1),
        "cpu_milliseconds_per_frame": round(1000 * cpu / count, 2),
    }
    if device != "cuda":
        return result
    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        one.detect(many)
    kinds: dict[str, float] = {}
    for event in recorded.key_averages():
        kind = next((k for k in ("Memcpy HtoD", "Memcpy DtoH", "_crop", "conv", "gemm")
                     if k in event.key), "element-wise and other")  # fmt: skip
        kinds[kind] = kinds.get(kind, 0.0) + event.self_device_time_total / 1e6
    result["gpu_microseconds_per_frame"] = {
        kind: round(1e6 * seconds / count, 1) for kind, seconds in kinds.items()
    }
    result["gpu_busy"] = round(sum(kinds.values()) / wall, 2)
    return result


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


def main() -> None:
    """Runs all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--frames", type=int, default=60, help="of each clip, to compare")
    parser.add_argument("--processes", default="1,4,8")
    parser.add_argument("--video", type=Path, help="a 720p file; default: one is written")
    parser.add_argument("--length", type=int, default=3000, help="frames of the written file")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    device = given.device
    if given.child:
        return child(device, given.child[0], given.video, float(given.child[1]))
    if device == "cuda" and not torch.cuda.is_available():
        print("nothing is measured: PyTorch finds no CUDA device (--device cpu rehearses)")
        return None
    result: dict[str, Any] = {
        "machine": machine("torch", "triton", "numpy", "av", "opencv-python-headless"),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "arithmetic": arithmetic(device),
        "models": models(device),
        "keypoints": keypoints(device, given.frames),
        "same_bits": same_bits(device, given.frames),
        "memory_mib": memory(device),
    }
    result["broken"] = broken(result)
    print(json.dumps(result, indent=2), flush=True)
    fidelities = ("exact", "fast") if device == "cuda" else ("exact",)
    result["regions_per_second"] = {
        f: rates(device, f, 2.0 if device == "cuda" else 0.1) for f in fidelities
    }
    result["720p in memory, one process"] = shares(device, 960 if device == "cuda" else 8)
    with tempfile.TemporaryDirectory() as folder:
        video = given.video or Path(folder) / "720p.mp4"
        codec = write_large(video, given.length) if given.video is None else "as given"
        counts = [int(n) for n in given.processes.split(",")]
        plan = [("exact", n) for n in counts]
        plan += [("fast", counts[-1])] if device == "cuda" else []
        rows = {f"{f}, {n} processes": from_file(device, f, video, n) for f, n in plan}
    result["720p file"] = {"codec": codec, "decoder": "PyAV" if find_spec("av") else "OpenCV",
                           **rows}  # fmt: skip
    result["floors"] = FLOORS
    save("detect_cuda" if device == "cuda" else "detect_rehearsal", result)
    if result["broken"]:
        raise SystemExit(f"broken: {', '.join(result['broken'])}")
    return None


if __name__ == "__main__":
    main()
