"""What every separator in the folder must do; the registry is walked, so new ones are held too."""

import dataclasses
import subprocess
import sys

import pytest
import torch

from avpipe import separation
from avpipe.errors import ToolMissing, UsageError
from avpipe.separation import separators
from avpipe.separation.interface import Context, Trainable

SMALL = {
    "appearance": {"frame": "resnet18", "sound": "unet"},
    "sop": {"sound": "unet5"},
    "music-gesture": {"topology": "face68"},
    "mhunet": {"classes": ("a", "b", "c"), "channels": (2, 3, 4, 5)},
    "unet": {"classes": ("a", "b", "c"), "channels": (2, 3, 4, 5)},
    "wave-unet": {"classes": ("a", "b", "c")},
}
"""Options that make a family's networks small enough to run here."""

SOURCES = 2
FRAMES = 128
"""Of the spectrograms; a multiple of what the networks need that take other lengths than theirs."""
PIXELS = 64
"""Of the frames. A ResNet's last maps are a 32nd of it: at 32 its batch norms would see one value
a frame, and gradients through the statistics of two values explode."""
SLOW = {"llcp"}
"""Families whose networks cannot be made small enough to be quick."""
OWN_LENGTH = {"llcp", "wave-unet"}
"""Families that only take the clips that they ask for."""


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
        for name in separation.names()
    ]
)
def net(request):
    torch.manual_seed(0)
    made = separation.create(request.param, **SMALL.get(request.param, {}))
    made.clip = made.front_end.samples
    if request.param not in OWN_LENGTH:
        made.clip = FRAMES * made.front_end.hop - 1
    return made


def batch(net):
    sources = 0.1 * torch.randn(1, SOURCES, net.clip)
    context = Context(
        categories=torch.tensor([[0, 2]]),
        frames=torch.randint(0, 256, (1, SOURCES, 1, 3, PIXELS, PIXELS), dtype=torch.uint8),
        keypoints=torch.rand(1, SOURCES, 8, 68, 3),
        mouths=torch.randint(0, 256, (1, SOURCES, 8, 3, 16, 16), dtype=torch.uint8),
        faces=torch.randint(0, 256, (1, SOURCES, 8, 3, 32, 32), dtype=torch.uint8),
        references=sources,
    )
    return sources.sum(1), sources, context


def test_stems_have_the_mixtures_length_and_are_finite(net):
    mixture, _, context = batch(net)
    stems = net.eval().separate(mixture, context)
    count = len(net.classes) if net.output == "classes" else SOURCES
    assert stems.shape == (1, count, mixture.shape[1])
    assert torch.isfinite(stems).all()
    assert not stems.requires_grad


def test_only_what_is_declared_as_needed_is_read(net):
    mixture, _, context = batch(net)
    allowed = Context(**{need: context.get(need) for need in net.needs})
    torch.testing.assert_close(
        net.eval().separate(mixture, allowed), net.separate(mixture, context)
    )
    for need in net.needs:
        with pytest.raises(UsageError, match=f"needs {need}"):
            net.separate(mixture, allowed._replace(**{need: None}))


def test_a_step_of_the_trainer_lowers_the_loss_and_reaches_every_part(net):
    if not isinstance(net, Trainable):
        pytest.skip("nothing to train")
    mixture, sources, context = batch(net)
    example = net.train().example(mixture, sources, context)

    def loss():
        torch.manual_seed(0)
        logits = net(example.mixture, context)
        assert logits.shape == example.target.shape
        distance = (net.activate(logits) - example.target).pow(2)
        return (example.weight * distance).mean()

    first = loss()
    first.backward()
    slope = sum(p.grad.pow(2).sum() for p in net.parameters() if p.grad is not None)
    rate = float(0.01 * first.detach() / slope)  # the loss falls by 1 % if it is straight so far
    torch.optim.SGD(net.parameters(), rate).step()
    with torch.no_grad():
        assert loss() < first
    for name, part in net.parts().items():
        assert any(p.grad is not None and bool(p.grad.any()) for p in part), name


def test_every_parameter_is_in_one_part(net):
    if isinstance(net, Trainable):
        listed = [id(p) for part in net.parts().values() for p in part]
        assert sorted(listed) == sorted(id(p) for p in net.parameters())


def test_every_option_has_a_default_and_unknown_ones_are_refused():
    for name in separation.names():
        config = separators.module(name).Config
        assert dataclasses.is_dataclass(config)
        config()
        with pytest.raises(UsageError, match="unknown parameter 'chanels'"):
            separation.create(name, chanels=3)


def test_unknown_separators_are_refused_with_the_list():
    with pytest.raises(UsageError, match=r"unknown separator 'sob'; there are .*sop"):
        separation.create("sob")


def test_every_published_network_has_the_original_keys_shapes_and_count(public_keys, facts):
    networks = separators.public()
    assert set(networks) == set(public_keys)
    for name, make in networks.items():
        with torch.device("meta"):
            net = make()
        shapes = {key: list(value.shape) for key, value in net.state_dict().items()}
        assert shapes == public_keys[name], name


def test_pretrained_weights_that_cannot_be_had_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setattr("urllib.request._opener", None)  # it would keep these proxies
    with pytest.raises(ToolMissing, match="weights IMAGENET1K_V1 of resnet18") as caught:
        separation.create("sop", pretrained="imagenet")
    assert "\n" not in str(caught.value)
    assert "--pretrained none" in str(caught.value)


def test_the_package_is_imported_and_listed_without_torch():
    code = (
        "import sys, avpipe, avpipe.separation as s; s.names();"
        "assert 'torch' not in sys.modules and 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_torch_a_separator_says_what_to_install(monkeypatch):
    for loaded in [m for m in sys.modules if m.startswith("avpipe.separation.separators.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ToolMissing, match=r"needs torch: pip install 'avpipe\[train\]'"):
        separation.create("sop")
