"""Lightning's trainer as it is used here, and its log."""

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from avpipe.separation.device import Device
from avpipe.separation.journal import AtomicCheckpoints, Journal


def make(
    out: Path,
    keeper: Journal,
    device: Device,
    devices: int,
    precision: Literal["32-true", "bf16-mixed"],
) -> lightning.Trainer:
    """A trainer that validates, saves and ends when the journal says so.

    Args:
        out: folder of the training.
        keeper: writes there.
        device: to train on.
        devices: how many of them; each has a process.
        precision: of the networks.
    """
    return lightning.Trainer(
        accelerator=device,
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        precision=precision,
        max_epochs=-1,  # the journal ends it, after a last validation
        callbacks=[keeper],
        plugins=[AtomicCheckpoints()],
        logger=TensorBoardLogger(out, name="tensorboard", version=""),
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def own(device: Device, devices: int) -> torch.device:
    """The device of this process: of several each has a GPU, by the number that Lightning gives."""
    if device == "cpu":
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) if devices > 1 else 0)


@contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's remarks on hardware and hints: what matters is raised or printed here."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        try:
            yield
        finally:
            log.setLevel(level)


@contextmanager
def signals_kept() -> Iterator[None]:
    """What SIGTERM does in this process is afterwards what it was before.

    Lightning's handler, which ignores it outside a training, stays where one is interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
