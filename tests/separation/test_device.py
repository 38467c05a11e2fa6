"""Where separators run, on machines with and without GPUs."""

import pytest
import torch

from avpipe.errors import UsageError
from avpipe.separation.device import pick


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A machine with so many GPUs for PyTorch, whatever the environment names."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(request.param))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)


@pytest.mark.parametrize(
    ("gpus", "asked", "devices", "picked"),
    [
        (0, "auto", 1, "cpu"),
        (0, "auto", 2, "cpu"),
        (0, "cpu", 2, "cpu"),
        (1, "auto", 1, "cuda"),
        (2, "cuda", 2, "cuda"),
        (2, "cpu", 1, "cpu"),
    ],
    indirect=["gpus"],
)
def test_auto_is_what_pytorch_can_use(gpus: None, asked: str, devices: int, picked: str) -> None:
    assert pick(asked, devices) == picked


@pytest.mark.parametrize(
    ("gpus", "asked", "devices", "message"),
    [
        (0, "cuda", 1, "a GPU was asked for, this machine has 0 that PyTorch can use: ask for"),
        (1, "cuda", 2, "2 GPUs were asked for, this machine has 1 that PyTorch can use"),
        (1, "auto", 2, "2 GPUs were asked for, this machine has 1 that PyTorch can use"),
        (1, "tpu", 1, "device tpu: must be auto, cpu, cuda"),
    ],
    indirect=["gpus"],
)
def test_what_is_not_there_is_one_line(gpus: None, asked: str, devices: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pick(asked, devices)
