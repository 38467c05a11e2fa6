"""The nouns of avpipe, and the legend of letters.

Letters, as suffixes of array names and in shapes: T video frames, K keypoints (joints), N audio
samples, S sources, B batch, F frequency bins, H W pixels. Units stand in names (`start_seconds`,
`sample_rate` in Hz), positions are pixels with the origin at the upper left corner's pixel
centre, x to the right and y down. Ranges are half-open.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.errors import AvpipeError
from avpipe.timegrid import sample_count

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Recording:
    """One item of a dataset: what its manifest says of it."""

    id: str
    """Unique in the dataset and safe as a file name."""
    category: str
    """The instrument (or language, or other class) it shows."""
    url: str | None = None
    """Where it is; wins over the dataset's source."""
    split: str | None = None
    """Part of the published split (`train`, `test`, ...)."""
    start_seconds: float | None = None
    """Start of the given segment, if the manifest gives one."""
    stop_seconds: float | None = None
    """End (exclusive) of the given segment."""
    licence: str | None = None
    """Licence of this recording's media; None: the dataset's."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further columns of the manifest, as text."""


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A half-open range of frames `[start, stop)` at the dataset's frame rate."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise AvpipeError(f"segment [{self.start}, {self.stop}) must satisfy 0 <= start < stop")

    def __len__(self) -> int:
        return self.stop - self.start

    def samples(self, fps: float, sample_rate: int, total_samples: int) -> tuple[int, int]:
        """Half-open range of its samples; always `sample_count(len(self))` long.

        Where a frame is not a whole number of samples, rounding start and length apart can exceed
        the recording by one sample: the range then starts one sample earlier.

        Args:
            fps: frames per second.
            sample_rate: Hz.
            total_samples: samples of the recording.
        """
        length = sample_count(len(self), fps, sample_rate)
        start = min(sample_count(self.start, fps, sample_rate), total_samples - length)
        return start, start + length

    def every(self, step: int) -> tuple[int, int]:
        """Which of the frames 0, step, 2 * step, ... lie in it, as a half-open range of their
        numbers 0, 1, 2, ...; it may be empty."""
        return -(-self.start // step), -(-self.stop // step)


@dataclass(frozen=True)
class Topology:
    """Named joints and the tree of bones that connects them. Data: `schemas/topologies/*.toml`."""

    name: str
    joints: tuple[str, ...]
    """K unique names; those of the player's sides start with `left_` / `right_`."""
    parents: tuple[int, ...]
    """(K,) index of each joint's parent, -1 for a root; several roots are a forest."""
    left_hand: tuple[int, ...] = ()
    """Joints of the left hand's own detection (without body joints)."""
    right_hand: tuple[int, ...] = ()
    mirror: tuple[int, ...] = ()
    """(K,) index of the joint that a left-right reflection of the person puts in this one's
    place; itself for joints on the axis."""
    mappings: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """Other topology -> {own joint: joints there whose mean it is}: how to view that topology's
    keypoints in this one. A joint not listed does not exist there."""

    def __post_init__(self) -> None:
        k = len(self.joints)
        if len(set(self.joints)) != k or k == 0:
            raise AvpipeError(f"topology {self.name}: joint names must be unique and not empty")
        if len(self.parents) != k or any(not -1 <= p < k for p in self.parents):
            raise AvpipeError(f"topology {self.name}: parents must be {k} indices in [-1, {k})")
        if len(self.order) != k:
            raise AvpipeError(f"topology {self.name}: the parents contain a cycle")
        if sorted(self.mirror) != list(range(k)) or any(
            self.mirror[m] != i for i, m in enumerate(self.mirror)
        ):
            raise AvpipeError(f"topology {self.name}: mirror must pair the joints both ways")

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def order(self) -> tuple[int, ...]:
        """Joint indices so that every parent stands before its children."""
        children: dict[int, list[int]] = {}
        for joint, parent in enumerate(self.parents):
            children.setdefault(parent, []).append(joint)
        ordered = list(children.get(-1, []))
        for joint in ordered:
            ordered.extend(children.get(joint, []))
        return tuple(ordered)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) of every joint that has a parent, in joint order."""
        return tuple((p, j) for j, p in enumerate(self.parents) if p >= 0)

    def index(self, joint: str) -> int:
        """Index of a joint by name; an unknown name is an error that lists what there is."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise AvpipeError(
                f"topology {self.name} has no joint {joint!r}; it has {', '.join(self.joints)}"
            ) from None


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Positions of the joints of one person over T frames."""

    xy: Float32
    """(T, K, 2) px; (0, 0) where the joint is not known."""
    confidence: Float32
    """(T, K) in [0, 1]; 0 = not detected."""
    topology: Topology
    filled: Bool | None = None
    """(T, K) True where the position was interpolated; None before interpolation."""

    def __post_init__(self) -> None:
        t, k = len(self.xy), len(self.topology)
        if self.xy.shape != (t, k, 2) or self.confidence.shape != (t, k):
            raise AvpipeError(
                f"keypoints of {self.topology.name} must be xy (T, {k}, 2) and confidence (T, {k}),"
                f" not {self.xy.shape} and {self.confidence.shape}"
            )
        if self.filled is not None and self.filled.shape != (t, k):
            raise AvpipeError(f"filled must be (T, K) = {(t, k)}, not {self.filled.shape}")

    def __len__(self) -> int:
        return len(self.xy)

    def __repr__(self) -> str:
        return f"Keypoints({self.topology.name}, T={len(self)}, K={len(self.topology)})"

    def __getitem__(self, frames: slice) -> "Keypoints":
        filled = None if self.filled is None else self.filled[frames]
        return Keypoints(self.xy[frames], self.confidence[frames], self.topology, filled)

    def view(self, name: str) -> "Keypoints":
        """The same person in another topology, e.g. `view("solos47")`.

        Raises:
            AvpipeError: no mapping is declared between the two.
        """
        from avpipe.keypoints.mapping import convert  # here: a mapping makes keypoints itself

        return convert(self, name)


@dataclass(frozen=True, eq=False)
class Stems:
    """The sources of a mixture; `numpy.asarray(stems)` is their sound."""

    names: tuple[str, ...]
    """S names: the instruments, each once."""
    audio: Float32
    """(S, N) in the scale of the mixture."""

    def __post_init__(self) -> None:
        if self.audio.ndim != 2 or len(self.audio) != len(self.names):
            raise AvpipeError(f"{len(self.names)} stems must be (S, N), not {self.audio.shape}")

    @property
    def shape(self) -> tuple[int, int]:
        """(S, N)."""
        return self.audio.shape[0], self.audio.shape[1]

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Stems({', '.join(self.names)}, N={self.shape[1]})"

    def __getitem__(self, name: str) -> Float32:
        """(N,) the sound of a source."""
        if name not in self.names:
            raise AvpipeError(f"there is no stem {name!r}; there are {', '.join(self.names)}")
        sound: Float32 = self.audio[self.names.index(name)]
        return sound

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self.audio, dtype)


@dataclass(frozen=True, eq=False)
class Notes:
    """What is played in a clip, note by note, in the order of the onsets: all that sounds in it. A
    note that began before the clip has an onset below 0, and one may last longer than the clip."""

    names: tuple[str, ...]
    """S names of the sources, as those of `Stems`."""
    onset_seconds: Float64
    """(M,) s from the start of the clip."""
    duration_seconds: Float64
    """(M,) s, more than 0."""
    pitch_hz: Float64
    """(M,) Hz."""
    source: npt.NDArray[np.int32]
    """(M,) which of the names it is a note of."""
    player: npt.NDArray[np.int32]
    """(M,) who plays it: the number of his track from 0, as in `Players`."""

    def __post_init__(self) -> None:
        columns = (self.duration_seconds, self.pitch_hz, self.source, self.player)
        if any(column.shape != (len(self),) for column in columns):
            raise AvpipeError(f"{len(self)} notes need a value each in every column")

    def __len__(self) -> int:
        return len(self.onset_seconds)

    def __repr__(self) -> str:
        return f"Notes({', '.join(self.names)}, M={len(self)})"

    def __getitem__(self, name: str) -> "Notes":
        """The notes of a source."""
        if name not in self.names:
            raise AvpipeError(f"there is no source {name!r}; there are {', '.join(self.names)}")
        of = self.source == self.names.index(name)
        return Notes(
            self.names,
            self.onset_seconds[of],
            self.duration_seconds[of],
            self.pitch_hz[of],
            self.source[of],
            self.player[of],
        )

    @property
    def intervals(self) -> Float64:
        """(M, 2) onset and end in seconds, as `mir_eval.transcription` takes them."""
        return np.stack([self.onset_seconds, self.onset_seconds + self.duration_seconds], axis=1)


@dataclass(frozen=True, eq=False)
class Players:
    """What is seen of each player of an ensemble, from left to right: the order of its parts."""

    names: tuple[str, ...]
    """(P,) what each one plays; an instrument may be named several times."""
    views: tuple[Any, ...]
    """(P,) `Keypoints`, in px of the ensemble's video, or `avpipe.images.Images`."""
    squares: tuple[tuple[int, int, int], ...]
    """(P,) left, top and side of the part of the video that shows each one, px."""

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.views) == len(self.squares):
            raise AvpipeError(
                f"{len(self.names)} names, {len(self.views)} views and {len(self.squares)} squares"
                " of players: there must be one of each for every player"
            )

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Players({', '.join(self.names)})"

    def __getitem__(self, player: int) -> Any:
        """What is seen of a player."""
        return self.views[player]

    def of(self, name: str) -> tuple[Any, ...]:
        """What is seen of those who play an instrument: the performers of one source."""
        if name not in self.names:
            raise AvpipeError(f"nobody plays {name!r}; there are {', '.join(self.names)}")
        both = zip(self.names, self.views, strict=True)
        return tuple(view for plays, view in both if plays == name)


@dataclass(frozen=True, eq=False)
class Clip:
    """A segment with its data."""

    recording: str
    category: str
    segment: Segment
    fps: float
    """Frames per second of the grid."""
    sample_rate: int
    """Hz."""
    audio: Float32 | None = None
    """(N,) in [-1, 1], N = round(T * sample_rate / fps); None if the dataset holds none."""
    keypoints: Keypoints | None = None
    """T frames, interpolated; None if the dataset holds none."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Further fields by name: `frames`, `faces` and `mouths` are `avpipe.images.Images`, `stems`
    are `Stems`, `notes` are `Notes`, `face_landmarks` are `Keypoints`, `player_frames` and
    `player_skeletons` are `Players`."""

    def __post_init__(self) -> None:
        samples = sample_count(len(self.segment), self.fps, self.sample_rate)
        if self.audio is not None and self.audio.shape != (samples,):
            raise AvpipeError(
                f"{self.recording}: {len(self.segment)} frames need {samples} samples,"
                f" not {self.audio.shape}"
            )
        if self.keypoints is not None and len(self.keypoints) != len(self.segment):
            raise AvpipeError(
                f"{self.recording}: {len(self.segment)} frames need as many keypoints,"
                f" not {len(self.keypoints)}"
            )
