"""A recording of a built dataset in one picture: a frame with the skeleton, the waveform, and when
hands were visible, when the instrument sounded and what became a segment.

Sound and skeleton come from the shards; the frame, the bands and the sound between segments from
the artifacts in `work/`, where they are still there.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from avpipe.dataset import Dataset
from avpipe.errors import DatasetError, UsageError
from avpipe.media import read_audio
from avpipe.report.overlays import LEFT, LEFT_HAND, RIGHT, RIGHT_HAND, draw_skeleton
from avpipe.report.plots import FAINT, INK, Band, draw_bands, draw_waveform, plain
from avpipe.store import Store
from avpipe.types import Clip, Keypoints

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Image = npt.NDArray[np.uint8]
"""(H, W, 3) RGB."""
BANDS = {"visible": ("hands visible", "#4fae7b"), "sounding": ("sounding", "#8a6fd1")}
SEGMENT_COLOUR = "#d1495b"
BETWEEN = "#d5d9e0"
"""Sound that is in no segment."""
GROUND = "#1d2027"
HEIGHT, PLOTS, DPI = 4.6, 5.4, 160
"""Inches: height of the picture, width of the plots; dots an inch."""


@dataclass(frozen=True)
class Sources:
    """What the artifacts of a recording add to its shards; None where they are gone."""

    video: Path | None
    audio: Path | None
    bands: Path | None


def sources(dataset: Dataset, clip: int) -> Sources:
    """The artifacts that a clip was made from, as its row of the index names them."""
    store = Store(dataset.path / "work")
    keys: dict[str, str] = json.loads(dataset.index["keys"].iloc[clip])

    def find(stage: str, name: str) -> Path | None:
        path = store.path(stage, keys[stage]) / name if stage in keys else None
        return path if path is not None and path.is_file() else None

    return Sources(
        find("video", "video.mp4"),
        find("audio", "audio.wav"),
        find("segment", "bands.sidecar.json"),
    )


def draw_recording(
    dataset: Dataset, recording: str, picture: Path, seconds: float | None = None
) -> None:
    """Draws a recording to a PNG file.

    Args:
        dataset: that holds it.
        recording: its id.
        picture: the file.
        seconds: which moment to show; None: where most of the hands is seen.

    Raises:
        UsageError: there is no such recording, or no segment at that moment.
    """
    rows = np.flatnonzero(dataset.index["recording"] == recording).tolist()
    if not rows:
        raise UsageError(
            f"{dataset.path} has no segment of {recording!r}; it has"
            f" {', '.join(dataset.index['recording'].unique()[:20])}"
        )
    clips = [dataset.clip(i) for i in rows]
    clip, frame = _moment(clips, seconds)
    figure = _figure(clips, clip, frame, sources(dataset, rows[0]), dataset)
    figure.savefig(picture, dpi=DPI, metadata={"Software": None})


def _moment(clips: list[Clip], seconds: float | None) -> tuple[Clip, int]:
    """A clip and one of its frames."""
    if seconds is None:
        clip = max(clips, key=lambda c: len(c.segment))
        if clip.keypoints is None:
            return clip, len(clip.segment) // 2
        return clip, best_frame(clip.keypoints)
    for clip in clips:
        frame = int(seconds * clip.fps) - clip.segment.start
        if 0 <= frame < len(clip.segment):
            return clip, frame
    spans = ", ".join(f"[{c.segment.start / c.fps:g}, {c.segment.stop / c.fps:g})" for c in clips)
    raise UsageError(f"no segment at {seconds:g} s; there are {spans} s")


def best_frame(keypoints: Keypoints) -> int:
    """The frame whose hands are seen best; of equals the one nearest to the middle."""
    hands = [*keypoints.topology.left_hand, *keypoints.topology.right_hand]
    seen = keypoints.confidence[:, hands or slice(None)].mean(axis=1)
    from_middle = np.abs(np.arange(len(seen)) - len(seen) / 2)
    return int(np.lexsort((from_middle, -seen.round(2)))[0])


def frame_of(video: Path, seconds: float, fps: float) -> Image:
    """The picture that a video on the time grid shows at a moment.

    Raises:
        DatasetError: the video ends before it.
    """
    from avpipe.media.source import open_container

    with open_container(video) as container:
        stream = container.streams.video[0]
        container.seek(int(seconds / stream.time_base), stream=stream)
        for picture in container.decode(stream):
            if picture.time > seconds - 0.5 / fps:
                image: Image = picture.to_ndarray(format="rgb24")
                return image
    raise DatasetError(f"{video} ends before {seconds:g} s")


def _figure(
    clips: list[Clip], clip: Clip, frame: int, found: Sources, dataset: Dataset
) -> "Figure":
    from matplotlib.figure import Figure

    at_seconds = (clip.segment.start + frame) / clip.fps
    image = None if found.video is None else frame_of(found.video, at_seconds, clip.fps)
    aspect = 1.0 if image is None else image.shape[1] / image.shape[0]
    width = min(max(HEIGHT * aspect, 2.6), 8.4)
    height = min(HEIGHT, width / aspect)
    figure = Figure(figsize=(width + PLOTS + 0.3, height), facecolor="white", layout="constrained")
    panels: Any = figure.subfigures(1, 2, width_ratios=(width, PLOTS + 0.3))
    picture, plots = panels
    _draw_person(picture.subplots(), clip, frame, image)
    wave, rows = plots.subplots(2, 1, sharex=True, height_ratios=(1.5, 1))
    _draw_sound(wave, clips, found)
    _draw_bands(rows, clips, found)
    for axes in (wave, rows):
        axes.margins(x=0)
        axes.axvline(at_seconds, color=INK, linewidth=1.2)
    wave.annotate(
        f"{at_seconds:.2f} s",
        (at_seconds, 1),
        (4, -1),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        fontsize=8,
        va="top",
        color=INK,
    )
    _title(wave, clip, dataset)
    return figure


def _draw_person(axes: "Axes", clip: Clip, frame: int, image: Image | None) -> None:
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_anchor("N")
    if image is not None:
        axes.imshow(image, interpolation="bilinear")
    if clip.keypoints is None:
        return
    if image is None:
        _frame_points(axes, clip.keypoints)
    axes.set_autoscale_on(False)
    draw_skeleton(axes, clip.keypoints, frame)
    _legend(axes)


def _legend(axes: "Axes") -> None:
    from matplotlib.lines import Line2D

    sides = {"left": LEFT, "left hand": LEFT_HAND, "right": RIGHT, "right hand": RIGHT_HAND}
    axes.legend(
        [Line2D([], [], color=colour, linewidth=3) for colour in sides.values()],
        list(sides),
        loc="lower left",
        ncols=2,
        fontsize=7.5,
        labelcolor="white",
        facecolor=GROUND,
        edgecolor="none",
        framealpha=0.75,
        handlelength=1.2,
        columnspacing=1.2,
    )


def _frame_points(axes: "Axes", keypoints: Keypoints) -> None:
    """Without a picture: a dark ground, and limits around all known joints of the clip."""
    from matplotlib.patches import Rectangle

    known = keypoints.xy[(keypoints.xy != 0).any(axis=2)]
    if len(known):
        (left, top), (right, bottom) = known.min(axis=0), known.max(axis=0)
        margin = 0.08 * max(right - left, bottom - top, 1)
        axes.set_xlim(left - margin, right + margin)
        axes.set_ylim(bottom + margin, top - margin)
    ground = Rectangle((0, 0), 1, 1, transform=axes.transAxes, color=GROUND, zorder=0)
    axes.add_patch(ground)


def _draw_sound(axes: "Axes", clips: list[Clip], found: Sources) -> None:
    plain(axes)
    axes.set_yticks([])
    axes.tick_params(labelbottom=False)
    axes.spines["bottom"].set_visible(False)
    axes.set_ylabel("sound", color=INK, fontsize=9, rotation=0, ha="right", va="center")
    if found.audio is not None:
        draw_waveform(axes, read_audio(found.audio), clips[0].sample_rate, 0, colour=BETWEEN)
    for clip in clips:
        if clip.audio is not None:
            draw_waveform(axes, clip.audio, clip.sample_rate, clip.segment.start / clip.fps)
    if not axes.collections:
        axes.text(0.5, 0.5, "no sound", transform=axes.transAxes, ha="center", color=FAINT)


def _draw_bands(axes: "Axes", clips: list[Clip], found: Sources) -> None:
    fps = clips[0].fps
    known = {} if found.bands is None else json.loads(found.bands.read_text(encoding="utf-8"))
    bands = {
        label: Band(colour, [(start / fps, stop / fps) for start, stop in known[name]])
        for name, (label, colour) in BANDS.items()
        if name in known
    }
    spans = [(c.segment.start / fps, c.segment.stop / fps) for c in clips]
    draw_bands(axes, bands | {"segments": Band(SEGMENT_COLOUR, spans)})
    plain(axes)
    axes.set_xlabel("seconds", color=INK, fontsize=9)


def _title(axes: "Axes", clip: Clip, dataset: Dataset) -> None:
    start, stop = clip.segment.start / clip.fps, clip.segment.stop / clip.fps
    text = f"{dataset.name}: segment {start:g}–{stop:g} s, {len(clip.segment)} frames"
    if clip.keypoints is not None:
        share = np.count_nonzero(clip.keypoints.confidence) / clip.keypoints.confidence.size
        text += f", {share:.0%} of {len(clip.keypoints.topology)} joints detected"
    heading = f"{clip.category} · {clip.recording}"
    axes.set_title(heading, loc="left", fontsize=13, fontweight="bold", color=INK, pad=20)
    axes.annotate(
        text,
        (0, 1),
        (0, 6),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=8.5,
        color=INK,
    )
