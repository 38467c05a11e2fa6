"""The detector `mediapipe` on CUDA: whether it is right, how fast it is, what it needs.

    python benchmarks/detect_cuda.py [--device cuda] [--frames 60] [--processes 1,4,8]
        [--video FILE]

Needs numpy, torch and opencv besides avpipe's own files. With PyAV the file is decoded as a build
decodes it, and by NVDEC, and with imageio-ffmpeg it is H.264 (or give one with --video); without
them it is MPEG-4 and OpenCV decodes it. With ai-edge-litert the CPU's keypoints are LiteRT's. Takes
some minutes and ends with status 1 if a bound is broken. In turn: arithmetic and crops against
the CPU's; every model against the CPU's; keypoints of three clips in `exact` against the CPU's and
in `fast` against `exact`; the same bits for any batch size and after memory has run out; memory;
regions a second of each model; where the time goes with 720p pictures in memory; NVDEC alone, with
its bits against the CPU's; frames a second from a 720p file in one process and in several, decoded
by the CPU and by NVDEC. Writes benchmarks/results/detect_cuda.json.

`--device cpu` goes the same way without a GPU (a rehearsal: rates mean nothing then).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avpipe.detectors import Frame
from avpipe.detectors._mediapipe.crop import whole_picture
from avpipe.detectors._mediapipe.torch_lanes import GROUP
from avpipe.detectors._mediapipe.torch_runner import TorchRunner
from avpipe.detectors.mediapipe import Config, _models
from avpipe.media.colour import I420, MATRICES
from detect_cuda_checks import (
    CLIPS,
    RESOURCES,
    arithmetic,
    broken,
    decoded,
    detector,
    keypoints,
    models,
    rgb,
    same_bits,
)
from machine import machine, save

LARGE = (720, 1280)
REGIONS_A_FRAME = {"body": 0.2, "pose": 1.0, "hand_recrop": 0.7, "hand": 2.2, "palm": 0.1}
"""What the recipe `performer` asks for on the three clips, with key frames every fifth frame."""
FLOORS = {"models alone": 4000, "720p file": 2000}
"""Frames a second on one H200 with 16 cores."""


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


def decoding(video: Path, count: int) -> dict[str, Any]:
    """Pictures a second of one process that only decodes, in 4:2:0; whether NVDEC gave them, and
    whether they are the CPU's to the bit."""
    from avpipe.media import NvdecPlanes, decode_planes

    result: dict[str, Any] = {}
    by_nvdec = NvdecPlanes(video)
    for label, pictures in (
        ("cpu, 1 thread", decode_planes(video)), ("cpu, 4 threads", decode_planes(video, 4)),
        ("nvdec", by_nvdec),
    ):  # fmt: skip
        started, cpu = time.perf_counter(), time.process_time()
        shown = sum(1 for _ in islice(pictures, count))
        result[label] = {
            "pictures_per_second": round(shown / (time.perf_counter() - started), 1),
            "cpu_milliseconds_per_picture": round(1000 * (time.process_time() - cpu) / shown, 2),
        }
    result["nvdec"]["decoded_by"] = by_nvdec.decoder
    result["nvdec"]["the_same_bits"] = all(
        isinstance(one, I420)
        and isinstance(other, I420)
        and one.matrix == other.matrix
        and np.array_equal(one.planes, other.planes)
        for one, other in islice(
            zip(decode_planes(video, 4), NvdecPlanes(video), strict=True), count
        )
    )
    return result


def child(device: str, fidelity: str, decoder: str, video: Path, start_at: float) -> None:
    """One of several processes: warms up, waits for the others, detects the whole file; prints
    when it began and ended, its CPU seconds and frames."""
    one = detector(device, fidelity=fidelity)
    one.detect(list(islice(decoded(video, decoder), 60 if device == "cuda" else 2)))
    late = max(0.0, time.time() - start_at)
    time.sleep(max(0.0, start_at - time.time()))
    began, cpu = time.time(), time.process_time()
    count = len(one.detect(decoded(video, decoder))["skeleton"])
    print(json.dumps([began, time.time(), time.process_time() - cpu, count, late]))


def from_file(
    device: str, fidelity: str, decoder: str, video: Path, processes: int
) -> dict[str, float]:
    """Frames a second of several processes that detect the same file at the same time."""
    start_at = time.time() + (15 + 2 * processes if device == "cuda" else 1)
    command = [sys.executable, __file__, "--device", device, "--video", str(video)]
    command += ["--child", fidelity, decoder, str(start_at)]
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


def main() -> None:
    """Runs all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--frames", type=int, default=60, help="of each clip, to compare")
    parser.add_argument("--processes", default="1,4,8")
    parser.add_argument("--video", type=Path, help="a 720p file; default: one is written")
    parser.add_argument("--length", type=int, default=3000, help="frames of the written file")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    device = given.device
    if given.child:
        fidelity, decoder, start_at = given.child
        return child(device, fidelity, decoder, given.video, float(start_at))
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
        plan = [("exact", "cpu", n) for n in counts]
        if device == "cuda":
            plan += [("fast", "cpu", counts[-1])]
        if find_spec("av") is not None:
            result["decoding alone"] = decoding(video, 1000)
            if result["decoding alone"]["nvdec"]["decoded_by"] == "nvdec":
                plan += [("exact", "nvdec", n) for n in counts] + [("fast", "nvdec", counts[-1])]
        rows = {
            f"{fidelity}, {decoder} decodes, {n} processes": from_file(
                device, fidelity, decoder, video, n
            )
            for fidelity, decoder, n in plan
        }
    result["720p file"] = {"codec": codec, "decoder": "PyAV" if find_spec("av") else "OpenCV",
                           **rows}  # fmt: skip
    result["floors"] = FLOORS
    if not result.get("decoding alone", {}).get("nvdec", {}).get("the_same_bits", True):
        result["broken"].append("NVDEC gives the CPU's bits")
    save("detect_cuda" if device == "cuda" else "detect_rehearsal", result)
    if result["broken"]:
        raise SystemExit(f"broken: {', '.join(result['broken'])}")
    return None


if __name__ == "__main__":
    main()
