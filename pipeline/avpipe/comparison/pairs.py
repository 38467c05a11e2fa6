"""What can be compared: the detections of a dataset's store, or two files of `avpipe detect`.

Old outputs of `detect` stay in the store until `avpipe gc`. Two of them belong together when they
were made from the same video, by content. Segments are searched by the stage `segment`, with the
parameters of the dataset.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avpipe import stages
from avpipe.comparison.metrics import in_one_topology
from avpipe.config import configure
from avpipe.errors import UsageError
from avpipe.keypoints import exchange, files, find_segments, hand_visibility
from avpipe.ledger import FILE, Ledger
from avpipe.store import Store, canonical, sha256_text
from avpipe.types import Keypoints, Recording, Segment

SHOWN_DIGEST = 8
"""Digits by which a detection is told from others of its detector."""


@dataclass(frozen=True, eq=False)
class Detection:
    """How recordings of a dataset were detected: one detector, version and parameters."""

    identity: Mapping[str, Any]
    """Stage, version, parameters and tool."""
    keys: dict[str, str] = field(default_factory=dict)
    """Content digest of a video -> key of what was detected in it."""

    @property
    def name(self) -> str:
        """Of the detector."""
        return str(self.identity["parameters"]["detector"])

    @property
    def digest(self) -> str:
        """Tells it from every other."""
        return sha256_text(canonical(self.identity))

    @property
    def label(self) -> str:
        """For people: detector, package with version, digest."""
        package = self.identity["tool"].get("package")
        return " ".join([self.name, *([f"({package})"] if package else []), self.short])

    @property
    def short(self) -> str:
        """The first digits of the digest."""
        return self.digest[:SHOWN_DIGEST]

    def is_meant(self, selector: str) -> bool:
        """Whether a person means it: its name, words of its label or the start of its digest."""
        wanted = selector.strip().lower()
        return bool(wanted) and (wanted in self.label.lower() or self.digest.startswith(wanted))


@dataclass(frozen=True, eq=False)
class Pair:
    """One recording, detected twice."""

    recording: str
    fps: float
    a: Keypoints
    b: Keypoints
    """In the topology of `a`."""
    segments_a: Sequence[Segment]
    segments_b: Sequence[Segment]
    video: Path | None = None
    """T frames; None if there is none to show."""


def detections(out: Path) -> list[Detection]:
    """All detections that are in the store of a dataset, those of most recordings first."""
    store = Store(out / "work")
    found: dict[str, Detection] = {}
    for key in sorted(store.keys("detect")):
        document = store.provenance("detect", key)["document"]
        identity = {name: value for name, value in document.items() if name != "inputs"}
        detection = found.setdefault(canonical(identity), Detection(identity))
        detection.keys[document["inputs"]["video"]] = key
    return sorted(found.values(), key=lambda d: (-len(d.keys), d.label))


def pick(found: Sequence[Detection], selector: str) -> Detection:
    """The detection that a person means.

    Raises:
        UsageError: none is, or several are; the text lists them.
    """
    exact = [d for d in found if d.name == selector]
    meant = exact or [d for d in found if d.is_meant(selector)]
    if len(meant) == 1:
        return meant[0]
    what = "several detections are" if meant else "no detection is"
    listed = "; ".join(d.label for d in meant or found) or "nothing has been detected"
    differ = "; without A and B, avpipe compare says how they differ" if meant else ""
    text = f"{what} {selector!r} (a detector, or digits of its digest): {listed}{differ}"
    raise UsageError(text)


class DatasetPairs(Mapping[str, Pair]):
    """Recordings of a dataset that two detections have in common: id -> pair, read when asked for.

    Args:
        out: folder of the dataset.
        a: of `detections`.
        b: likewise.
        ids: only these recordings; None: all.

    Raises:
        UsageError: there is none.
    """

    def __init__(
        self, out: Path, a: Detection, b: Detection, ids: Sequence[str] | None = None
    ) -> None:
        self._store, self._a, self._b = Store(out / "work"), a, b
        self._keys: dict[str, dict[str, str]] = {}
        self._videos: dict[str, str] = {}
        self._segment: dict[str, Mapping[str, Any]] = {}
        with Ledger(out / FILE) as ledger:
            for recording, reached in sorted(ledger.current().items()):
                _, video = reached.get("video", ("", None))
                if ids is not None and recording not in ids:
                    continue
                if video in a.keys and video in b.keys and self._have_skeletons(video):
                    self._videos[recording] = video
                    self._keys[recording] = {stage: key for stage, (key, _) in reached.items()}
            keys = {found["segment"] for found in self._keys.values() if "segment" in found}
            for key in keys:
                self._segment[key] = (ledger.identity("segment", key) or {}).get("parameters", {})
        if not self._videos:
            raise UsageError(
                f"no recording of {out} has been detected as {a.label} and as {b.label}: run"
                " avpipe build with --detector NAME --until detect for the one that is missing"
            )

    def __iter__(self) -> Iterator[str]:
        return iter(self._videos)

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, recording: str) -> Pair:
        digest = self._videos[recording]
        key_a, key_b = self._a.keys[digest], self._b.keys[digest]
        a, b = in_one_topology(self._skeleton(key_a), self._skeleton(key_b))
        folder = self._store.path("video", self._keys[recording]["video"])
        facts = json.loads((folder / "video.json").read_text(encoding="utf-8"))
        video = folder / "video.mp4"
        return Pair(
            recording,
            facts["fps"],
            a,
            b,
            self._segments(recording, key_a),
            self._segments(recording, key_b),
            video if video.is_file() else None,
        )

    def _summary(self, key: str) -> files.Summary:
        return files.read_summary(self._store.path("detect", key) / "detect.json")

    def _have_skeletons(self, video: str) -> bool:
        keys = (self._a.keys[video], self._b.keys[video])
        return all("skeleton" in self._summary(key).fields for key in keys)

    def _skeleton(self, key: str) -> Keypoints:
        layout = self._summary(key).fields["skeleton"]
        return files.load(self._store.path("detect", key), "skeleton", layout)

    def _segments(self, recording: str, key: str) -> list[Segment]:
        """What the stage `segment` makes of a detection."""
        stage, keys = stages.load("segment"), self._keys[recording]
        parameters = self._segment.get(keys.get("segment", ""), {})
        config = configure(stage.Config, parameters, "[segment]")
        inputs = {"detect": self._store.path("detect", key)}
        if "audio" in keys:
            inputs["audio"] = self._store.path("audio", keys["audio"])
        with tempfile.TemporaryDirectory() as place:
            stage.run(stages.Job(Recording(recording, ""), config, inputs, Path(place)))
            found = json.loads((Path(place) / "segments.json").read_text(encoding="utf-8"))
        return [Segment(start, stop) for start, stop in found["segments"]]


def of_files(a: Path, b: Path, video: Path | None = None) -> Pair:
    """Two files of keypoints of one video.

    Raises:
        UsageError: they cannot be read, or are not of the same number of frames.
    """
    first, second = exchange.read(a), exchange.read(b)
    if first.fps != second.fps:
        raise UsageError(
            f"{a} has {first.fps:g} frames per second, {b} {second.fps:g}: detect both at one"
        )
    one, other = in_one_topology(first.keypoints, second.keypoints)
    name = a.name.partition(".")[0]
    return Pair(name, first.fps, one, other, _by_hands(one), _by_hands(other), video)


def _by_hands(keypoints: Keypoints) -> list[Segment]:
    """Segments with the parameters that datasets have by default; none without hands."""
    layout = keypoints.topology
    if not (layout.left_hand or layout.right_hand):
        return []
    return find_segments(hand_visibility(keypoints.confidence, layout))
