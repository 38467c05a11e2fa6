"""player_skeletons: fills gaps in the skeleton of each player, as `interpolate` does for one.

In:  `player_detect`, and `players` for what they play.
Out: `player_<p>_xy.npy`, `_confidence.npy` and `_filled.npy` of each player, and
     `player_skeletons.json` {"present", "frames": T, "names", "squares", "topology"}.

The parameters are those of `interpolate`.
"""

import json

from avpipe.keypoints import files
from avpipe.stages import Facts, Job, Pool, interpolate

NEEDS: tuple[str, ...] = ("players", "player_detect")
POOL: Pool = "cpu"
VERSION = 1
PARAMETERS = "interpolate"
Config = interpolate.Config
tool = interpolate.tool


def run(job: Job) -> Facts:
    """Writes the filled keypoints; facts: the share of joints detected and filled, per player."""
    detected = job.inputs["player_detect"]
    summary = files.read_summary(detected / "player_detect.json")
    found = json.loads((job.inputs["players"] / "players.json").read_text(encoding="utf-8"))
    who: Facts = {"present": summary.present, "frames": summary.frames}
    facts: Facts = {"frames": summary.frames}
    for field, topology_name in summary.fields.items():
        keypoints = interpolate.fill(files.load(detected, field, topology_name), job.config)
        files.save(job.out, field, keypoints)
        facts[field] = interpolate.shares(keypoints)
        who |= {name: found[name] for name in ("names", "squares")} | {"topology": topology_name}
    text = json.dumps(who, indent=1, sort_keys=True)
    (job.out / "player_skeletons.json").write_text(text + "\n", encoding="utf-8")
    return facts
