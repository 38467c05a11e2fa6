"""What aligned crops cost, and how they are best stored.

    python benchmarks/crops.py [--repeat 3]

Real clips with a face (tests/resources: a signer at 640x480, a violinist at 560x480, and the signer
scaled up to 1280x960, where the face is large), their landmarks found beforehand. For `faces` and
`mouths` it measures frames a second on one core, from decoded frames to JPEG files, beside the
limit: Pillow's bare encoding of crops that are there already. The claim: at least 300 frames/s.

Storage: bytes a crop as JPEG (what the stages write), raw, and compressed without loss (gzip with
shuffle, lzf) in HDF5 as one array chunked by a second; how fast 100 crops in a row (4 s) are read
from the page cache; and how far JPEG's pixels are from the crop's (peak signal to noise). Writes
benchmarks/results/crops.json with the machine named.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from avpipe import detectors, images
from avpipe.crops import Placement, Window, crop, place
from avpipe.media import decode_frames
from avpipe.stages import faces, mouths
from machine import machine, save

RESOURCES = Path(__file__).parents[1] / "tests" / "resources"
CLIPS = ("intel_asl_thanks.mkv", "urmp_09_vn_crop.mp4")
FIELDS: dict[str, faces.Crop] = {"faces": faces.Config(), "mouths": mouths.Config()}
READ = 100
LOSSLESS: dict[str, dict[str, Any]] = {
    "raw": {},
    "lzf": {"compression": "lzf"},
    "gzip": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    clips = {name: list(decode_frames(RESOURCES / name)) for name in CLIPS}
    clips["intel_asl_thanks.mkv at 1280x960"] = [_doubled(f) for f in clips[CLIPS[0]]]
    speed: dict[str, Any] = {}
    stored: dict[str, Any] = {}
    for name, frames in clips.items():
        where = _place(frames)
        for field, config in FIELDS.items():
            window = Window((config.x_cm, config.y_cm), config.side_cm, config.size)
            made = list(crop(iter(frames), where, window))
            seconds = best(partial(_crops, frames, where, window, config.quality), repeat)
            limit = best(partial(_encoded, made, config.quality), repeat)
            speed[f"{field}, {name}"] = {
                "frames_per_second": round(len(frames) / seconds),
                "bare_encoding": round(len(frames) / limit),
            }
            if name in CLIPS:
                stored[f"{field}, {name}"] = storage(made, config.quality, repeat)
    save(
        "crops",
        {
            "machine": machine("numpy", "pillow", "h5py"),
            "claim": {"frames_per_second": 300},
            "speed": speed,
            "storage": stored,
        },
    )


def storage(made: list[Image.Image], quality: int, repeat: int) -> dict[str, Any]:
    """Bytes a crop and crops read a second, for every way to keep them."""
    pixels = np.stack([np.asarray(c) for c in made])
    encoded = _encoded(made, quality)
    size = int(np.mean([len(e) for e in encoded]))
    decoded = np.stack([images.decode(e) for e in encoded]).astype(float)
    noise = float(np.mean((decoded - pixels) ** 2))
    rows = np.arange(READ) % len(made)
    with tempfile.TemporaryDirectory() as place_:
        path = Path(place_) / "crops.h5"
        jpeg = b"".join(encoded[i] for i in rows)
        offsets = np.cumsum([0, *(len(encoded[i]) for i in rows)])
        results = {
            "jpeg": {
                "bytes": size,
                "psnr_db": round(10 * np.log10(255**2 / noise), 1),
                "reads_per_second": _reads(partial(_decoded, jpeg, offsets, pixels.shape), repeat),
            }
        }
        for name, filters in LOSSLESS.items():
            with h5py.File(path, "w") as file:
                chunks = (25, *pixels.shape[1:])
                file.create_dataset("crops", data=pixels[rows], chunks=chunks, **filters)
            with h5py.File(path) as file:
                stored = file["crops"]
                results[name] = {
                    "bytes": stored.id.get_storage_size() // READ,
                    "reads_per_second": _reads(partial(stored.__getitem__, ()), repeat),
                }
    return results


def best(work: Callable[[], Any], repeat: int) -> float:
    """Seconds of the fastest of some runs."""
    seconds = []
    for _ in range(repeat):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _encoded(made: list[Image.Image], quality: int) -> list[bytes]:
    return [images.encode(c, quality) for c in made]


def _crops(frames: list[Any], where: Placement, window: Window, quality: int) -> list[bytes]:
    return [images.encode(c, quality) for c in crop(iter(frames), where, window)]


def _decoded(jpeg: bytes, offsets: Any, shape: tuple[int, ...]) -> Any:
    found = images.Images(
        np.frombuffer(jpeg, np.uint8), offsets, np.arange(READ), shape[1], shape[2]
    )
    return np.asarray(found)


def _reads(work: Callable[[], Any], repeat: int) -> int:
    return round(READ / best(work, repeat))


def _place(frames: list[Any]) -> Placement:
    detector = detectors.create("mediapipe", faces=True)
    where = place(detector.detect(frames)["face_landmarks"])
    assert where is not None
    return where


def _doubled(frame: Any) -> Any:
    height, width = frame.shape[:2]
    return np.asarray(Image.fromarray(frame).resize((2 * width, 2 * height)))


if __name__ == "__main__":
    main()
