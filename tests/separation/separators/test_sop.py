"""Sound of Pixels against the original networks, and what it adds."""

import pytest
import torch

from avpipe import separation
from avpipe.separation.interface import Context


@pytest.mark.parametrize("downs", [5, 6, 7])
def test_unets_give_the_original_outputs(downs, public_keys, facts, filled, draw, deviation):
    name = f"sop-unet{downs}"
    net = separation.load_public_checkpoint(name, filled(public_keys[name]))
    with torch.no_grad():
        output = net(draw(7, 1, 1, 256, 256))
    assert deviation(output, facts[f"sop_unet{downs}_fc32"]["golden"]) < 1e-9


def test_unet_in_single_precision_stays_close(public_keys, facts, filled, draw, deviation):
    weights = {k: v.float() for k, v in filled(public_keys["sop-unet7"]).items()}
    net = separation.load_public_checkpoint("sop-unet7", weights)
    with torch.no_grad():
        output = net(draw(7, 1, 1, 256, 256).float())
    assert deviation(output, facts["sop_unet7_fc32"]["golden"]) < 1e-4


def test_dilated_resnet_gives_the_original_outputs(public_keys, facts, filled, draw, deviation):
    name = "sop-resnet18dilated"
    net = separation.load_public_checkpoint(name, filled(public_keys[name]))
    frames = draw(7, 1, 3, 3, 224, 224)
    golden = facts["sop_resnet18dilated_fc32"]
    with torch.no_grad():
        assert deviation(net(frames), golden["golden_multiframe"]) < 1e-9
        assert deviation(net(frames, pool=False), golden["golden_nopool"]) < 1e-9


def test_synthesizer_gives_the_original_outputs(public_keys, facts, filled, draw, deviation):
    net = separation.load_public_checkpoint("sop-innerprod", filled(public_keys["sop-innerprod"]))
    maps = draw(11, 2, 32, 16, 16)
    golden = facts["sop_innerprod32"]
    with torch.no_grad():
        assert deviation(net(draw(7, 2, 32), maps), golden["golden"]) < 1e-9
        pixels = net.forward_pixelwise(draw(23, 2, 32, 3, 4), maps)
    assert deviation(pixels, golden["golden_pix"]) < 1e-9


@pytest.mark.parametrize(
    ("sound", "channels", "name"),
    [("unet7", n, f"sop_unet7_fc{n}") for n in (11, 21, 64)] + [("unet5", 32, "sop_unet5_fc32")],
)
def test_parameters_of_the_unet_are_counted_to_the_unit(sound, channels, name, facts):
    net = separation.create("sop", sound=sound, channels=channels)
    assert sum(p.numel() for p in net.parts()["sound"]) == facts[name]["params"]


def test_the_default_has_the_papers_41_598_243_parameters():
    net = separation.create("sop")
    assert sum(p.numel() for p in net.parameters()) == 41_598_243
    assert net.config.pretrained == "none"


def test_a_pixels_mask_is_that_of_a_source_with_its_embedding():
    torch.manual_seed(0)
    net = separation.create("sop", sound="unet5", channels=4).eval()
    mixture = torch.rand(1, 256, 32)
    frames = torch.randint(0, 256, (1, 1, 3, 32, 32), dtype=torch.uint8)
    masks = net.pixel_masks(mixture, frames)
    assert masks.shape == (1, 2, 2, 256, 32)
    with torch.no_grad():
        # the maximum over the pixels is the embedding of the whole frame; with one scale of 1 and
        # the rest 0 the largest weight belongs to one pixel
        net.synthesizer.scale.copy_(torch.tensor([1.0, 0, 0, 0]))
        whole = net.activate(net(mixture, Context(frames=frames.unsqueeze(1))))[:, 0]
    pixels = net.pixel_masks(mixture, frames)[0].flatten(0, 1)
    assert min(float((whole[0] - p).abs().max()) for p in pixels) < 1e-6
