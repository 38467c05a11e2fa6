"""What stands around the networks of the face-alignment package, for batches of frames.

Boxes are (left, top, right, bottom, score), px; a crop is what FAN was trained on; peaks are the
maxima of its heat maps.
"""

from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from avpipe.detectors import Frame
from avpipe.errors import ToolMissing

Floats = npt.NDArray[np.floating[Any]]
Item = TypeVar("Item")
Result = TypeVar("Result")

INSTALL = "pip install 'avpipe[face]'"
LEAST_SIDE = 128
"""px; smaller pictures are searched with a black margin: S3FD halves them seven times."""
_SIDE, _MAP = 256, 64
"""px; sides of FAN's input and of its heat maps."""
_MEAN = (104.0, 117.0, 123.0)
"""Blue, green and red that S3FD was trained without."""


class Crop(NamedTuple):
    """A face cut out of its frame."""

    picture: Frame
    """(256, 256, 3)."""
    left_top: Floats
    """px; the corner it was cut at, in whole pixels."""
    size: Floats
    """px; how much of the frame it shows."""

    def to_frame(self, peaks: Floats) -> Floats:
        """Peaks in heat map pixels, counted from the map's edge, in px of the frame."""
        xy = self.left_top + self.size * peaks[:, :2] / _MAP - 0.5
        return np.concatenate([xy, peaks[:, 2:]], axis=1)


def cut(frame: Frame, box: Floats) -> Crop:
    """The square around a box, moved up a little, as the package cuts it."""
    from face_alignment.utils import CENTER_Y_OFFSET, REFERENCE_SCALE, crop, transform

    left, top, right, bottom, _ = box
    center = np.array([(left + right) / 2, (top + bottom) / 2 - CENTER_Y_OFFSET * (bottom - top)])
    scale = float(right - left + bottom - top) / REFERENCE_SCALE
    first = transform([1, 1], center, scale, float(_SIDE), True).numpy()
    last = transform([_SIDE, _SIDE], center, scale, float(_SIDE), True).numpy()
    return Crop(crop(frame, center, scale), first.astype(float), (last - first).astype(float))


def peaks(maps: Any) -> Any:
    """(B, 68, 3) x, y in heat map pixels from the map's edge, and height.

    A peak lies in the middle of its pixel, moved by a quarter towards the higher neighbour.
    """
    import torch

    height, at = maps.flatten(2).max(dim=2)
    x, y = at % _MAP, at // _MAP
    rows = torch.arange(maps.shape[0], device=maps.device)[:, None]
    joints = torch.arange(maps.shape[1], device=maps.device)[None]
    inner = (x > 0) & (x < _MAP - 1) & (y > 0) & (y < _MAP - 1)
    moved = []
    for i, (dx, dy) in enumerate(((1, 0), (0, 1))):
        after = maps[rows, joints, (y + dy).clamp(max=_MAP - 1), (x + dx).clamp(max=_MAP - 1)]
        before = maps[rows, joints, (y - dy).clamp(min=0), (x - dx).clamp(min=0)]
        moved.append((x, y)[i] + 0.5 + torch.sign(after - before) * inner * 0.25)
    return torch.stack([*moved, height], dim=2)


def searched(batch: list[Frame], side: int) -> tuple[float, npt.NDArray[np.uint8]]:
    """The frames as they are searched, (B, h, w, 3), and their scale."""
    import cv2

    height, width = batch[0].shape[:2]
    scale = min(1.0, side / max(height, width))
    pictures = np.stack(batch)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        smaller = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in batch]
        pictures = np.stack(smaller).astype(np.uint8)
    margin = [(0, max(0, LEAST_SIDE - side)) for side in pictures.shape[1:3]]
    return scale, np.pad(pictures, [(0, 0), *margin, (0, 0)])


def plausible(boxes: list[Floats], width: int, height: int) -> list[Floats]:
    """Boxes with their centre in the picture and a size that a face can have, the largest first."""
    kept = []
    for box in boxes:
        (left, top, right, bottom), longest = box[:4], 4 * max(width, height)
        if (
            np.isfinite(box).all()
            and 0 <= left + right < 2 * width
            and 0 <= top + bottom < 2 * height
            and 1 <= right - left <= longest
            and 1 <= bottom - top <= longest
        ):
            kept.append(box)
    return sorted(kept, key=lambda b: -float((b[2] - b[0]) * (b[3] - b[1])))


def halving(work: Callable[[list[Item]], list[Result]], items: list[Item]) -> list[Result]:
    """`work(items)`, in halves as long as the memory of the device does not suffice."""
    from avpipe.detectors._torch_memory import is_out_of_memory

    try:
        return work(items)
    except RuntimeError as error:
        if len(items) < 2 or not is_out_of_memory(error):
            raise
    half = len(items) // 2
    return halving(work, items[:half]) + halving(work, items[half:])


def face_detector(path: Path, device: str, min_score: float) -> Any:
    """The package's S3FD with the weights of a file."""
    try:
        from face_alignment.detection.sfd import FaceDetector
    except ImportError as error:
        raise ToolMissing(f"face-alignment cannot be loaded ({error}): {INSTALL}") from error
    try:
        return FaceDetector(device, path_to_detector=str(path), filter_threshold=min_score)
    except (RuntimeError, UnpicklingError) as error:
        raise _not_weights(path, "S3FD", error) from error


def faces(detector: Any, pictures: npt.NDArray[np.uint8], device: str) -> list[Any]:
    """Boxes of faces in each of some pictures (B, H, W, 3), in their px.

    As the detector's `detect_from_batch`, which on CUDA lets cuDNN choose its algorithms by the
    clock, for the whole process: boxes would differ from run to run.
    """
    import torch
    from face_alignment.detection.sfd.detect import get_predictions

    from avpipe.detectors._precision import strict

    blue_first = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).flip(1).float()
    mean = torch.tensor(_MEAN, device=device)[:, None, None]
    with torch.inference_mode(), strict():
        maps = detector.face_detector(blue_first - mean)
        maps[::2] = [scores.softmax(1) for scores in maps[::2]]
    found = get_predictions([one.cpu().numpy() for one in maps], len(pictures))
    return [detector._filter_bboxes(boxes) for boxes in found]


def network(path: Path, device: str) -> Any:
    """FAN with the weights of a file; (B, 3, 256, 256) in [0, 1] to a list of (B, 68, 64, 64)."""
    import torch
    from face_alignment.models import FAN

    net = FAN(4)
    try:
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, UnpicklingError) as error:
        raise _not_weights(path, "FAN", error) from error
    return net.to(device).eval()


def _not_weights(path: Path, name: str, error: Exception) -> ToolMissing:
    reason = str(error).splitlines()[0]
    return ToolMissing(f"{path} does not hold the weights of {name} ({reason}): fetch it again")
