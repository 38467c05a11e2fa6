"""Y-Net, its U-Net, LLCP and the graph networks against the originals."""

import pytest
import torch

from avpipe import separation
from avpipe.separation.interface import Context
from avpipe.separation.separators._stgcn import LAYOUTS, adjacency

SEEN = {"m": (21, 1, 3, 100, 96, 96), "e": (21, 1, 512, 100), "g": (5, 1, 2, 100, 68, 1)}
"""Seed and shape of what each kind of Y-Net was shown."""


def load(name, public_keys, filled):
    return separation.load_public_checkpoint(name, filled(public_keys[name]))


@pytest.mark.parametrize("name", ["unet4", "unet7"])
def test_audio_unets_give_the_original_outputs(name, public_keys, facts, filled, draw, deviation):
    with torch.no_grad():
        mask = load(name, public_keys, filled)(draw(7, 1, 2, 256, 256))
    assert deviation(mask, facts[name]["golden"]) < 1e-9


@pytest.mark.parametrize("kind", ["e", "g", pytest.param("m", marks=pytest.mark.slow)])
@pytest.mark.parametrize("blocks", [4, 7])
def test_ynets_give_the_original_outputs(kind, blocks, public_keys, facts, filled, draw, deviation):
    net = load(f"ynet-{kind}{blocks}", public_keys, filled)
    golden = facts[f"ynet_{kind}{blocks}"]
    spectrogram, seen = draw(7, 1, 2, 256, 256), draw(*SEEN[kind])
    with torch.no_grad():
        deepest, _ = net.encode(spectrogram)
        features = net.features(seen, 16)
        assert deviation(features, golden["golden_visual"]) < 1e-9
        assert deviation(net.fusion_layer(deepest, features), golden["golden_fused"]) < 1e-9
        assert deviation(net(spectrogram, seen), golden["golden"]) < 1e-9


@pytest.mark.slow
def test_llcp_gives_the_original_outputs(public_keys, facts, filled, draw, deviation):
    with torch.no_grad():
        mask = load("llcp", public_keys, filled)(draw(7, 1, 2, 256, 256), draw(*SEEN["e"]))
    assert deviation(mask, facts["llcp"]["golden"]) < 1e-9


@pytest.mark.parametrize(("name", "kind"), [("ynet-m4", "m"), ("ynet-e7", "e"), ("llcp", "e")])
def test_single_precision_stays_close(name, kind, public_keys, facts, filled, draw, deviation):
    weights = {k: v.float() for k, v in filled(public_keys[name]).items()}
    net = separation.load_public_checkpoint(name, weights)
    with torch.no_grad():
        mask = net(draw(7, 1, 2, 256, 256).float(), draw(*SEEN[kind]).float())
    assert deviation(mask, facts[name.replace("-", "_")]["golden"]) < 1e-4


@pytest.mark.parametrize("mode", ["A", "B"])
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_graph_networks_give_the_original_outputs(
    layout, mode, public_keys, facts, filled, draw, deviation
):
    name = f"stgcn-{layout}-{mode}"
    net = load(name, public_keys, filled)
    channels = 2 if layout == "acappella" else 3
    joints = LAYOUTS[layout].joints
    with torch.no_grad():
        features = net(draw(5, 1, channels, 100, joints, 1))
    assert deviation(features, facts[name.replace("-", "_")]["golden"]) < 1e-9


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_graphs_have_the_original_partition(layout, facts):
    graph = adjacency(LAYOUTS[layout])
    measured = facts[f"stgcn_{layout}_A".replace("-", "_")]["A"]
    assert int((graph != 0).sum()) == measured["nnz"]
    assert graph.sum((1, 2)).tolist() == pytest.approx(measured["per"], abs=1e-5)


def test_front_end_constants_in_a_checkpoint_are_ignored(public_keys, filled):
    weights = filled(public_keys["unet4"])
    extra = {"wav2sp_train.window": torch.zeros(1022), "sp2mel.fb": torch.zeros(3, 3)}
    net = separation.load_public_checkpoint("unet4", weights | extra)
    assert not set(net.state_dict()) & set(extra)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"visual": "none"}, 2_461_250),
        ({"visual": "none", "blocks": 7}, 8_099_394),
        ({"visual": "mouths"}, 5_689_346),
        ({"visual": "mouths", "blocks": 7}, 11_327_490),
        ({"visual": "faces"}, 5_153_346),
        ({"visual": "keypoints", "blocks": 7}, 9_654_994),
    ],
)
def test_parameters_are_counted_to_the_unit(options, count):
    with torch.device("meta"):
        net = separation.create("ynet", **options)
    assert sum(p.numel() for p in net.network.parameters()) == count


def test_a_network_that_answers_with_the_true_ratio_gives_the_voice_back():
    torch.manual_seed(0)
    net = separation.create("ynet", visual="none").double()
    sources = 0.1 * torch.randn(1, 2, 65535, dtype=torch.float64)
    mixture = sources.sum(1)
    # bins in pairs share a mask, so let the voice be half of the mixture everywhere
    example = net.example(mixture, torch.stack([mixture / 2, mixture / 2], 1), Context())
    assert example.target.shape == (1, 1, 2, 256, 256)
    ratio = torch.atanh((example.target / 10).clamp(-1 + 1e-12, 1 - 1e-12))
    net.forward = lambda *_: ratio
    torch.testing.assert_close(
        net.separate(mixture, Context())[:, 0], mixture / 2, atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("visual", ["mouths", "faces", "keypoints"])
def test_every_kind_sees_its_field_and_answers_per_voice(visual):
    torch.manual_seed(0)
    net = separation.create("ynet", visual=visual).eval()
    fields = {
        "mouths": torch.randint(0, 256, (1, 2, 8, 3, 16, 16), dtype=torch.uint8),
        "faces": torch.randint(0, 256, (1, 2, 8, 3, 32, 32), dtype=torch.uint8),
        "keypoints": torch.rand(1, 2, 8, 68, 3),
    }
    mixture = 0.1 * torch.randn(1, 64 * 256 - 1)
    shown = Context(**{visual: fields[visual]})
    stems = net.separate(mixture, shown)
    assert stems.shape == (1, 2, mixture.shape[1])
    swapped = net.separate(mixture, Context(**{visual: fields[visual].flip(1)}))
    torch.testing.assert_close(stems, swapped.flip(1))
    assert not torch.allclose(stems[:, 0], stems[:, 1])
