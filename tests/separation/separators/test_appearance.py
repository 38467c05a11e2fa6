"""Single-image separation against the original networks, and its attention module."""

import pytest
import torch

from avpipe import separation
from avpipe.errors import UsageError
from avpipe.separation.interface import Context
from avpipe.separation.separators.appearance import _contrast

MIXTURE = (1, 256, 128)


@pytest.mark.parametrize("sound", ["unet7", pytest.param("dv3p", marks=pytest.mark.slow)])
def test_sound_networks_give_the_original_outputs(
    sound, public_keys, facts, filled, draw, deviation
):
    name = f"lz-{sound}"
    net = separation.load_public_checkpoint(name, filled(public_keys[name]))
    with torch.no_grad():
        output = net(draw(7, 1, 1, 256, 256))
    assert deviation(output, facts[f"lz_{sound}_fc11"]["golden"]) < 1e-9


def test_single_precision_stays_close(public_keys, facts, filled, draw, deviation):
    weights = {k: v.float() for k, v in filled(public_keys["lz-dv3p"]).items()}
    net = separation.load_public_checkpoint("lz-dv3p", weights)
    with torch.no_grad():
        output = net(draw(7, 1, 1, 256, 256).float())
    assert deviation(output, facts["lz_dv3p_fc11"]["golden"]) < 1e-4


def test_the_appearance_network_in_single_precision_stays_close(
    public_keys, facts, filled, draw, deviation
):
    weights = {k: v.float() for k, v in filled(public_keys["lz-res50"]).items()}
    net = separation.load_public_checkpoint("lz-res50", weights)
    with torch.no_grad():
        embedding = net(draw(7, 1, 3, 1, 224, 224).float())
    assert deviation(embedding, facts["lz_res50_fc11"]["golden_emb"]) < 1e-4


@pytest.mark.slow
def test_the_appearance_network_gives_the_original_outputs(
    public_keys, facts, filled, draw, deviation
):
    net = separation.load_public_checkpoint("lz-res50", filled(public_keys["lz-res50"]))
    frame = draw(7, 1, 3, 1, 224, 224)
    with torch.no_grad():
        assert deviation(net(frame, pool=False), facts["lz_res50_fc11"]["golden_feat"]) < 1e-9
        assert deviation(net(frame), facts["lz_res50_fc11"]["golden_emb"]) < 1e-9


@pytest.mark.parametrize("kinds", [11, 13, 21])
@pytest.mark.parametrize(("frame", "sound"), [("resnet18", "unet"), ("resnet50", "dv3p")])
def test_parameters_are_counted_to_the_unit(kinds, frame, sound, facts):
    classes = tuple(f"kind {i}" for i in range(kinds))
    with torch.device("meta"):
        net = separation.create("appearance", classes=classes, frame=frame, sound=sound)
    counts = {name: sum(p.numel() for p in part) for name, part in net.parts().items()}
    sound_name = "unet7" if sound == "unet" else "dv3p"
    assert counts["sound"] == facts[f"lz_{sound_name}_fc{kinds}"]["params"]
    frame_name = frame.replace("net", "")
    trunk_and_head = counts["frame_trunk"] + counts["frame_head"]
    assert trunk_and_head == facts[f"lz_{frame_name}_fc{kinds}"]["params"]


def test_the_attention_module_has_two_parameters(facts):
    with torch.device("meta"):
        net = separation.create("appearance", attention=True)
    assert sum(p.numel() for p in net.parts()["attention"]) == facts["lz_avol"]["params"]


def small(**options):
    torch.manual_seed(0)
    return separation.create("appearance", frame="resnet18", sound="unet", **options)


def frames(sources, size=32):
    return torch.randint(0, 256, (1, sources, 1, 3, size, size), dtype=torch.uint8)


def test_attention_gives_a_map_per_source_and_a_loss_in_training_only():
    net = small(attention=True)
    shown = frames(2)
    context = Context(torch.tensor([[0, 3]]), shown)
    net.train()(torch.rand(MIXTURE), context)
    assert net.auxiliary_loss is not None
    net.auxiliary_loss.backward()
    assert all(p.grad is not None for p in net.parts()["attention"])
    locations = net.eval().locations(shown)
    assert locations.shape == (1, 2, 2, 2)
    assert 0 <= float(locations.min()) <= float(locations.max()) <= 1
    with torch.no_grad():
        net(torch.rand(MIXTURE), context)
    assert net.auxiliary_loss is None


def test_the_contrast_is_low_when_embeddings_are_found_in_their_own_frames_only():
    own = torch.eye(2).view(1, 2, 2, 1, 1) * 20 - 10
    found = _contrast(own, torch.tensor([[0, 1]]))
    lost = _contrast(-own, torch.tensor([[0, 1]]))
    assert float(found) < 1e-3
    assert float(lost) > 5


def test_two_sources_of_one_category_and_empty_places_are_no_negative_pairs():
    everywhere = torch.full((1, 3, 3, 2, 2), 10.0)
    alike = _contrast(everywhere, torch.tensor([[4, 4, -1]]))
    assert float(alike) < 1e-3
    assert float(_contrast(everywhere, torch.tensor([[4, 5, -1]]))) > 3


def test_the_true_category_needs_no_frames_and_picks_its_map():
    net = small(embedding="category").eval()
    assert net.needs == {"categories"}
    mixture = torch.rand(MIXTURE)
    with torch.no_grad():
        logits = net(mixture, Context(torch.tensor([[3, 7, 3]])))
    assert torch.equal(logits[:, 0], logits[:, 2])
    assert not torch.equal(logits[:, 0], logits[:, 1])


def test_the_classifier_learns_categories_beside_a_sound_network_that_knows_them():
    net = small(embedding="classifier").train()
    mixture, context = torch.rand(MIXTURE), Context(torch.tensor([[3, 7]]), frames(2))
    net(mixture, context).sum().backward()
    assert all(p.grad is None for p in net.parts()["frame_head"])
    net(mixture, context)
    net.auxiliary_loss.backward()
    assert all(p.grad is not None for p in net.parts()["frame_head"])
    with torch.no_grad():
        separated = net.eval()(mixture, Context(frames=context.frames))
    assert separated.shape == (1, 2, *MIXTURE[1:])


def test_what_does_not_go_together_is_refused():
    with pytest.raises(UsageError, match="attention trains embedding appearance, not category"):
        small(embedding="category", attention=True)
    with pytest.raises(UsageError, match="attention=True"):
        small().locations(frames(1))
