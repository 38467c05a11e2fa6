"""frames: pictures for networks that look at how things look, not how they move.

In:  `video`, T frames on the grid.
Out: `frames.mjpeg`, every third frame with a short side of 256 px as JPEG, with its offsets and
     `frames.json` (`avpipe.images`). At 25 fps these are the 8.33 fps that appearance networks
     (Zhao et al., "The Sound of Pixels", 2018, use 8) sample their few pictures from.
"""

import json
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap

from avpipe import images
from avpipe.config import runtime_only
from avpipe.errors import FailureClass, RecordingFailed
from avpipe.media import ffmpeg, scan
from avpipe.stages import Facts, Job, Pool

NEEDS: tuple[str, ...] = ("video",)
POOL: Pool = "cpu"
VERSION = 1

GRAPH = (
    "framestep={step},scale='if(gt(iw,ih),-2,{side})':'if(gt(iw,ih),{side},-2)'"
    ":out_range=pc:flags=bicubic+accurate_rnd+bitexact,format=yuvj420p"
)


@dataclass(frozen=True, slots=True)
class Config:
    """Parameters of `frames`."""

    step: int = 3
    """Frames from one picture to the next."""
    side: int = 256
    """Short side of a picture, px."""
    quality: int = 3
    """ffmpeg's quantiser of the JPEG encoder: 2 is the best, 31 the worst."""
    timeout_seconds: float = runtime_only(3600.0)
    """After these ffmpeg is killed."""

    def __post_init__(self) -> None:
        if self.step < 1 or self.side < 16 or not 1 <= self.quality <= 31:
            raise ValueError("step must be at least 1, side at least 16, quality in [1, 31]")


def tool(config: Config) -> Facts:
    """The ffmpeg build and the filter graph."""
    return {**ffmpeg.identity(), "graph": GRAPH}


def run(job: Job) -> Facts:
    """Writes the pictures.

    Raises:
        RecordingFailed: what `avpipe.media.ffmpeg.run` raises, or a wrong number of pictures.
    """
    config: Config = job.config
    video = json.loads((job.inputs["video"] / "video.json").read_text(encoding="utf-8"))
    facts = images.Facts(video["present"], video["frames"], step=config.step)
    if not facts.present:
        images.write_facts(job.out, "frames", facts)
        return {"images": 0}
    source, target = job.inputs["video"] / "video.mp4", job.out / "frames.mjpeg"
    stream = scan(source).video
    assert stream is not None
    command = ffmpeg.output(
        source,
        stream.index,
        target,
        None,
        vf=GRAPH.format(step=config.step, side=config.side),
        vcodec="mjpeg",
        **{"q:v": config.quality},
    )
    ffmpeg.run(command, config.timeout_seconds)
    with target.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as written:
        offsets = images.split(written)
        height, width = images.decode(written[: offsets[1]]).shape[:2]
    expected = -(-facts.frames // config.step)
    if len(offsets) - 1 != expected:
        raise RecordingFailed(
            FailureClass.UNREADABLE,
            f"{len(offsets) - 1} pictures were made of {facts.frames} frames, not {expected}",
        )
    facts = images.Facts(True, facts.frames, step=config.step, height=height, width=width)
    facts = images.index(job.out, "frames", offsets, facts)
    return {"images": facts.images, "height": height, "width": width, "bytes": facts.bytes}
