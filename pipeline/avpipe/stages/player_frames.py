"""player_frames: pictures of each player of an ensemble, cut out of its video.

In:  `video`, T frames, and `players`, where each one is.
Out: `player_frames.mjpeg`, of every third frame a picture of each player, from left to right, of
     256x256 px, as JPEG, with its offsets, and `player_frames.json`: what `avpipe.images` says, and
     `names` and `squares` of the players. Picture i of player p is number i * P + p.
"""

import json
from dataclasses import asdict, dataclass
from importlib import metadata
from itertools import islice

from avpipe import images
from avpipe.errors import FailureClass, RecordingFailed
from avpipe.media import decode_frames
from avpipe.players import Place
from avpipe.stages import Facts, Job, Pool

NEEDS: tuple[str, ...] = ("video", "players")
POOL: Pool = "cpu"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Config:
    """Parameters of `player_frames`."""

    step: int = 3
    """Frames from one picture to the next."""
    side: int = 256
    """Side of a picture, px."""
    quality: int = 90
    """Quality of the JPEG files."""

    def __post_init__(self) -> None:
        if self.step < 1 or self.side < 16 or not 1 <= self.quality <= 100:
            raise ValueError("step must be at least 1, side at least 16, quality in [1, 100]")


def tool(config: Config) -> Facts:
    """What decodes the frames, and what scales and encodes them."""
    return {name: metadata.version(name) for name in ("av", "pillow")}


def run(job: Job) -> Facts:
    """Writes the pictures.

    Raises:
        RecordingFailed: the video does not decode to the frames it should have.
    """
    config: Config = job.config
    found = json.loads((job.inputs["players"] / "players.json").read_text(encoding="utf-8"))
    sized = {"step": config.step, "height": config.side, "width": config.side}
    facts = images.Facts(found["present"], found["frames"], **sized)
    if not facts.present:
        images.write_facts(job.out, "player_frames", facts)
        return {"images": 0}
    places = [Place.square(*square) for square in found["squares"]]
    frames = islice(decode_frames(job.inputs["video"] / "video.mp4"), 0, None, config.step)
    pictures = (
        images.encode(place.picture(frame, config.side), config.quality)
        for frame in frames
        for place in places
    )
    facts = images.save(job.out, "player_frames", pictures, facts, None)
    expected = -(-facts.frames // config.step) * len(places)
    if facts.images != expected:
        raise RecordingFailed(
            FailureClass.UNREADABLE,
            f"{facts.images} pictures were made of {facts.frames} frames, not {expected}",
        )
    who = {"names": found["names"], "squares": found["squares"]}
    text = json.dumps(asdict(facts) | who, indent=1, sort_keys=True)
    (job.out / "player_frames.json").write_text(text + "\n")
    return {"images": facts.images, "bytes": facts.bytes}
