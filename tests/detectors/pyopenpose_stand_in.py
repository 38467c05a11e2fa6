"""The part of OpenPose 1.7's Python binding that avpipe uses, with its names, shapes and habits.

From `python/openpose/openpose_python.cpp` and `doc/02_output.md` of OpenPose: flags are global and
stay as they were set, pictures are BGR, arrays are float32 (P, joints, 3), `None` if there is
nobody, and people come in no order that lasts. A person here is a rectangle of bright red.
"""

import numpy as np
from scipy import ndimage

FLAGS = {
    "model_folder", "model_pose", "number_people_max", "net_resolution", "scale_number",
    "scale_gap", "keypoint_scale", "hand", "hand_net_resolution", "face", "face_net_resolution",
    "render_pose", "hand_render", "face_render", "logging_level", "num_gpu", "num_gpu_start",
}  # fmt: skip
flags: dict[str, str] = {}
gpus = 0


def get_gpu_number() -> int:
    return gpus


class Datum:
    def __init__(self) -> None:
        self.cvInputData = None
        self.poseKeypoints = None
        self.handKeypoints = [None, None]
        self.faceKeypoints = None


class VectorDatum(list):
    pass


class WrapperPython:
    def __init__(self) -> None:
        self._state = "new"
        self._pictures = 0

    def configure(self, params: dict) -> None:
        assert self._state == "new"
        assert set(params) <= FLAGS, set(params) - FLAGS
        flags.update({name: str(value) for name, value in params.items()})
        self._state = "configured"

    def start(self) -> None:
        assert self._state == "configured"
        self._state = "started"

    def emplaceAndPop(self, datums: VectorDatum) -> bool:  # noqa: N802
        assert self._state == "started"
        assert isinstance(datums, VectorDatum)
        for datum in datums:
            self._answer(datum)
        return True

    def _answer(self, datum: Datum) -> None:
        picture = datum.cvInputData
        assert picture.dtype == np.uint8
        assert picture.flags.c_contiguous
        red = picture[..., 2] > 128
        self._pictures += 1
        boxes = ndimage.find_objects(ndimage.label(red)[0])
        boxes = boxes[:: -1 if self._pictures % 2 else 1]
        boxes = boxes[
            : len(boxes) if flags["number_people_max"] == "-1" else int(flags["number_people_max"])
        ]
        if not boxes:
            return
        datum.poseKeypoints = np.stack([_points(box, 25, 0.8) for box in boxes])
        datum.poseKeypoints[:, 24] = 0
        if flags["hand"] == "True":
            datum.handKeypoints = [
                np.stack([_points(box, 21, confidence) for box in boxes])
                for confidence in (0.3, 1.125)
            ]
        if flags["face"] == "True":
            datum.faceKeypoints = np.stack([_points(box, 70, 0.5) for box in boxes])


def _points(box: tuple[slice, slice], count: int, confidence: float) -> np.ndarray:
    """Points from the upper left to the lower right corner of a box."""
    y, x = box
    steps = np.linspace(0, 1, count)
    return np.stack(
        [
            x.start + steps * (x.stop - 1 - x.start),
            y.start + steps * (y.stop - 1 - y.start),
            np.full(count, confidence),
        ],
        axis=1,
    ).astype(np.float32)
