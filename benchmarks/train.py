"""How fast training data is made, and how much of a training step it takes, in one run.

    OMP_NUM_THREADS=1 PYTHONPATH=pipeline python benchmarks/train.py DATASET MELODIES

DATASET is a built dataset, MELODIES the folder of sound files it was built from (any depth). All
rates are per second of CPU time of this one process, so that what else runs on the machine counts
little.

- `loader`: two-source samples a second, from sound to the network's input and target. Peer: a
  loader's worker as the papers' code has it, which decodes a file per source, takes librosa's
  STFT and warps it, item by item.
- `step`: steps a second of a network with batches from the dataset, with one constant batch, and
  of the batches without the network.

Needs librosa and torch.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import torch

from avpipe import open_dataset, separation
from avpipe.separation import data, mixing
from avpipe.separation.data import AudioBank
from avpipe.separation.interface import Trainable
from avpipe.separation.losses import loss
from avpipe.separation.mixing import Batch, Mixing
from machine import machine, save

BATCH = 8
RATE, SAMPLES = 11_025, 65_535
SECONDS = 20.0
"""Of each measurement."""
PAIR = Mixing(combine="mean", gain=(0.5, 1.5), categories="any")


class PaperLoader:
    """One item: two sources from files, their mixture, log-frequency magnitudes and masks."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        random = np.random.default_rng(i)
        sources = [self._source(random) / 2 for _ in range(2)]
        mixture = self._warped(np.sum(sources, 0))
        masks = [(self._warped(s) > 0.5 * mixture).float() for s in sources]
        return mixture, torch.stack(masks)

    def _source(self, random: np.random.Generator) -> Any:
        path = self.files[random.integers(len(self.files))]
        sound, _ = librosa.load(path, sr=RATE)
        first = random.integers(len(sound) - SAMPLES)
        return np.clip(sound[first : first + SAMPLES] * random.uniform(0.5, 1.5), -1, 1)

    def _warped(self, sound: Any) -> torch.Tensor:
        spectrum = librosa.stft(sound, n_fft=1022, hop_length=256, pad_mode="reflect")
        magnitude = torch.from_numpy(np.abs(spectrum))[None, None]
        y = torch.linspace(-1, 1, 256)
        rows = ((21 ** ((y + 1) / 2) - 11) / 10)[:, None].expand(256, 256)
        grid = torch.stack([torch.linspace(-1, 1, 256).expand(256, 256), rows], -1)[None]
        warped = torch.nn.functional.grid_sample(magnitude, grid, align_corners=True)
        return warped[0, 0]


def rate(call: Callable[[int], object]) -> float:
    """Calls a second, after one to warm up."""
    call(0)
    start, count = time.process_time(), 0
    while time.process_time() - start < SECONDS:
        count += 1
        call(count)
    return count / (time.process_time() - start)


def paper_loader(folder: Path) -> float:
    """Samples a second of one worker."""
    items = PaperLoader(sorted(p for p in folder.rglob("*") if p.suffix in (".wav", ".flac")))
    return rate(lambda i: items[i])


def batches_of(bank: AudioBank, how: Mixing) -> Callable[[int], Batch]:
    """Step -> its mixtures."""
    return lambda step: mixing.batch(bank, mixing.draw(bank, how, BATCH, 0, step), how, "cpu")


def network_steps(net: Trainable, bank: AudioBank) -> dict[str, float]:
    """Steps a second: with the dataset, with one constant example, and examples alone."""
    how = Mixing(fewest=2, most=4, combine="sum")
    make = batches_of(bank, how)
    optimiser = torch.optim.Adam(net.parameters())
    net.train()

    def example(step: int) -> tuple[Batch, Any]:
        batch = make(step)
        return batch, net.example(batch.mixture, batch.sources, batch.context)

    def learn(batch: Batch, target: Any) -> None:
        optimiser.zero_grad()
        value = loss(net, net(target.mixture, batch.context), target, batch.context, "bce")
        torch.autograd.backward(value)
        optimiser.step()

    constant = example(0)
    found = {
        "steps_per_second_from_the_dataset": rate(lambda step: learn(*example(step))),
        "steps_per_second_of_one_constant_batch": rate(lambda _: learn(*constant)),
        "batches_per_second_without_network": rate(example),
    }
    constant_rate = found["steps_per_second_of_one_constant_batch"]
    return {
        **{name: round(value, 3) for name, value in found.items()},
        "input_over_network": round(found["batches_per_second_without_network"] / constant_rate, 2),
        "share_of_constant_rate": round(
            found["steps_per_second_from_the_dataset"] / constant_rate, 3
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset", type=Path)
    parser.add_argument("melodies", type=Path)
    arguments = parser.parse_args()
    threads = int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))
    torch.set_num_threads(threads)
    net = separation.create("unet", frequency="log", mask="ratio", energy_weighted=True)
    assert isinstance(net, Trainable)
    bank = data.load(open_dataset(arguments.dataset), "train", net.classes, RATE, SAMPLES)
    pairs = separation.create("sop", sound="unet5", mask="binary")
    assert isinstance(pairs, Trainable)
    make = batches_of(bank, PAIR)

    def ours(step: int) -> None:
        batch = make(step)
        pairs.example(batch.mixture, batch.sources, batch.context)

    own = BATCH * rate(ours)
    peer = paper_loader(arguments.melodies)
    save(
        "train",
        {
            "what": __doc__.splitlines()[0] if __doc__ else "",
            "machine": machine("torch", "numpy", "librosa"),
            "load_average_before": round(os.getloadavg()[0], 1),
            "batch": BATCH,
            "loader": {
                "avpipe_samples_per_second": round(own, 1),
                "paper_style_samples_per_second": round(peer, 1),
                "times": round(own / peer, 1),
            },
            "step": {"network": "unet, log frequency", **network_steps(net, bank)},
            "parameters": sum(p.numel() for p in net.parameters()),
            "peak_memory_mb": _peak_megabytes(),
        },
    )


def _peak_megabytes() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
