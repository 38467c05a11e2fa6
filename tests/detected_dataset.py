"""A built dataset of one real clip that was detected twice, made without running the line: its
artifacts, ledger and shards. Titles and messages in it are hostile, as a stranger's may be.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import avpipe
from avpipe.keypoints import files, topology
from avpipe.ledger import FILE, Failure, Ledger
from avpipe.manifest import Manifest
from avpipe.shards import pack
from avpipe.store import Store, sha256_text
from avpipe.types import Keypoints
from tiny_dataset import facts, member

VIDEO = Path(__file__).parent / "resources" / "urmp_09_vn_crop.mp4"
FRAMES = 125
HOSTILE = "<script>alert('x')</script>"
IDENTITIES = {
    "old": {"detector": "toy", "package": "toy 1.0", "weights": "a"},
    "new": {"detector": "finder", "package": "finder 2.0", "weights": "b"},
}


def skeleton(shift: float = 0.0, without: slice | None = None) -> Keypoints:
    """A player who waves; `shift` moves the left hand to the right, `without` hides both hands."""
    layout = topology("openpose67")
    xy = np.random.default_rng(0).uniform(150, 300, (1, 67, 2)) + np.zeros((FRAMES, 1, 1))
    xy[:, layout.index("left_shoulder")] = (300, 200)
    xy[:, layout.index("right_shoulder")] = (200, 200)
    xy[:, layout.left_hand] += (shift, 0)
    confidence = np.full((FRAMES, 67), 0.9, np.float32)
    if without is not None:
        confidence[without, min(layout.left_hand) :] = 0
    xy[confidence == 0] = 0
    return Keypoints(xy.astype(np.float32), confidence, layout)


def write(folder: Path) -> tuple[Path, Manifest]:
    """The folder of the dataset, and its manifest."""
    out, store = folder / "out", Store(folder / "out" / "work")
    keys = {name: sha256_text(name) for name in ("video", "old", "new", "segment")}
    with Ledger(out / FILE, write=True) as ledger:

        def publish(stage: str, key: str, identity: Any, inputs: Any, fill: Any) -> str:
            place = store.temporary()
            found = fill(place) or {}
            document = {"inputs": inputs, **identity}
            made = store.publish(place, stage, key, document, {"recording": "filmed", **found})
            ledger.done(made, identity, inputs, {"recording": "filmed", **found})
            return made.digest

        video = publish("video", keys["video"], _identity("video"), {"download": "d"}, _video)
        for name, keypoints in (("old", skeleton()), ("new", skeleton(10, slice(100, 125)))):
            publish(
                "detect", keys[name], _identity("detect", IDENTITIES[name]), {"video": video},
                lambda place, keypoints=keypoints: _detect(place, keypoints),
            )  # fmt: skip
        publish("segment", keys["segment"], _identity("segment"), {"detect": "d"}, _segment)
        current = {"video": keys["video"], "detect": keys["old"], "segment": keys["segment"]}
        for stage, key in current.items():
            ledger.reached("filmed", stage, key, ledger.digest(stage, key))
        summary = {
            "keys": current, "frames": FRAMES, "segments": [[0, FRAMES]], "reason": None,
            "detector": IDENTITIES["old"], "topologies": {"skeleton": "openpose67"},
        }  # fmt: skip
        ledger.completed("filmed", summary)
        ledger.completed("still", summary | {"keys": {}, "segments": [], "reason": "no_hands"})
        ledger.failed(Failure("gone", "download", "k", None, "removed", HOSTILE, True, 1))
    filmed = member(folder / "m", "filmed", [(0, FRAMES)], frames=FRAMES, category="violin")
    heard = member(
        folder / "m", "heard", [(0, 50)], frames=50, category="flute", without="skeleton"
    )
    pack(out, facts(title=HOSTILE), [replace(filmed, keys=current), heard])
    return out, _manifest(folder)


def _identity(stage: str, tool: Any = None) -> dict[str, Any]:
    parameters = {
        "detect": {"detector": (tool or {}).get("detector")},
        "segment": {"min_frames": 20},
    }
    return {
        "stage": stage, "version": 1, "parameters": parameters.get(stage, {}), "tool": tool or {},
    }  # fmt: skip


def _video(place: Path) -> None:
    shutil.copy(VIDEO, place / "video.mp4")
    video = {"present": True, "frames": FRAMES, "fps": 25.0, "width": 560, "height": 480}
    (place / "video.json").write_text(json.dumps(video))


def _detect(place: Path, keypoints: Keypoints) -> dict[str, Any]:
    files.save(place, "skeleton", keypoints)
    files.write_summary(place / "detect.json", FRAMES, {"skeleton": keypoints})
    return {"hands": {"left": 0.5, "right": 1.0, "any": 1.0}}


def _segment(place: Path) -> None:
    found = {"frames": FRAMES, "segments": [[0, FRAMES]], "reason": None}
    (place / "segments.json").write_text(json.dumps(found))


def _manifest(folder: Path) -> Manifest:
    rows = ["id,category,credit", "filmed,violin,<b>Li</b>", "still,violin,", "gone,violin,"]
    (folder / "tiny.csv").write_text("\n".join([*rows, "heard,flute,"]) + "\n")
    text = f"""
name = "tiny"
title = {json.dumps(HOSTILE)}
licence = {json.dumps(HOSTILE)}
citation = "Nobody (2020) </pre>"
notes = "{HOSTILE}"
source = "youtube"
fps = 25
sample_rate = 11025
fields = ["audio", "skeleton"]
recordings = "tiny.csv"
[published]
source = "a paper of 1999"
[published.by.category]
violin = {{ recordings = 4711 }}
"""
    (folder / "tiny.toml").write_text(text)
    return avpipe.read_manifest(folder / "tiny.toml")
