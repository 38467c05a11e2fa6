"""How fast training data is made, how much of a step it takes, and how long the papers' trainings
take.

    OMP_NUM_THREADS=1 PYTHONPATH=pipeline python benchmarks/train.py [DATASET] [--files FOLDER]
                      [--device cuda] [--recipes a,b] [--batch N] [--turn 4]
                      [--options bf16-mixed,compile]

DATASET is a built dataset at 11,025 Hz; without one the bank holds `--hours` of noise in 13 classes
(all of Solos is 65 hours), which costs the same. FOLDER holds sound files for the peer, at any one
rate: they are joined to wav files as long as the mean recording of Solos.

- `loader`: two-source samples a second, from resident sound to the network's input and target.
  Peer (with --files): an item as the loaders of the papers' code make it: a recording's wav file
  decoded per source, librosa's STFT of the mixture and of every source with magnitude and phase,
  log-frequency warp and masks. It is measured as the papers' code runs it, in as many worker
  processes as cores, and called directly. Beside them: the Fourier transforms of two sources alone,
  which avpipe replaces on a CPU by matrix products (1,022 samples are 2 x 7 x 73), and what is left
  to the CPU where a GPU makes the spectrograms: clips drawn and cut, against files decoded and cut.
- `recipes`: steps a second with batches from the bank, with one constant example, and of examples
  without the network; memory; hours of the whole schedule at that rate. Batches are the recipe's,
  on a CPU of 4 mixtures at most. Pictures of separators that see are random and stay on the device:
  their decoding is not part of this.

What is compared takes turns. On the CPU rates are per second of this process' CPU time, so that
what else runs on the machine counts little, and are for one process of OMP_NUM_THREADS threads; on
CUDA they are per second of wall time. Needs torch and numpy; librosa and soundfile for the peer.
All that is at 11,025 Hz, with a GPU of 80 GB:

    ... --device cuda --hours 65 --recipes sop-music,sop-unet5-solos,single-image-resnet18-unet,
        solos-paper,released-code,thesis-exp-1,thesis-exp-4,thesis-exp-9,thesis-exp-12
"""

import argparse
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from avpipe import separation
from avpipe.separation import data, memory, mixing, runs, separators
from avpipe.separation.data import AudioBank
from avpipe.separation.interface import Trainable
from avpipe.separation.losses import loss
from avpipe.separation.mixing import Batch, Mixing
from avpipe.separation.recipe import Recipe
from avpipe.separation.recipes import recipe
from machine import machine, save

RATE, SAMPLES, CLASSES = 11_025, 65_535, 13
RECORDING_SECONDS = 317
"""Of the mean recording of Solos: 5,976,615 frames at 25 a second, of 754 videos."""
TURNS = 5
PAIR = Mixing(combine="mean", gain=(0.5, 1.5), categories="any")
PAIRS = 8
"""Samples in a batch of the loader."""
RECIPES = ("short", "thesis-exp-4")
BATCH_ON_CPU = 4
"""At most, unless another is asked for: 16 septets take thesis-exp-4 17 GB and half a minute."""
Call = Callable[[int], object]
IN_WORKERS = "paper_style_in_workers"


class PaperLoader:
    """One item: two sources from files, their mixture, log-frequency magnitudes and masks."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __getitem__(self, i: int) -> tuple[Any, ...]:
        sources = [clip / 2 for clip in self.clips(i)]
        mixture, phase = self._spectrogram(np.sum(sources, 0))
        masks = [(self._spectrogram(s)[0] > 0.5 * mixture).float() for s in sources]
        return mixture, phase, torch.stack(masks)

    def __len__(self) -> int:
        return 2**31

    def clips(self, i: int) -> list[Any]:
        """The two sources of an item."""
        random = np.random.default_rng(i)
        return [self._source(random) for _ in range(2)]

    def _source(self, random: np.random.Generator) -> Any:
        import librosa

        path = self.files[random.integers(len(self.files))]
        sound, _ = librosa.load(path, sr=None)
        first = random.integers(len(sound) - SAMPLES)
        return np.clip(sound[first : first + SAMPLES] * random.uniform(0.5, 1.5), -1, 1)

    def _spectrogram(self, sound: Any) -> tuple[Tensor, Tensor]:
        import librosa

        spectrum = librosa.stft(sound, n_fft=1022, hop_length=256, pad_mode="reflect")
        magnitude = torch.from_numpy(np.abs(spectrum))[None, None]
        y = torch.linspace(-1, 1, 256)
        rows = ((21 ** ((y + 1) / 2) - 11) / 10)[:, None].expand(256, 256)
        grid = torch.stack([torch.linspace(-1, 1, 256).expand(256, 256), rows], -1)[None]
        warped = torch.nn.functional.grid_sample(magnitude, grid, align_corners=True)
        return warped[0, 0], torch.from_numpy(np.angle(spectrum))


def recordings(sounds: Path, out: Path) -> list[Path]:
    """The sound files in a folder, one after the other, as wav files of `RECORDING_SECONDS`."""
    import soundfile

    found = sorted(p for p in sounds.rglob("*") if p.suffix in (".wav", ".flac"))
    parts = [soundfile.read(path, dtype="int16", always_2d=True) for path in found]
    if len({rate for _, rate in parts}) != 1:
        raise SystemExit(f"{sounds}: sound files of one rate wanted, to join them")
    joined, rate = np.concatenate([sound[:, 0] for sound, _ in parts]), parts[0][1]
    length = RECORDING_SECONDS * rate
    whole = np.resize(joined, (-(-len(joined) // length), length))
    paths = [out / f"{number}.wav" for number in range(len(whole))]
    for path, sound in zip(paths, whole, strict=True):
        soundfile.write(path, sound, rate)
    return paths


def rates(calls: Mapping[str, Call], device: str, turn: float) -> dict[str, float]:
    """Calls a second of each, by turns of so many seconds, after two to warm up.

    Worker processes of `IN_WORKERS` work ahead while others have their turn: all their time counts.
    """
    counts, seconds = dict.fromkeys(calls, 0), dict.fromkeys(calls, 0.0)
    for call in calls.values():
        call(0)
        call(1)
    ahead = _of_workers()
    for _ in range(TURNS):
        for name, call in calls.items():
            start, deadline = _now(device), time.perf_counter() + turn
            while time.perf_counter() < deadline:
                call(counts[name])
                counts[name] += 1
            seconds[name] += _now(device) - start
    if IN_WORKERS in calls:
        seconds[IN_WORKERS] += _of_workers() - ahead
    return {name: counts[name] / seconds[name] for name in calls}


def _of_workers() -> float:
    """CPU seconds of the processes that this one started."""
    ticks = 0
    for child in multiprocessing.active_children():
        numbers = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(numbers[11]) + int(numbers[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _now(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def noise(hours: float) -> AudioBank:
    """A bank of noise: as many segments of half a minute of every class."""
    each = max(1, round(hours * 120 / CLASSES))
    count = each * CLASSES
    lengths = np.full(count, 30 * RATE, np.int64)
    part = np.random.default_rng(0).integers(-9_000, 9_000, 2**24, dtype=np.int16)
    samples = torch.from_numpy(np.resize(part, int(lengths.sum())))
    names = tuple(map(str, range(CLASSES)))
    return AudioBank(
        samples=samples,
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        classes=np.repeat(np.arange(CLASSES), each),
        recordings=tuple(map(str, range(count))),
        start_frames=(0,) * count,
        rows=tuple(range(count)),
        names=names,
        sample_rate=RATE,
        window=SAMPLES,
        dropped={},
    )


def bank_of(dataset: Path | None, hours: float, device: str) -> AudioBank:
    """What is trained on, on the device if it fits."""
    if dataset is None:
        bank = noise(hours)
    else:
        from avpipe import open_dataset

        bank = data.load(open_dataset(dataset), "train", (), RATE, SAMPLES)
    return bank.to(data.resident_device(bank, torch.device(device)))


def loader(bank: AudioBank, files: list[Path], device: str, turn: float) -> dict[str, float]:
    """Samples a second of ours and, if there are files, of the peer."""
    net = separation.create("sop", sound="unet5", mask="binary").to(device)
    assert isinstance(net, Trainable)
    runs.apply_recipe(net, PAIR.clip)

    def ours(step: int) -> None:
        drawn = mixing.draw(bank, PAIR, size, 0, step)
        batch = mixing.batch(bank, drawn, PAIR, device)
        net.example(batch.mixture, batch.sources, batch.context)

    def clips(step: int) -> None:
        bank.windows(mixing.draw(bank, PAIR, size, 0, step).first_samples)

    size = PAIRS if device == "cpu" else 32 * PAIRS
    frames = torch.randn(size * 2 * 256, 1022, device=device)
    calls: dict[str, Call] = {
        "avpipe": ours,
        "avpipe_clips_alone": clips,
        "transforms_alone": lambda _: torch.fft.rfft(frames),
    }
    sizes = dict.fromkeys(calls, size)
    if files:
        items = PaperLoader(files)
        cores = len(os.sched_getaffinity(0))
        batches = iter(DataLoader(items, PAIRS, num_workers=cores))  # type: ignore[arg-type]
        calls |= {
            "paper_style": items.__getitem__,
            "paper_style_clips_alone": items.clips,
            IN_WORKERS: lambda _: next(batches),
        }
        sizes |= {"paper_style": 1, "paper_style_clips_alone": 1, IN_WORKERS: PAIRS}
    found = {name: rate * sizes[name] for name, rate in rates(calls, device, turn).items()}
    result = {f"{name}_samples_per_second": round(rate, 1) for name, rate in found.items()}
    if files:
        result["times_paper_style_in_workers"] = round(found["avpipe"] / found[IN_WORKERS], 1)
        result["times_paper_style"] = round(found["avpipe"] / found["paper_style"], 1)
        alone = found["avpipe_clips_alone"] / found["paper_style_clips_alone"]
        result["times_clips_alone"] = round(alone)
    return result


def training(
    name: str, bank: AudioBank, device: str, size: int | None, options: list[str], turn: float
) -> dict[str, Any]:
    """What a recipe's steps cost."""
    chosen = recipe(name)
    most = BATCH_ON_CPU if device == "cpu" else chosen.batch
    count, how = size or min(chosen.batch, most), chosen.mixing(chosen.most)
    net = separation.create(chosen.separator, **_options(chosen, bank))
    assert isinstance(net, Trainable)
    runs.apply_recipe(net, chosen.clip)
    net.to(device).train()
    if "compile" in options:
        net.compile()
    optimiser = torch.optim.SGD(net.parameters(), 1e-6)
    shape = (1, 1, chosen.pictures, 3, 224, 224)
    pictures = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)

    def example(step: int) -> tuple[Batch, Any]:
        drawn = mixing.draw(bank, how, count, 0, step)
        batch = mixing.batch(bank, drawn, how, device)
        if "frames" in net.needs:
            seen = pictures.expand(*batch.sources.shape[:2], -1, -1, -1, -1)
            batch = batch._replace(context=batch.context._replace(frames=seen))
        return batch, net.example(batch.mixture, batch.sources, batch.context)

    def learn(batch: Batch, target: Any) -> None:
        optimiser.zero_grad()
        mixed = "bf16-mixed" in options
        with torch.autocast(device, torch.bfloat16) if mixed else nullcontext():
            logits = net(target.mixture, batch.context)
        torch.autograd.backward(loss(net, logits.float(), target, batch.context, chosen.loss))
        optimiser.step()

    constant = example(0)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    found = rates(
        {
            "from_the_bank": lambda step: learn(*example(step)),
            "of_one_constant_example": lambda _: learn(*constant),
            "of_examples_alone": example,
        },
        device,
        turn,
    )
    whole, still, alone = found.values()
    return {
        "separator": chosen.separator,
        "options": options,
        "sources": how.most,
        "batch": count,
        **{f"steps_per_second_{key}": round(value, 3) for key, value in found.items()},
        "input_over_network": round(alone / still, 1),
        "share_of_constant_rate": round(whole / still, 3),
        "samples_per_second": round(whole * count, 2),
        "peak_memory_mb": _peak_megabytes(device),
        "parameters": sum(p.numel() for p in net.parameters()),
        "schedule_samples": chosen.steps * chosen.batch,
        "schedule_hours": round(chosen.steps * chosen.batch / (whole * count) / 3600, 1),
    }


def _options(chosen: Recipe, bank: AudioBank) -> dict[str, Any]:
    """Of the separator: the recipe's, for the classes of the bank, with nothing to download."""
    known = separators.module(chosen.separator).Config
    meant = {"pretrained": "none", "classes": bank.names}
    return {**chosen.options, **{k: v for k, v in meant.items() if hasattr(known, k)}}


def _peak_megabytes(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() // 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--files", type=Path)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--batch", type=int, help="mixtures a step, for every recipe")
    parser.add_argument("--options", default="")
    parser.add_argument("--turn", type=float, default=4.0, help="seconds")
    arguments = parser.parse_args()
    device, options = arguments.device, [o for o in arguments.options.split(",") if o]
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))))
    busy = round(os.getloadavg()[0], 1)
    kept = memory.kept() if device == "cpu" else nullcontext()
    with TemporaryDirectory() as folder, kept:
        files = recordings(arguments.files, Path(folder)) if arguments.files else []
        _measure(arguments, files, device, options, busy)


def _measure(
    arguments: argparse.Namespace, files: list[Path], device: str, options: list[str], busy: float
) -> None:
    """Everything, in memory that is kept as a training keeps it."""
    bank = bank_of(arguments.dataset, arguments.hours, device)
    save(
        f"train_{device}",
        {
            "what": "How fast training data is made, and how fast separators train, in one run.",
            "machine": machine("torch", "numpy", "librosa"),
            "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
            "load_average_before": busy,
            "bank": {
                "from": "dataset" if arguments.dataset else "noise",
                "hours": round(bank.samples.numel() / RATE / 3600, 2),
                "on": bank.samples.device.type,
            },
            "loader": loader(bank, files, device, arguments.turn),
            "recipes": {
                name: training(name, bank, device, arguments.batch, options, arguments.turn)
                for name in arguments.recipes.split(",")
                if name
            },
        },
    )


if __name__ == "__main__":
    main()
