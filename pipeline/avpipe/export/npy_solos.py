"""The files of the Solos release (Montesinos et al., 2020), for code that was written for it.

skeleton_files/skeleton.npy         (N, 3, 47) float32 without a header: x, y, confidence of the
                                    joints of `solos47`, all recordings one after the other
skeleton_files/skeleton_dict.json   {id: [first row, last row + 1], ..., "_counter": N}
json_files/solos_ids.json           {category: [id, ...]}
json_files/solos_timestamps.json    {category: {id: [[first frame, last frame], ...]}}, inclusive
audio/<category>/<id>_<frame>.wav   the sound from that frame on, a file a segment

A recording has a row a frame from its first one to the end of its last segment; frames between
segments, of which a built dataset holds nothing, are zero. As in the release, joints that were
interpolated have coordinates and the confidence 0. Its package reads the folder if `Solos.PATH`
(and `Solos.skeleton.PATH`) name it.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avpipe.errors import UsageError
from avpipe.export import _encode as encode
from avpipe.types import Clip

if TYPE_CHECKING:
    from avpipe.dataset import Dataset

TOPOLOGY = "solos47"


def write(dataset: "Dataset", out: Path) -> None:
    """Writes the files; recordings without a skeleton are left out.

    Raises:
        UsageError: the dataset has no skeleton, or one that is not upper body and hands.
    """
    if dataset.topology is None:
        raise UsageError(f"{dataset.path} has no skeleton, which npy-solos is for")
    for name in ("skeleton_files", "json_files"):
        (out / name).mkdir()
    rows: dict[str, Any] = {}
    ids: dict[str, list[str]] = {}
    stamps: dict[str, dict[str, list[list[int]]]] = {}
    written = 0
    with (out / "skeleton_files" / "skeleton.npy").open("wb") as file:
        for _, clip in encode.rows(dataset):
            if clip.keypoints is None:
                continue
            recording, category = clip.recording, clip.category
            if recording not in rows:
                rows[recording] = [written, written]
                ids.setdefault(category, []).append(recording)
                stamps.setdefault(category, {})[recording] = []
            first = rows[recording][0]
            content = np.ascontiguousarray(_rows(clip), "<f4")
            file.seek((first + clip.segment.start) * content[0].nbytes)
            file.write(content.tobytes())
            written = rows[recording][1] = first + clip.segment.stop
            stamps[category][recording].append([clip.segment.start, clip.segment.stop - 1])
            _audio(out, clip)
    _json(out / "skeleton_files" / "skeleton_dict.json", rows | {"_counter": written})
    _json(out / "json_files" / "solos_ids.json", ids)
    _json(out / "json_files" / "solos_timestamps.json", stamps)


def _rows(clip: Clip) -> Any:
    """(T, 3, 47) as the release has them."""
    assert clip.keypoints is not None
    points = clip.keypoints.view(TOPOLOGY)
    return np.concatenate([points.xy.transpose(0, 2, 1), points.confidence[:, None]], axis=1)


def _audio(out: Path, clip: Clip) -> None:
    if clip.audio is None:
        return
    import soundfile

    folder = out / "audio" / "".join(c if c.isalnum() or c in "-_ " else "_" for c in clip.category)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{clip.recording}_{clip.segment.start}.wav"
    soundfile.write(path, np.rint(clip.audio * 32768).astype(np.int16), clip.sample_rate)


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value) + "\n", encoding="utf-8")
