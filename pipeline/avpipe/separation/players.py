"""What is seen of the players of one video: the same fields as those of a dataset, made alike.

Pictures, keypoints and crops of a player's place in the picture (`footage`) come from the code and
with the parameters of the stages that build datasets, on their grid of 25 frames per second: of
`player_frames`, `player_detect`, `player_skeletons`, `faces` and `mouths`. Keypoints are in px of
the player's place, as those of a recording of one player are in px of its picture.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from avpipe import crops, detectors, images, stages
from avpipe.errors import UsageError
from avpipe.images import Images
from avpipe.players import Place
from avpipe.separation.footage import Footage
from avpipe.separation.look import Look
from avpipe.separation.sight import Scene, Source
from avpipe.stages import interpolate, player_detect, player_frames
from avpipe.types import Clip, Keypoints, Segment

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
    seen = [_player(footage, place, look, device) for place in footage.places]
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


def _player(footage: Footage, place: Place, look: Look, device: str) -> Clip:
    """All that is needed of one player."""
    fields: dict[str, Any] = {}
    wanted = set(look.fields)
    views = partial(place.views, footage.video)
    if "frames" in wanted:
        fields["frames"] = _pictures(footage, place)
    if wanted & {*CROPS, LANDMARKS, "skeleton"}:
        faces = {"faces": True} if wanted & {*CROPS, LANDMARKS} else {}
        config = player_detect.Config(options=faces)
        found = detectors.create(config.detector, device, **config.options).detect(views())
        fields |= {name: found[name] for name in wanted & found.keys()}
        fields |= {
            name: _crops(name, views(), found[LANDMARKS], footage.fps) for name in wanted & CROPS
        }
    skeleton: Keypoints | None = fields.pop("skeleton", None)
    if skeleton is not None:
        skeleton = interpolate.fill(skeleton, interpolate.Config())
    segment = Segment(0, footage.frames)
    return Clip("", "", segment, footage.fps, 0, None, skeleton, fields)


def _pictures(footage: Footage, place: Place) -> Images:
    """As the stage `player_frames` makes them."""
    config = player_frames.Config()
    shown = islice(footage.pictures(), 0, None, config.step)
    files = [images.encode(place.picture(frame, config.side), config.quality) for frame in shown]
    return _joined(files, config.step)


def _crops(field: str, frames: Any, face: Keypoints, fps: float) -> Images:
    """As the stage of that name makes them."""
    config = stages.load(field).Config()
    where = crops.place(face, config.smoothing_seconds * fps)
    if where is None:
        raise UsageError(f"no face is found, and this separator needs {field}")
    window = crops.Window((config.x_cm, config.y_cm), config.side_cm, config.size)
    files = [images.encode(c, config.quality) for c in crops.crop(frames, where, window)]
    return _joined(files, 1)


def _joined(files: list[bytes], step: int) -> Images:
    offsets = np.cumsum([0, *map(len, files)])
    jpeg = np.frombuffer(b"".join(files), np.uint8)
    height, width = images.decode(files[0]).shape[:2]
    return Images(jpeg, offsets, np.arange(len(files)) * step, height, width)
