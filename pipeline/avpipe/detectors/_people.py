"""One performer out of the people that a detector finds frame by frame.

A detector that looks at single frames lists people in no order that lasts. Here they are linked
from frame to frame by the distance of their joints; the performer is the person who is largest
and surest over the whole recording. Memory: 12 bytes a joint, person and frame.
"""

import numpy as np
import numpy.typing as npt

from avpipe.keypoints import topology
from avpipe.types import Float32, Keypoints

_REACH = 0.5
"""How far a person's joints may move between two sightings, in sizes of the person."""
_MEMORY_FRAMES = 25
"""After so many frames without it a person is somebody new."""


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
        recent = [t for t in self._tracks if self._frames - t.frames[-1] <= _MEMORY_FRAMES]
        free = list(people)
        for track, person in _links(recent, free, self._body):
            recent[track].append(self._frames, free[person])
            free[person] = np.zeros_like(free[person])
        for person in free:
            if person.any():
                self._tracks.append(_Track())
                self._tracks[-1].append(self._frames, person)
        self._frames += 1

    def performer(self) -> Float32:
        """(T, K, 3) the performer; zeros where there is none.

        Someone seen only while the performer is not is the performer, lost and found again; who
        was once seen beside the performer is somebody else.
        """
        chosen = np.zeros((self._frames, *self._shape), np.float32)
        taken = np.zeros(self._frames, np.bool_)
        for track in sorted(self._tracks, key=lambda track: -track.weight):
            if not taken[track.frames].any():
                chosen[track.frames] = np.frombuffer(track.rows, np.float32).reshape(
                    -1, *self._shape
                )
                taken[track.frames] = True
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


def _links(tracks: list[_Track], people: list[Float32], body: int) -> list[tuple[int, int]]:
    """Pairs of track and person, the nearest first, each once."""
    distances = np.full((len(tracks), len(people)), np.inf)
    for t, track in enumerate(tracks):
        for p, person in enumerate(people):
            distances[t, p] = _distance(track.last[:body], person[:body])
    links = []
    while distances.size and distances.min() <= _REACH:
        t, p = (int(i) for i in np.unravel_index(distances.argmin(), distances.shape))
        links.append((t, p))
        distances[t], distances[:, p] = np.inf, np.inf
    return links


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
