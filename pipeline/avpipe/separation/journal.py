"""What a training writes while it runs: progress, logs, curves, checkpoints, examples."""

import csv
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import soundfile
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from avpipe.separation import plots, runs
from avpipe.separation.loop import Training
from avpipe.separation.stems import stems

COLUMNS = (
    "step",
    "sources",
    "rate",
    "train_loss",
    "validation_loss",
    "validation_si_sdr",
    "samples_per_second",
    "seconds",
)


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all, and hold data, not code."""

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        """Replaces `path` in one step."""
        runs.save_checkpoint(Path(path), checkpoint)

    def load_checkpoint(self, path: Any, *_: Any, **__: Any) -> dict[str, Any]:
        """See `runs.read_checkpoint`."""
        return runs.read_checkpoint(Path(path))


class Journal(lightning.Callback):
    """Keeps the folder of a training up to date after every validation, and ends it in time."""

    def __init__(self, folder: Path, seconds: float | None) -> None:
        self.folder = folder
        self.seconds = seconds
        """Budget of this call; None: none."""
        self.stopped = "steps"
        """Why the training ended: steps, budget or no improvement."""
        self.rows = read_rows(folder / "metrics.csv")
        self._started = self._interval_started = time.monotonic()
        self._validating = 0.0
        self._progress: Progress | None = None
        self._best = False
        """Whether the last validation was the best so far."""

    def on_train_start(
        self, trainer: lightning.Trainer, training: lightning.LightningModule
    ) -> None:
        """Starts the clock and the progress line; forgets rows that came after the checkpoint."""
        assert isinstance(training, Training)
        self._started = self._interval_started = time.monotonic()
        self.rows = [row for row in self.rows if row["step"] <= trainer.global_step]
        if training.global_step >= training.recipe.steps:
            self._stop(trainer, "steps")
        if trainer.is_global_zero:
            text = TextColumn("{task.fields[text]}")
            console = Console(stderr=True)
            bar = console.is_terminal  # elsewhere the line of every validation is enough
            self._progress = Progress(BarColumn(), text, console=console, disable=not bar)
            self._progress.start()
            self._progress.add_task("", total=training.recipe.steps, text="")

    def on_train_batch_end(
        self, trainer: lightning.Trainer, training: lightning.LightningModule, *_: object
    ) -> None:
        """Progress, and the end: a stop asked for here comes after a validation."""
        assert isinstance(training, Training)
        if self._progress is not None:
            text = self._text(training)
            task = self._progress.task_ids[0]
            self._progress.update(task, completed=training.global_step, text=text)
        if training.global_step >= training.recipe.steps:
            self._stop(trainer, "steps")
        elif self.seconds is not None and time.monotonic() - self._started > self.seconds:
            self._stop(trainer, "budget")

    def on_validation_start(
        self, trainer: lightning.Trainer, training: lightning.LightningModule
    ) -> None:
        """Validation is not training speed."""
        self._validating = time.monotonic()

    def on_validation_end(
        self, trainer: lightning.Trainer, training: lightning.LightningModule
    ) -> None:
        """Logs, and what the schedule makes of it."""
        assert isinstance(training, Training)
        row = self._row(trainer, training)
        # Every process validates the same mixtures, so that all of them come to the same verdict.
        self._best, event = training.schedule.update(trainer.global_step, row["validation_loss"])
        if event == "stop":
            self._stop(trainer, "no improvement")
        self._interval_started = time.monotonic()
        self.rows.append(row)
        if not trainer.is_global_zero:
            return
        write_rows(self.rows, self.folder / "metrics.csv")
        plots.curves(self.rows, self.folder / "curves.png")
        if trainer.logger is not None:
            trainer.logger.log_metrics(row, step=trainer.global_step)
        if self._progress is not None:
            line = _line(row, event)
            self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)
        if trainer.global_step % training.recipe.example_steps < training.recipe.validate_steps:
            write_example(training, self.folder / "examples" / f"step-{trainer.global_step:07d}")

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, training: lightning.LightningModule
    ) -> None:
        """Checkpoints, when all counters stand after the validation.

        The best one first: the last one knows of it, and whoever is killed between the two goes on
        from the last one before.
        """
        folder = self.folder / runs.CHECKPOINTS
        for name in ("best", "last") if self._best else ("last",):
            trainer.save_checkpoint(folder / f"{name}.ckpt", weights_only=False)

    def on_exception(
        self,
        trainer: lightning.Trainer,
        training: lightning.LightningModule,
        exception: BaseException,
    ) -> None:
        """An interrupted training can go on from where it stood."""
        if self._progress is not None:
            self._progress.stop()
        if isinstance(exception, KeyboardInterrupt):
            path = self.folder / runs.CHECKPOINTS / "last.ckpt"
            trainer.save_checkpoint(path, weights_only=False)

    def on_train_end(self, trainer: lightning.Trainer, training: lightning.LightningModule) -> None:
        """Leaves the terminal as it was."""
        if self._progress is not None:
            self._progress.stop()

    def _stop(self, trainer: lightning.Trainer, why: str) -> None:
        trainer.should_stop = True
        self.stopped = why

    def _row(self, trainer: lightning.Trainer, training: Training) -> dict[str, float]:
        steps = trainer.global_step - (self.rows[-1]["step"] if self.rows else 0)
        seconds = max(self._validating - self._interval_started, 1e-9)
        earlier = self.rows[-1]["seconds"] if self.rows else 0.0
        return {
            "step": trainer.global_step,
            "sources": training.schedule.state.sources,
            "rate": training.recipe.rate * training.schedule.rate(trainer.global_step),
            "train_loss": training.validated.get("train_loss", float("nan")),
            "validation_loss": training.validated["validation_loss"],
            "validation_si_sdr": training.validated["validation_si_sdr"],
            "samples_per_second": steps * training.recipe.batch / seconds,
            "seconds": earlier + time.monotonic() - self._interval_started,
        }

    def _text(self, training: Training) -> str:
        assert self._progress is not None
        speed = self._progress.tasks[0].speed or 0.0
        step, steps = training.global_step, training.recipe.steps
        rest = timedelta(seconds=round((steps - step) / speed)) if speed else "-"
        return f"step {step}/{steps}  {speed * training.recipe.batch:.1f} samples/s  ETA {rest}"


def read_rows(path: Path) -> list[dict[str, float]]:
    """The rows of a `metrics.csv`; none if it is not there."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def write_rows(rows: list[dict[str, float]], path: Path) -> None:
    """Replaces a `metrics.csv`."""
    lines = [",".join(COLUMNS)]
    lines += [",".join(f"{row[name]:.9g}" for name in COLUMNS) for row in rows]
    runs.replace_file(path, "\n".join(lines) + "\n")


def write_example(training: Training, folder: Path) -> None:
    """The first validation mixture: its sources, their estimates and a picture of all."""
    separator = training.result
    mode = separator.training
    separator.eval()
    batch = training.make_batch(0, validation=True)
    with torch.no_grad():
        found = stems(separator, batch.mixture, batch.sources, batch.context)
    separator.train(mode)
    names = training.validation_material.bank.names
    signals = {"mixture": batch.mixture[0]}
    for place in found.present[0].nonzero().flatten().tolist():
        name = f"{place}-{names[int(found.classes[0, place])]}"
        signals[f"{name}-true"] = found.references[0, place]
        signals[f"{name}-estimate"] = found.estimates[0, place]
    arrays = {title: signal.float().cpu().numpy() for title, signal in signals.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for title, signal in arrays.items():
        soundfile.write(folder / f"{title}.wav", signal, separator.front_end.sample_rate)
    plots.spectrograms(arrays, separator.front_end.sample_rate, folder / "spectrograms.png")


def _line(row: dict[str, float], event: str | None) -> str:
    return (
        f"step {row['step']:.0f}  {row['sources']:.0f} sources  loss {row['train_loss']:.4f}"
        f"  validation {row['validation_loss']:.4f}, SI-SDR {row['validation_si_sdr']:.2f} dB"
        f"  {row['samples_per_second']:.1f} samples/s" + (f"  -> {event}" if event else "")
    )
