"""player_detect: keypoints of each player of an ensemble, in every frame.

In:  `video`, T frames, and `players`, where each one is.
Out: for player p from 1, from left to right, `player_<p>_xy.npy` and `player_<p>_confidence.npy` as
     `avpipe.stages.detect` gives them, in px of the ensemble's video, and `player_detect.json`.

The parameters are those of `detect`: each player is looked at, in their own part of the picture,
as the one performer of a recording is.
"""

import json

import numpy as np

from avpipe import detectors
from avpipe.errors import FailureClass, RecordingFailed
from avpipe.keypoints import files
from avpipe.players import Place
from avpipe.stages import Facts, Job, Pool, detect
from avpipe.types import Keypoints

NEEDS: tuple[str, ...] = ("video", "players")
POOL: Pool = "gpu"
VERSION = 1
PARAMETERS = "detect"
Config = detect.Config
tool = detect.tool
uses_gpu = detect.uses_gpu


def run(job: Job) -> Facts:
    """Detects the players one after the other; facts: the device, and the share of frames that
    show each one's hands.

    Raises:
        RecordingFailed: the video does not decode to the frames it should have.
    """
    config: detect.Config = job.config
    found = json.loads((job.inputs["players"] / "players.json").read_text(encoding="utf-8"))
    target, frames = job.out / "player_detect.json", found["frames"]
    if not found["present"]:
        files.write_summary(target, frames, None)
        return {}
    device = detectors.pick_device(config.detector, config.device)
    detector = detectors.create(config.detector, device, **config.options, **config.runtime)
    players: dict[str, Keypoints] = {}
    video = job.inputs["video"] / "video.mp4"
    for number, place in enumerate((Place.square(*s) for s in found["squares"]), start=1):
        keypoints = _moved(detector.detect(place.views(video))["skeleton"], place)
        if len(keypoints) != frames:
            raise RecordingFailed(
                FailureClass.UNREADABLE,
                f"{len(keypoints)} frames were decoded, the video has {frames}",
            )
        files.save(job.out, f"player_{number}", keypoints)
        players[f"player_{number}"] = keypoints
    files.write_summary(target, frames, players)
    return {"device": device, "hands": [detect.coverage(k) for k in players.values()]}


def _moved(found: Keypoints, place: Place) -> Keypoints:
    """From px of a view to px of the video; what was not detected stays at (0, 0)."""
    corner = np.array([place.left, place.top], np.float32)
    xy = np.where(found.confidence[..., None] > 0, found.xy + corner, 0)
    return Keypoints(xy.astype(np.float32), found.confidence, found.topology)
