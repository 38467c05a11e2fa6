"""Who the performer is, of the people that a detector finds frame by frame.

A detector that looks at single frames lists people in no order that lasts. They are linked from
frame to frame (`links`) to tracks; when the recording has ended, tracks become players (`cast`):
the performer is the person who is largest and surest over the whole recording. `People` does both
for detectors that give all joints of everybody. Memory: 12 bytes a joint, person and frame.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from avpipe.keypoints import topology
from avpipe.types import Float32, Keypoints

_REACH = 0.5
"""How far a person's joints may move between two sightings, in sizes of the person."""
MEMORY_FRAMES = 25
"""After so many frames without it a person is somebody new."""
_NEAR = 0.5
"""Of several players, who comes back so near to where he was, in sizes of him, is the same."""


class Seen(Protocol):
    """One person, as long as they were in view."""

    @property
    def frames(self) -> Sequence[int]:
        """Where they were seen, ascending."""

    @property
    def weight(self) -> float:
        """How large and sure they were, summed over the frames."""


T = TypeVar("T", bound=Seen)


def links(distances: npt.NDArray[np.float64], reach: float) -> list[tuple[int, int]]:
    """Pairs (track, person) not farther than `reach`, the nearest first, each once."""
    distances, pairs = distances.copy(), []
    while distances.size and distances.min() <= reach:
        t, p = (int(i) for i in np.unravel_index(distances.argmin(), distances.shape))
        pairs.append((t, p))
        distances[t], distances[:, p] = np.inf, np.inf
    return pairs


def cast(
    tracks: Sequence[T], players: int, gap: Callable[[T, T], float] | None = None
) -> list[list[T]]:
    """At most so many players, the heaviest first, each the tracks that are the same person.

    Someone seen only while a player is not is that player, lost and found again; who was once seen
    beside the player is somebody else.

    Args:
        tracks: everybody.
        players: how many there are.
        gap: of several players: how far a track is from another one, in sizes.
    """
    found: list[tuple[set[int], list[T]]] = []
    for track in sorted(tracks, key=lambda track: -track.weight):
        free = [player for player in found if player[0].isdisjoint(track.frames)]
        gaps = [min(gap(one, track) for one in ones) if gap else 0.0 for _, ones in free]
        if len(found) < players and (not gaps or min(gaps) > _NEAR):
            found.append((set(track.frames), [track]))
        elif gaps:
            frames, ones = free[int(np.argmin(gaps))]
            frames.update(track.frames)
            ones.append(track)
    return [ones for _, ones in found]


class People:
    """The people of a recording, added frame by frame.

    Args:
        joints: K, joints of a person.
        body_joints: the first so many are compared; what follows (hands, face) hangs on them.
    """

    def __init__(self, joints: int, body_joints: int) -> None:
        self._shape, self._body = (joints, 3), body_joints
        self._frames = 0
        self._tracks: list[_Track] = []

    def append(self, people: Float32) -> None:
        """Adds a frame: (P, K, 3) x and y in px, confidence; P may be 0."""
        people = np.array(people, np.float32).reshape(-1, *self._shape)
        people[~np.isfinite(people).all(axis=2) | (people[..., 2] <= 0)] = 0
        recent = [t for t in self._tracks if self._frames - t.frames[-1] <= MEMORY_FRAMES]
        free = list(people)
        for track, person in links(_distances(recent, free, self._body), _REACH):
            recent[track].append(self._frames, free[person])
            free[person] = np.zeros_like(free[person])
        for person in free:
            if person.any():
                self._tracks.append(_Track())
                self._tracks[-1].append(self._frames, person)
        self._frames += 1

    def performer(self) -> Float32:
        """(T, K, 3) the performer; zeros where there is none."""
        chosen = np.zeros((self._frames, *self._shape), np.float32)
        for performer in cast(self._tracks, 1):
            for track in performer:
                rows = np.frombuffer(track.rows, np.float32)
                chosen[track.frames] = rows.reshape(-1, *self._shape)
        return chosen


class _Track:
    """One person, as long as they are in view."""

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.rows = bytearray()
        self.last: Float32 = np.zeros((0, 3), np.float32)
        self.weight = 0.0

    def append(self, frame: int, person: Float32) -> None:
        self.frames.append(frame)
        self.rows += person.tobytes()
        self.last = person
        self.weight += float(person[:, 2].sum()) * _size(person)


def as_keypoints(values_TK3: Float32, name: str) -> Keypoints:  # noqa: N803
    """x, y and confidence as keypoints of a topology; what is not known is at (0, 0)."""
    known = np.isfinite(values_TK3).all(axis=2) & (values_TK3[..., 2] > 0)
    values = np.where(known[..., None], values_TK3, 0).astype(np.float32)
    return Keypoints(values[..., :2], values[..., 2].clip(0, 1), topology(name))


def _distances(tracks: list[_Track], people: list[Float32], body: int) -> npt.NDArray[np.float64]:
    """(tracks, people)"""
    rows = [[_distance(track.last[:body], p[:body]) for p in people] for track in tracks]
    return np.array(rows, np.float64).reshape(len(tracks), len(people))


def _distance(one: Float32, other: Float32) -> float:
    """Median distance of the joints that both show, in sizes of the larger one."""
    shared: npt.NDArray[np.bool_] = (one[:, 2] > 0) & (other[:, 2] > 0)
    size = max(_size(one), _size(other))
    if not shared.any() or size == 0:
        return np.inf
    return float(np.median(np.linalg.norm(one[shared, :2] - other[shared, :2], axis=1)) / size)


def _size(person: Float32) -> float:
    """Diagonal of the box around the joints that are known, px."""
    known = person[person[:, 2] > 0, :2]
    return float(np.linalg.norm(np.ptp(known, axis=0))) if len(known) else 0.0
