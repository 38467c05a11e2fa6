"""Recordings that two datasets share: what is trained on one must not be tested on the other.

By id of the video. A re-upload under another id is not found here.
"""

from dataclasses import dataclass

from avpipe.manifest.location import video_id
from avpipe.manifest.model import Manifest
from avpipe.types import Recording


@dataclass(frozen=True, slots=True)
class Shared:
    """A video that both datasets have."""

    video: str
    first: tuple[Recording, ...]
    """Its recordings in the first dataset."""
    second: tuple[Recording, ...]
    """Its recordings in the second dataset."""


def overlap(first: Manifest, second: Manifest) -> list[Shared]:
    """The videos that both datasets have, in the order of the first."""
    ours, theirs = _by_video(first), _by_video(second)
    return [Shared(v, tuple(ours[v]), tuple(theirs[v])) for v in ours if v in theirs]


def _by_video(manifest: Manifest) -> dict[str, list[Recording]]:
    videos: dict[str, list[Recording]] = {}
    for recording in manifest.recordings:
        videos.setdefault(video_id(recording), []).append(recording)
    return videos
