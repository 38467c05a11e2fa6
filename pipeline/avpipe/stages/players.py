"""players: where each player of an ensemble is in its picture.

In:  `video`, T frames, and `download` for the names of the tracks.
Out: `players.json` {"present", "frames": T, "found": how many people, "reason": why there are no
     views, or null, "names": what each player plays, "squares": [[left, top, side], ...] px}.

Players sit from left to right in the order of the score's parts, which is the order of the
instruments in the manifest's column `instruments` (URMP names its folders so), or else of the
tracks; how they are found is told in `avpipe.players`. If other than so many people are seen,
nobody can say who is who: there are no views then, and `reason` says so. That is no failure.
"""

import json
from dataclasses import dataclass

from avpipe.config import runtime_only
from avpipe.detectors import mediapipe
from avpipe.fetch import tracks
from avpipe.players import around, find
from avpipe.stages import Facts, Job, Pool

NEEDS: tuple[str, ...] = ("download", "video")
POOL: Pool = "cpu"
VERSION = 1
COLUMNS = ("instruments",)


@dataclass(frozen=True, slots=True)
class Config:
    """Parameters of `players`."""

    looks: int = 12
    """Frames, spread over the piece, in which people are looked for."""
    margin: float = 0.1
    """Around what was seen of a player, on each side, as a share of it."""
    threads: int = runtime_only(0)
    """CPU threads; 0: as the detector `mediapipe`."""

    def __post_init__(self) -> None:
        if self.looks < 1 or not 0 <= self.margin <= 2:
            raise ValueError("looks must be at least 1, margin in [0, 2]")


def tool(config: Config) -> Facts:
    """What finds the people."""
    return mediapipe.people_identity()


def run(job: Job) -> Facts:
    """Writes where the players are.

    Raises:
        RecordingFailed: the video does not decode.
    """
    config: Config = job.config
    video = json.loads((job.inputs["video"] / "video.json").read_text(encoding="utf-8"))
    names = job.recording.extra.get("instruments", "").split()
    names = names or [name for name, _ in tracks.linked(job.inputs["download"])]
    facts: Facts = {
        "present": False,
        "frames": video["frames"],
        "found": 0,
        "reason": None,
        "names": names,
        "squares": [],
    }
    if not video["present"]:
        facts["reason"] = "it has no video"
    elif not names:
        facts["reason"] = "nothing says who plays: give the manifest a column instruments"
    else:
        path = job.inputs["video"] / "video.mp4"
        people = find(path, video["frames"], config.looks, config.threads)
        facts["found"] = len(people)
        if len(people) == len(names):
            size = video["height"], video["width"]
            places = [around(person, config.margin, *size) for person in people]
            facts["squares"] = [[place.left, place.top, place.width] for place in places]
            facts["present"] = True
        else:
            facts["reason"] = f"{len(people)} people are seen, {len(names)} play"
    (job.out / "players.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    return facts
