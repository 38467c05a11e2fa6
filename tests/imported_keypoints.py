"""Real keypoints (60 frames of the Solos release, hands from the tenth on), as three programs write
them, and what is imported of them."""

import json
import shutil
from pathlib import Path

import numpy as np

from artifacts import RESOURCES
from avpipe import detectors
from avpipe.config import configure
from avpipe.types import Keypoints, Recording

SOLOS = RESOURCES / "solos" / "skeleton.npy"
ID = "OqH9szlahwU"
RECORDING = Recording(ID, "Saxophone")
FRAMES = 60


def load(format_: str, folder: Path, frames: int = FRAMES, **options) -> dict[str, Keypoints]:
    module = detectors.module(f"import:{format_}")
    config = configure(module.Config, {"folder": str(folder), **options}, "[detect.options]")
    return module.load(config, RECORDING, frames)


def imported(format_: str, folder: Path, recording: Recording = RECORDING) -> str | None:
    module = detectors.module(f"import:{format_}")
    return module.inputs(module.Config(folder=str(folder)), recording)["imported"]


def person(row: np.ndarray) -> dict:
    """A row of Solos as OpenPose had written it: neck and arms, both hands without their wrists."""
    body, left, right = np.zeros((25, 3)), np.zeros((21, 3)), np.zeros((21, 3))
    body[1:8], right[1:], left[1:] = row[:7], row[7:27], row[27:]
    return {
        "person_id": [-1],
        "pose_keypoints_2d": body.ravel().tolist(),
        "hand_left_keypoints_2d": left.ravel().tolist(),
        "hand_right_keypoints_2d": right.ravel().tolist(),
        "face_keypoints_2d": [],
        "pose_keypoints_3d": [],
    }


def write_openpose(folder: Path, people_of: list[list[dict]], first: int = 0) -> Path:
    folder.mkdir(parents=True)
    for t, people in enumerate(people_of, first):
        path = folder / f"{ID}_{t:012d}_keypoints.json"
        path.write_text(json.dumps({"version": 1.3, "people": people}))
    return folder


def write_solos(folder: Path, ranges: dict | None = None, header: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if header:
        shutil.copyfile(SOLOS, folder / "skeleton.npy")
    else:
        np.load(SOLOS).tofile(folder / "skeleton.npy")
    ranges = {ID: [0, FRAMES], "_counter": FRAMES} if ranges is None else ranges
    (folder / "skeleton_dict.json").write_text(json.dumps(ranges))
    return folder


def halpe(row: np.ndarray, joints: int) -> np.ndarray:
    """A row of Solos in one of AlphaPose's layouts."""
    body = np.zeros(({17: 17, 26: 26, 68: 26, 136: 26, 133: 23}[joints], 3))
    right, left = row[1:4], row[4:7]
    body[[6, 8, 10]], body[[5, 7, 9]] = right, left
    if len(body) == 26:
        body[18] = row[0]
    hands = [np.vstack([np.zeros(3), row[27:]]), np.vstack([np.zeros(3), row[7:27]])]
    face = np.stack([np.arange(68) + 50, np.arange(68) + 60, np.full(68, 0.5)], axis=1)
    parts = {17: [], 26: [], 68: hands}.get(joints, [face, *hands])
    return np.concatenate([body, *parts])


def write_alphapose(path: Path, rows: np.ndarray, joints: int, first: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    people = [
        {
            "image_id": f"{t}.jpg",
            "category_id": 1,
            "keypoints": halpe(row, joints).ravel().tolist(),
            "score": 2.9,
            "box": [0, 0, 10, 10],
            "idx": [0],
        }
        for t, row in enumerate(rows, first)
        if row.any()
    ]
    path.write_text(json.dumps(people[::-1]))
