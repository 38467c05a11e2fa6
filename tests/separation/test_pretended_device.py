"""Training, evaluation and use on a pretended CUDA device: nothing mixes what lies here and there,
and a step is begun without waiting for the one before."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from avpipe import separation
from avpipe.errors import AvpipeError
from avpipe.separation import bss, loop, metrics, mixing, runs, stems, trainer
from avpipe.separation.augment import Augmentation, Change
from avpipe.separation.data import AudioBank
from avpipe.separation.evaluate import evaluate
from avpipe.separation.interface import Context, Trainable
from avpipe.separation.losses import loss
from avpipe.separation.mixing import Mixing
from avpipe.separation.train import Config, train
from pretended_cuda import Resident, pretended
from sound_dataset import RATE, pack_sound
from thin_networks import make_thin

CLASSES = ("flute", "tuba", "viola")
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "appearance": ("appearance", {"attention": True, "sound": "unet"}),
    "appearance-classifier": ("appearance", {"embedding": "classifier"}),
    "appearance-category": ("appearance", {"embedding": "category", "sound": "unet"}),
    "llcp": ("llcp", {}),
    "mhunet": ("mhunet", {"conditioning": "film-bottleneck"}),
    "mhunet-motion": ("mhunet", {"conditioning": "film-encoder", "context": "motion"}),
    "music-gesture": ("music-gesture", {"topology": "face68", "shift": 1.0}),
    "sop": ("sop", {"sound": "unet5"}),
    "unet-labels": ("unet", {"conditioning": "label-multiply", "activation": "softmax"}),
    "unet-visual": ("unet", {"conditioning": "film-final", "context": "visual"}),
    "unet-recognised": ("unet", {"conditioning": "label-multiply", "context": "visual"}),
    "wave-unet": ("wave-unet", {}),
    "ynet": ("ynet", {"visual": "mouths"}),
    "ynet-faces": ("ynet", {"visual": "faces"}),
    "ynet-keypoints": ("ynet", {"visual": "keypoints"}),
    "ynet-none": ("ynet", {"visual": "none"}),
}
FRAMES = {"llcp": 256, "appearance": 128, "appearance-category": 128}
"""Of the spectrograms of networks that do not take as few as the others."""
BY_INSTRUMENT = {"channels": (4, 4, 4), "classes": CLASSES, "dropout": 0.0}
MIX = Mixing(combine="mean", gain=(0.5, 1.5), peak=True)


def network(name: str) -> Trainable:
    family, options = NETWORKS[name]
    torch.manual_seed(0)
    made = separation.create(
        family, **options, **(BY_INSTRUMENT if family in ("unet", "mhunet") else {})
    )
    assert isinstance(made, Trainable)
    if family != "wave-unet":
        samples = FRAMES.get(name, 64) * made.front_end.hop - 1
        made.front_end = replace(made.front_end, samples=samples)
    return made


def noise(window: int) -> AudioBank:
    """A bank of two segments of every class."""
    count, length = 2 * len(CLASSES), window + 1_000
    random = np.random.default_rng(0)
    return AudioBank(
        samples=torch.from_numpy(random.integers(-9_000, 9_000, count * length, np.int16)),
        starts=np.arange(count) * length,
        lengths=np.full(count, length),
        classes=np.repeat(np.arange(len(CLASSES)), 2),
        recordings=tuple(map(str, range(count))),
        start_frames=(0,) * count,
        rows=tuple(range(count)),
        names=CLASSES,
        sample_rate=RATE,
        window=window,
        dropped={},
    )


def sights() -> Context:
    """What is seen of two mixtures of two, in the host's memory."""
    maker = torch.Generator().manual_seed(0)

    def pictures(count: int, side: int) -> Tensor:
        shape = (2, 2, count, 3, side, side)
        return torch.randint(0, 256, shape, generator=maker, dtype=torch.uint8)

    points = torch.rand(2, 2, 8, 68, 3, generator=maker)
    return Context(None, pictures(2, 64), points, pictures(8, 16), pictures(8, 32))


def step(net: Trainable, bank: AudioBank, device: str) -> tuple[Tensor, Any]:
    """A step of the training, as `loop` makes it: its loss, and its batch."""
    drawn = mixing.draw(bank, MIX, 2, seed=0, step=0)
    batch = mixing.batch(bank, drawn, MIX, device)
    batch = batch._replace(context=batch.context.merged(sights().to(device)))
    example = net.example(batch.mixture, batch.sources, batch.context)
    optimiser = torch.optim.SGD(net.parameters(), 1e-3)
    optimiser.zero_grad()
    torch.manual_seed(0)
    logits = net(example.mixture, batch.context)
    value = loss(net, logits.float(), example, batch.context, "mse")
    torch.autograd.backward(value)
    optimiser.step()
    return value.detach(), batch


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n == "llcp" else ()) for n in NETWORKS]
)
def test_every_separator_learns_and_separates_as_on_the_cpu(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_thin(monkeypatch)
    here = network(name)
    bank = noise(here.front_end.samples)
    expected, _ = step(here.train(), bank, "cpu")
    with pretended(monkeypatch) as device:
        there = network(name).to("cuda").train()
        on_device = bank.to("cuda")
        device.waits.clear()
        value, batch = step(there, on_device, "cuda")
        assert not device.waits
        assert isinstance(value, Resident)
        assert float(value) == pytest.approx(float(expected), rel=1e-3)
        there.eval()
        found = stems.stems(there, batch.mixture, batch.sources, batch.context)
        assert all(isinstance(tensor, Resident) for tensor in found)
        if there.locates:
            assert isinstance(there.locations(batch.context.get("frames")), Resident)


def test_clips_are_changed_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    how = Augmentation(1, 5.0, 20.0, 3.0, 0.1, -40.0)
    bank = noise(how.reach(4_096, RATE))
    drawn = mixing.draw(bank, MIX, 2, seed=0, step=0)

    def change() -> Change:
        return Change(how, 4_096, RATE, [np.random.default_rng(n) for n in range(2)])

    expected = mixing.batch(bank, drawn, MIX, "cpu", (bank, drawn), change())
    with pretended(monkeypatch) as device:
        on_device = bank.to("cuda")
        device.waits.clear()
        besides = (bank, drawn)  # what has no room there comes from the host's memory
        found = mixing.batch(on_device, drawn, MIX, "cuda", besides, change())
        assert not device.waits
        torch.testing.assert_close(found.mixture.cpu(), expected.mixture)


def test_ratios_of_tensors_of_the_device_are_those_of_arrays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)
    references = random.standard_normal((2, 4_000))
    references[1, 100:] = 0
    estimates = references[::-1] * 0.3 + references + 0.1 * random.standard_normal((2, 4_000))
    with pretended(monkeypatch):
        signals = [torch.from_numpy(x.copy()).to("cuda") for x in (references, estimates)]
        found = metrics.bss_eval(*signals, filter_length=32)
        si_sdr = metrics.si_sdr(*signals)
    expected = metrics.bss_eval(references, estimates, filter_length=32)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-8)
    np.testing.assert_allclose(si_sdr, metrics.si_sdr(references, estimates))


def test_a_training_on_a_device_is_resumed_scored_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of a separator that sees, by the trainer's own loop."""
    make_thin(monkeypatch)
    random = np.random.default_rng(0)
    sound = {
        f"{name}-{part}": (name, part, random.integers(-9_000, 9_000, 7 * RATE).astype(np.int16))
        for name in ("flute", "tuba")
        for part in ("train", "validation")
    }
    data = pack_sound(tmp_path / "data", sound, shades=dict.fromkeys(sound, 60))
    changes = {
        "batch": 2, "most": 2, "steps": 2, "validate_steps": 1, "validation_mixtures": 2,
        "example_steps": 1, "average": 0.5,
    }  # fmt: skip
    config = Config(
        data=data, out=tmp_path / "run", recipe="short", separator="sop", changes=changes,
        options={"sound": "unet5"}, device="cuda", precision="bf16-mixed",
    )  # fmt: skip
    plain, ratios, scored = loop.loss, bss.evaluate, []

    def scored_on_the_device(references, estimates, taps):
        scored.append(getattr(references, "is_cuda", False) and estimates.is_cuda)
        return ratios(references, estimates, taps)

    monkeypatch.setattr(bss, "evaluate", scored_on_the_device)
    with pretended(monkeypatch, devices=2):
        whole = train(replace(config, out=tmp_path / "whole"))
        train(replace(config, changes={**changes, "steps": 1}))
        resumed = train(replace(config, changes={"steps": 2}, resume=True))
        assert resumed.validation_loss == whole.validation_loss
        report = evaluate([config.out, "oracle"], data, mixtures=1, wiener=True, device="cuda")
        soundfile.write(tmp_path / "clip.wav", sound["flute-train"][2], RATE)
        names = ["flute", "tuba", "accompaniment"]
        look = runs.read(config.out).look(runs.load(config.out)[0])
        found = separation.separate(
            tmp_path / "clip.wav", config.out, names, exact_sum=True, wiener=True, device="cuda",
            scene=scene(data, look),
        )  # fmt: skip
        monkeypatch.setattr(loop, "loss", lambda *given: plain(*given) * float("nan"))
        with pytest.raises(AvpipeError, match="loss of step 0 is not a number: its batch is in"):
            train(replace(config, out=tmp_path / "bad"))
    bad = torch.load(tmp_path / "bad" / "bad-batch-0.pt", weights_only=True)
    torch.testing.assert_close(bad["sources"].sum(1), bad["mixture"])
    assert len(report.summaries) == 3
    assert scored
    assert all(scored)
    np.testing.assert_allclose(sum(found.stems.values()), found.mixture, atol=1e-5)
    kept = runs.read_checkpoint(config.out / "checkpoints" / "last.ckpt")["state_dict"]
    assert not any(isinstance(tensor, Resident) for tensor in kept.values())
    assert "Tensor Cores" not in capfd.readouterr().err


def scene(data: Path, look: Any) -> Any:
    """Two recordings side by side."""
    from avpipe import open_dataset
    from avpipe.separation import data as banks
    from avpipe.separation.sight import Sight

    dataset = open_dataset(data)
    bank = banks.load(dataset, "train", (), RATE, RATE)
    return Sight.load(dataset, bank, look).scene([0, 1], bank.starts.tolist())


def test_each_process_of_several_has_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trainer.own("cuda", 2) == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert trainer.own("cuda", 2) == torch.device("cuda", 1)
    assert trainer.own("cuda", 1) == torch.device("cuda", 0)
    assert trainer.own("cpu", 2) == torch.device("cpu")


def test_nothing_of_two_devices_is_mixed_and_no_stream_reads_ahead_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pretence refuses what a device refuses: else the tests above show nothing."""
    with pretended(monkeypatch) as device:
        here, there = torch.ones(3), torch.ones(3, device="cuda")
        for wrong in (
            lambda: here + there,
            lambda: torch.cat([there, here]),
            lambda: here[there.long()],
            lambda: here.add_(there[0]),
        ):
            with pytest.raises(RuntimeError, match="same device"):
                wrong()
        for wrong in (lambda: np.asarray(there), there.numpy):
            with pytest.raises(TypeError, match="numpy"):
                wrong()
        assert (there + here[0] + there[here.long()]).tolist() == [3, 3, 3]
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            ahead = there * 2
        with pytest.raises(RuntimeError, match="has not waited"):
            ahead + 1
        torch.cuda.current_stream().wait_stream(stream)
        assert (ahead + 1).tolist() == [3, 3, 3]
        host = torch.zeros(3, pin_memory=True)
        host.copy_(ahead, non_blocking=True)
        assert host.isnan().all()
        torch.cuda.synchronize()
        assert host.tolist() == [2, 2, 2]
        sent = host.to("cuda", non_blocking=True)
        host.zero_()
        with pytest.raises(AssertionError, match="overwritten"):
            torch.cuda.synchronize()
        with pytest.raises(RuntimeError, match="capturing"), device.capture(torch.cuda.CUDAGraph()):
            sent.sum().item()
