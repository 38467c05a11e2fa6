"""Runs models with PyTorch, on CUDA or (for tests) on the CPU, in batches of one size.

Every batch is filled up to the same number of regions, because kernels chosen for another number
may round otherwise: results do not depend on what else was asked for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from avpipe.detectors import Frame
from avpipe.detectors._mediapipe.crop import Box, Regions, crops_on_device
from avpipe.detectors._mediapipe.models import MODELS, WEIGHTS, Model
from avpipe.detectors._mediapipe.tflite import read
from avpipe.detectors._mediapipe.torch_graph import TorchGraph

Float32 = npt.NDArray[np.float32]


class TorchRunner:
    """Models on a device."""

    def __init__(
        self,
        names: Sequence[str],
        device: str,
        batch: int,
        *,
        half: bool = False,
        folder: Path = WEIGHTS,
    ) -> None:
        self.device = torch.device(device)
        self.batch = batch
        self._dtype = torch.float16 if half else torch.float32
        self._models = {
            name: TorchGraph(read(MODELS[name].path(folder)), MODELS[name].outputs)
            .eval()
            .to(self.device, self._dtype)
            for name in names
        }

    def load(self, frames: Sequence[Frame]) -> "TorchPictures":
        """Uploads the frames, once."""
        stacked = torch.from_numpy(np.stack(frames))
        if self.device.type == "cuda":
            stacked = stacked.pin_memory()
        return TorchPictures(self, stacked.to(self.device, non_blocking=True))

    def run(self, name: str, frames: Any, index: Sequence[int], regions: Regions) -> Any:
        """See `Pictures.run`; halves the batch and goes on when memory runs out."""
        while True:
            try:
                return self._batches(MODELS[name], frames, index, regions)
            except torch.cuda.OutOfMemoryError:
                if self.batch == 1:
                    raise
                self.batch //= 2
                torch.cuda.empty_cache()

    def _batches(
        self, model: Model, frames: Any, index: Sequence[int], regions: Regions
    ) -> tuple[Float32, ...]:
        parts = []
        for start in range(0, len(index), self.batch):
            picked = np.resize(np.arange(start, min(start + self.batch, len(index))), self.batch)
            outputs = self._one(model, frames, np.asarray(index)[picked], regions[picked])
            used = min(self.batch, len(index) - start)
            parts.append([output[:used].float().cpu().numpy() for output in outputs])
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def _one(self, model: Model, frames: Any, index: Any, regions: Regions) -> Any:
        with (
            torch.inference_mode(),
            # TensorFloat-32 would move hands by half a pixel; matrix products have it off.
            torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=False
            ),
        ):
            on_device = torch.from_numpy(index).to(self.device)
            crops = crops_on_device(frames, on_device, regions, model.size, model.replicate)
            scale = float(np.float32((2 if model.signed else 1) / 255))
            pictures = crops.float() * scale - (1.0 if model.signed else 0.0)
            return self._models[model.name](pictures.to(self._dtype))


class TorchPictures:
    """See `Pictures`."""

    def __init__(self, runner: TorchRunner, frames: Any) -> None:
        self._runner, self._frames = runner, frames
        _, self.height, self.width, _ = frames.shape

    def __len__(self) -> int:
        return len(self._frames)

    def run(self, name: str, index: Sequence[int], regions: Regions) -> tuple[Float32, ...]:
        """See `Pictures.run`."""
        outputs: tuple[Float32, ...] = self._runner.run(name, self._frames, index, regions)
        return outputs

    def cut(self, index: int, box: Box) -> "TorchPictures":
        """See `Pictures.cut`."""
        x0, y0, x1, y1 = box
        return TorchPictures(self._runner, self._frames[index : index + 1, y0:y1, x0:x1].clone())
