"""What is seen of the players of one video: the same fields as those of a dataset, made alike.

Pictures, keypoints and crops of a player's place in the picture (`footage`) come from the code and
with the parameters of the stages that build datasets, on their grid of 25 frames per second.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from avpipe import crops, detectors, images, stages
from avpipe.errors import UsageError
from avpipe.images import Images, Pixels
from avpipe.keypoints import interpolate
from avpipe.separation.footage import DETECTOR, Footage, Place
from avpipe.separation.sight import Look, Scene, Source
from avpipe.types import Clip, Keypoints, Segment

QUALITY = 95
"""Of the JPEG files that keep the pictures."""
CROPS = {"faces", "mouths"}
LANDMARKS = "face_landmarks"


def watch(footage: Footage, look: Look, device: str = "cpu") -> Scene:
    """The players of a video from left to right, as a separator is shown them.

    Args:
        footage: the video, and where its players are.
        look: what is needed of each.
        device: of the detector.

    Raises:
        UsageError: no face is found where one is needed.
    """
    seen = [
        _player(partial(_cut, footage, place), footage.frames, footage.fps, look, device)
        for place in footage.places
    ]
    delay = -footage.sound_start_seconds
    sources = tuple(
        Source(partial(part, clip), len(clip.segment), clip.fps, delay) for clip in seen
    )
    return Scene(sources, (0.0,) * len(seen))


def part(clip: Clip, start: int, frames: int, fields: Sequence[str]) -> Clip:
    """Frames [start, start + frames) of a clip in memory."""
    stop = start + frames
    found: dict[str, Any] = {}
    for name in fields:
        whole = clip.fields.get(name)
        if isinstance(whole, Images):
            first, last = np.searchsorted(whole.frames, (start, stop))
            kept = whole[int(first) : int(last)]
            found[name] = replace(kept, frames=kept.frames - start)
        elif isinstance(whole, Keypoints):
            found[name] = whole[start:stop]
    keypoints = clip.keypoints[start:stop] if clip.keypoints and "skeleton" in fields else None
    segment = Segment(clip.segment.start + start, clip.segment.start + stop)
    return replace(clip, segment=segment, keypoints=keypoints, fields=found, audio=None)


def _cut(footage: Footage, place: Place) -> Iterator[Pixels]:
    return map(place.cut, footage.pictures())


def _player(frames: Any, count: int, fps: float, look: Look, device: str) -> Clip:
    """All that is needed of one player; `frames()` gives the pictures from the first one."""
    fields: dict[str, Any] = {}
    wanted = set(look.fields)
    if "frames" in wanted:
        fields["frames"] = _pictures(frames())
    if wanted & {*CROPS, LANDMARKS, "skeleton"}:
        faces = {"faces": True} if wanted & {*CROPS, LANDMARKS} else {}
        found = detectors.create(DETECTOR, device, **faces).detect(frames())
        fields |= {name: found[name] for name in wanted & found.keys()}
        fields |= {name: _crops(name, frames(), found[LANDMARKS], fps) for name in wanted & CROPS}
    skeleton: Keypoints | None = fields.pop("skeleton", None)
    if skeleton is not None:
        xy, filled = interpolate(skeleton.xy, skeleton.confidence, skeleton.topology)
        skeleton = replace(skeleton, xy=xy, filled=filled)
    return Clip("", "", Segment(0, count), fps, 0, None, skeleton, fields)


def _pictures(frames: Iterator[Pixels]) -> Images:
    """As the stage `frames` makes them: every few frames, with a small short side."""
    from PIL import Image

    config = stages.load("frames").Config()
    files = []
    size = (0, 0)
    for number, frame in enumerate(frames):
        if number % config.step == 0:
            image = Image.fromarray(frame)
            scale = config.side / min(image.size)
            size = (round(image.width * scale), round(image.height * scale))
            files.append(images.encode(image.resize(size, Image.Resampling.BICUBIC), QUALITY))
    return _joined(files, config.step, size)


def _crops(field: str, frames: Iterator[Pixels], face: Keypoints, fps: float) -> Images:
    """As the stage of that name makes them."""
    config = stages.load(field).Config()
    where = crops.place(face, config.smoothing_seconds * fps)
    if where is None:
        raise UsageError(f"no face is found, and this separator needs {field}")
    window = crops.Window((config.x_cm, config.y_cm), config.side_cm, config.size)
    files = [images.encode(c, config.quality) for c in crops.crop(frames, where, window)]
    return _joined(files, 1, (config.size, config.size))


def _joined(files: list[bytes], step: int, size: tuple[int, int]) -> Images:
    offsets = np.cumsum([0, *map(len, files)])
    jpeg = np.frombuffer(b"".join(files), np.uint8)
    return Images(jpeg, offsets, np.arange(len(files)) * step, size[1], size[0])
