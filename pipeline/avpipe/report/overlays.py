"""Draws a skeleton onto matplotlib axes in pixel coordinates.

The player's left is warm and right is cool, body bones are thick and hand bones thin; the less a
joint is trusted the fainter it is, and one that was interpolated is hollow.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from avpipe.types import Keypoints, Topology

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEFT, LEFT_HAND = "#ff7f0e", "#ffd23f"
RIGHT, RIGHT_HAND = "#1f8fff", "#3fe0d0"
MIDDLE = "#f4f4f4"
SHADOW = "#101018"
FILLED_ALPHA = 0.45
"""Opacity of what was interpolated: its detections had none."""
LEAST_ALPHA = 0.35
"""Opacity of the least trusted detection: it still has to be seen."""


def draw_skeleton(axes: "Axes", keypoints: Keypoints, frame: int, scale: float = 1.0) -> None:
    """Draws the person of one frame.

    Args:
        axes: in pixels, y down.
        keypoints: of the person.
        frame: which of its T frames.
        scale: of all line widths; 1 suits a picture about 6 inches high.
    """
    from matplotlib.collections import LineCollection

    topology, xy = keypoints.topology, keypoints.xy[frame]
    alpha = opacity(keypoints, frame)
    bones = [(p, j) for p, j in topology.bones if alpha[p] > 0 and alpha[j] > 0]
    hands = set(topology.left_hand) | set(topology.right_hand)
    widths = [scale * (1.8 if j in hands else 4.5) for _, j in bones]
    lines = [xy[[p, j]] for p, j in bones]
    faint = [min(alpha[p], alpha[j]) for p, j in bones]
    shadow = [w + scale * 1.6 for w in widths]
    style: dict[str, Any] = {"capstyle": "round", "zorder": 2}
    axes.add_collection(
        LineCollection(
            lines, linewidths=shadow, colors=_rgba([SHADOW] * len(lines), faint, 0.6), **style
        )
    )
    colours = [colour(topology, j) for _, j in bones]
    axes.add_collection(
        LineCollection(lines, linewidths=widths, colors=_rgba(colours, faint), **style)
    )
    _draw_joints(axes, keypoints, frame, alpha, scale)


def opacity(keypoints: Keypoints, frame: int) -> Any:
    """(K,) opacity of each joint; 0 where it is not known."""
    confidence = keypoints.confidence[frame]
    alpha = np.where(confidence > 0, LEAST_ALPHA + (1 - LEAST_ALPHA) * confidence, 0)
    if keypoints.filled is not None:
        alpha = np.where(keypoints.filled[frame], FILLED_ALPHA, alpha)
    return alpha


def colour(topology: Topology, joint: int) -> str:
    """The colour of a joint and of the bone that leads to it."""
    if joint in topology.left_hand:
        return LEFT_HAND
    if joint in topology.right_hand:
        return RIGHT_HAND
    side = topology.joints[joint].partition("_")[0]
    return {"left": LEFT, "right": RIGHT}.get(side, MIDDLE)


def _draw_joints(axes: "Axes", keypoints: Keypoints, frame: int, alpha: Any, scale: float) -> None:
    topology = keypoints.topology
    hands = [*topology.left_hand, *topology.right_hand]
    shown = np.flatnonzero(alpha > 0)
    if not len(shown):
        return
    colours = _rgba([colour(topology, j) for j in shown], alpha[shown])
    filled = (
        np.zeros(len(shown), bool) if keypoints.filled is None else keypoints.filled[frame, shown]
    )
    faces = colours.copy()
    faces[filled, 3] = 0
    edges: Any = np.where(filled[:, None], colours, _rgba([SHADOW] * len(shown), alpha[shown]))
    x, y = keypoints.xy[frame, shown].T
    axes.scatter(
        x,
        y,
        s=np.where(np.isin(shown, hands), 4.5, 26.0) * scale**2,
        facecolors=faces,
        edgecolors=edges,
        linewidths=0.8 * scale,
        zorder=3,
    )


def _rgba(colours: list[str], alpha: Any, factor: float = 1.0) -> Any:
    from matplotlib.colors import to_rgba_array

    rgba = to_rgba_array(colours)
    rgba[:, 3] = np.asarray(alpha) * factor
    return rgba
