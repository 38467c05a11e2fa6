"""Wave-U-Net against the PyTorch port, and the thesis' network without the port's defects."""

import pytest
import torch

from avpipe import separation
from avpipe.errors import UsageError
from avpipe.separation.interface import Context
from avpipe.separation.separators.wave_unet import WaveUNet


@pytest.mark.parametrize(
    ("name", "samples"),
    [("vimsst-same", 16384), ("vimsst-ctx", 147442), ("vimsst-ctx-multi", 147442)],
)
def test_the_port_gives_the_original_outputs(
    name, samples, public_keys, facts, filled, draw, deviation
):
    net = separation.load_public_checkpoint(name, filled(public_keys[name]))
    labels = torch.zeros(1, 13, dtype=torch.float64)
    labels[0, [1, 12]] = 1
    with torch.no_grad():
        stems = net(draw(7, 1, 1, samples), labels)
    assert deviation(stems, facts[name.replace("-", "_")]["golden"]) < 1e-9


@pytest.mark.parametrize(
    ("conditioning", "difference", "count"),
    [
        ("none", False, 10_263_314),
        ("none", True, 10_263_288),
        ("outer", False, 15_654_674),
        ("outer", True, 15_654_648),
    ],
)
def test_parameters_are_counted_to_the_unit(conditioning, difference, count):
    with torch.device("meta"):
        net = separation.create("wave-unet", conditioning=conditioning, difference=difference)
    assert sum(p.numel() for p in net.parameters()) == count


def test_a_clip_has_the_published_length():
    assert WaveUNet().size_for(16384) == (147443, 16389)
    assert WaveUNet(port=True).size_for(16384) == (147442, 16388)
    assert WaveUNet(context=False).size_for(16000) == (16384, 16384)


def test_outputs_differ_between_instruments_but_not_in_the_port():
    torch.manual_seed(0)
    mixture = torch.randn(1, 1, 4096)
    stems = WaveUNet(3, context=False)(mixture)
    assert not torch.allclose(stems[:, 0], stems[:, 1])
    alike = WaveUNet(3, context=False, port=True).eval()(mixture)
    assert torch.equal(alike[:, 0], alike[:, 1])


def test_labels_of_one_mixture_do_not_reach_another():
    torch.manual_seed(0)
    net = WaveUNet(3, "outer", context=False)
    labels = torch.eye(3).requires_grad_()
    net(torch.randn(3, 1, 4096), labels)[1].pow(2).sum().backward()
    assert labels.grad[1].any()
    assert not labels.grad[[0, 2]].any()


def test_difference_stems_add_up_to_the_mixture():
    torch.manual_seed(0)
    net = WaveUNet(3, context=False, difference=True)
    mixture = torch.randn(1, 1, 4096)
    torch.testing.assert_close(net(mixture).sum(1), mixture)


def test_a_stem_does_not_depend_on_how_much_context_is_added():
    """With context no border is made up: a longer input gives the same samples inside."""
    torch.manual_seed(0)
    net = WaveUNet(1).double().eval()
    (short, given), (longer, more) = (net.size_for(1), net.size_for(given_next(net)))
    mixture = torch.randn(1, 1, longer, dtype=torch.float64)
    shift = longer - short
    with torch.no_grad():
        whole = net(mixture)[0, 0, 0]
        first, last = net(mixture[..., :short])[0, 0, 0], net(mixture[..., shift:])[0, 0, 0]
    torch.testing.assert_close(whole[:given], first)
    torch.testing.assert_close(whole[more - given :], last)


def given_next(net):
    """One sample more than the smallest output."""
    return net.size_for(1)[1] + 1


def test_any_length_is_separated_but_training_clips_must_fit():
    net = separation.create("wave-unet", classes=("a", "b"), conditioning="none")
    assert net.separate(torch.randn(1, 5000), Context()).shape == (1, 2, 5000)
    context = Context(torch.tensor([[0]]))
    with pytest.raises(UsageError, match="clips of 5000 samples do not fit"):
        net.example(torch.randn(1, 5000), torch.randn(1, 1, 5000), context)


def test_the_port_has_no_outer_conditioning():
    with pytest.raises(UsageError, match="legacy has no outer"):
        separation.create("wave-unet", legacy=True)
