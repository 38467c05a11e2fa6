"""A dataset of random content for tests: artifacts as the stages `audio` and `interpolate` publish
them, and the members and facts that packing takes.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from avpipe.keypoints import topology
from avpipe.shards import DatasetFacts, Member
from avpipe.timegrid import sample_count
from avpipe.types import Recording, Segment

K = 67


def facts(**changes: Any) -> DatasetFacts:
    values: dict[str, Any] = {
        "name": "tiny",
        "title": "A tiny dataset",
        "licence": "CC0-1.0",
        "citation": "Nobody (2020)",
        "source": "youtube",
        "fps": 25,
        "sample_rate": 11025,
        "fields": ("audio", "skeleton"),
        "topologies": {"skeleton": topology("openpose67")},
    }
    return DatasetFacts(**values | changes)


def member(
    folder: Path,
    id: str,
    segments: list[tuple[int, int]],
    frames: int = 400,
    category: str = "Violin",
    without: str = "",
    seed: int = 0,
    sample_rate: int = 11025,
    **recording: Any,
) -> Member:
    """A recording whose content depends on id and `seed`; its artifacts are written to `folder`."""
    artifact = folder / f"{id}-{seed}-{sample_rate}"
    artifact.mkdir(parents=True, exist_ok=True)
    content = hashlib.sha256(f"{id} {seed}".encode()).hexdigest()
    random = np.random.default_rng(int(content[:8], 16))
    samples = random.integers(-32768, 32768, sample_count(frames, 25, sample_rate), dtype=np.int16)
    soundfile.write(artifact / "audio.wav", samples, sample_rate, subtype="PCM_16")
    arrays = {
        "xy": random.random((frames, K, 2), dtype=np.float32) * 500,
        "confidence": random.random((frames, K), dtype=np.float32),
        "filled": random.random((frames, K)) < 0.2,
    }
    for name, array in arrays.items():
        np.save(artifact / f"skeleton_{name}.npy", array)
    summary = {"present": True, "frames": frames, "fields": {"skeleton": "openpose67"}}
    (artifact / "interpolate.json").write_text(json.dumps(summary))
    fields = [f for f in ("audio", "skeleton") if f != without]
    return Member(
        recording=Recording(id, category, **recording),
        frames=frames,
        segments=tuple(Segment(*s) for s in segments),
        artifacts={field: artifact for field in fields},
        digests={
            "audio": f"{content} {sample_rate} {segments}",
            "skeleton": f"{content} {segments}",
        },
        keys={"audio": f"key of {id}"},
        detector={"package": "toy", "version": "1"},
    )


def members(folder: Path) -> list[Member]:
    """Four recordings, not in alphabetical order: one without sound, one without picture, one with
    two segments, some with a licence, a split or an address of their own."""
    return [
        member(folder, "violin-b", [(10, 170), (200, 390)]),
        member(folder, "trumpet-a", [(0, 400)], category="Trumpet", split="test"),
        member(
            folder, "mute", [(5, 155)], category="Signing", without="audio", licence="CC-BY-4.0"
        ),
        member(folder, "radio", [(0, 300)], category="Flute", without="skeleton", url="http://x/y"),
    ]
