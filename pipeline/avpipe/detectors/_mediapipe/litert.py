"""Runs models on the CPU through LiteRT, one picture at a time.

LiteRT gains little from batches, and single runs are what MediaPipe does: the numbers are its own
and never depend on a batch.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avpipe.detectors import Frame
from avpipe.detectors._mediapipe.crop import Cutter
from avpipe.detectors._mediapipe.models import WEIGHTS, Model
from avpipe.detectors._mediapipe.tflite import prune
from avpipe.detectors._native_log import native_log_held

Float32 = npt.NDArray[np.float32]


class LiteRT:
    """One model on one thread."""

    def __init__(self, model: Model, folder: Path = WEIGHTS) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.model = model
        self._cut = Cutter(model.size, model.replicate)
        with native_log_held():
            self._interpreter = Interpreter(
                model_content=prune(model.path(folder), model.outputs), num_threads=1
            )
            self._interpreter.allocate_tensors()
        self._input: Callable[[], Any] = self._interpreter.tensor(
            self._interpreter.get_input_details()[0]["index"]
        )
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]

    def __call__(self, frame: Frame, region: npt.NDArray[np.float64]) -> tuple[Float32, ...]:
        """The model's outputs without the batch axis, for a region (5,) of a frame."""
        picture = self._cut(frame, region)
        # The view must be gone when the interpreter runs, so it never gets a name.
        np.multiply(picture, self._scale, out=self._input()[0], dtype=np.float32)
        if self.model.signed:
            np.subtract(self._input()[0], np.float32(1), out=self._input()[0])
        self._interpreter.invoke()
        return tuple(self._interpreter.get_tensor(index)[0] for index in self._outputs)

    @property
    def _scale(self) -> np.float32:
        return np.float32((2 if self.model.signed else 1) / 255)
