"""U-Net and multi-head U-Net against the original networks, and what was put right."""

import pytest
import torch
from torch import nn

from avpipe import separation
from avpipe.errors import UsageError
from avpipe.separation.interface import Context
from avpipe.separation.separators._conditioned import ConditionedUNet

LABELS = torch.zeros(2, 13, dtype=torch.float64)
LABELS[0, [1, 12]] = 1
LABELS[1, [0, 3, 7]] = 1

GOLDEN = [
    "cun-unet-none",
    pytest.param("cun-mhunet-none", marks=pytest.mark.slow),
    "cun-unet-film-bn",
    "cun-unet-film-encoder",
    "cun-unet-film-final",
    "cun-unet-mult-final",
    "cun-mhunet-film-bn",
    "cun-unet-film-bn-v1024",
    "cun-unet-film-final-v1024",
    "cun-unet-film-encoder-v1024",
]


def golden_context(name, draw):
    """The visual context of the goldens was drawn in double and rounded to single precision."""
    return draw(13, 2, 1024).float().double() if name.endswith("v1024") else LABELS


@pytest.mark.parametrize("name", GOLDEN)
def test_networks_give_the_original_outputs(name, public_keys, facts, filled, draw, deviation):
    net = separation.load_public_checkpoint(name, filled(public_keys[name]))
    with torch.no_grad():
        output = net(draw(7, 2, 1, 256, 256), golden_context(name, draw))
    assert deviation(output, facts[name.replace("-", "_")]["golden"]) < 1e-9


@pytest.mark.parametrize("name", ["cun-unet-film-encoder", "cun-unet-film-final"])
def test_single_precision_stays_close(name, public_keys, facts, filled, draw, deviation):
    weights = {k: v.float() for k, v in filled(public_keys[name]).items()}
    net = separation.load_public_checkpoint(name, weights)
    with torch.no_grad():
        output = net(draw(7, 2, 1, 256, 256).float(), LABELS.float())
    assert deviation(output, facts[name.replace("-", "_")]["golden"]) < 1e-4


@pytest.mark.parametrize(
    ("family", "options", "count"),
    [
        ("unet", {}, 5_154_719),
        ("mhunet", {}, 33_450_527),
        ("unet", {"conditioning": "film-bottleneck"}, 5_169_055),
        ("unet", {"channels": (32, 64, 128, 256, 512, 512)}, 14_056_623),
        ("mhunet", {"channels": (32, 64, 128, 256, 512, 512)}, 98_904_495),
        ("unet", {"channels": (32, 64, 128, 256, 512, 512, 512)}, 22_971_567),
        ("unet", {"legacy": True}, 6_210_477),
        ("unet", {"legacy": True, "channels": (32, 64, 128, 256, 512, 512)}, 15_112_381),
        ("mhunet", {"legacy": True}, 34_506_297),
    ],
)
def test_parameters_are_counted_to_the_unit(family, options, count):
    with torch.device("meta"):
        net = separation.create(family, **options)
    assert sum(p.numel() for p in net.parameters()) == count


def test_the_visual_networks_have_the_published_sizes():
    with torch.device("meta"):
        net = separation.create("unet", conditioning="film-bottleneck", context="motion")
    counts = {name: sum(p.numel() for p in part) for name, part in net.parts().items()}
    assert counts["visual_trunk"] == 23_508_032
    assert counts["lstm"] == 12_591_104


def one_decoder(net: ConditionedUNet, index: int, channels: tuple[int, ...]) -> ConditionedUNet:
    """A U-Net with the encoder and decoder `index` of `net`, alone."""
    own = {}
    for key, value in net.state_dict().items():
        parts = key.split(".")
        if parts[0] == "decoder":
            level, decoder, *rest = parts[1:]
            if decoder == str(index):
                own[".".join(["decoder", level, "0", *rest])] = value
        else:
            own[key] = value
    single = ConditionedUNet(1, 1, channels, dropout=0.0).double()
    single.load_state_dict(own)
    return single


@pytest.mark.parametrize("training", [False, True])
def test_one_grouped_pass_equals_a_pass_per_decoder(training):
    torch.manual_seed(0)
    net = ConditionedUNet(5, 5, (2, 3, 4), dropout=0.0).double().train(training)
    singles = [one_decoder(net, index, (2, 3, 4)).train(training) for index in range(5)]
    spectrogram = torch.randn(2, 1, 16, 24, dtype=torch.float64)
    expected = torch.cat([single(spectrogram) for single in singles], 1)
    torch.testing.assert_close(net(spectrogram), expected, rtol=1e-12, atol=1e-12)


def test_grouped_decoders_get_the_gradients_of_separate_ones():
    torch.manual_seed(0)
    net = ConditionedUNet(3, 3, (2, 3), dropout=0.0).double()
    single = one_decoder(net, 1, (2, 3))
    spectrogram = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    net(spectrogram)[:, 1].pow(2).sum().backward()
    single(spectrogram).pow(2).sum().backward()
    for level, alone in zip(net.decoder, single.decoder, strict=True):
        gradient = level.conv.weight.grad.chunk(3)
        torch.testing.assert_close(gradient[1], alone.conv.weight.grad)
        assert not gradient[0].any()
        assert not gradient[2].any()


def test_state_dicts_survive_the_round_trip():
    net = ConditionedUNet(3, 3, (2, 3), conditioning="film-encoder", context=3)
    other = ConditionedUNet(3, 3, (2, 3), conditioning="film-encoder", context=3)
    other.load_state_dict(net.state_dict())
    spectrogram, labels = torch.randn(1, 1, 8, 8), torch.ones(1, 3)
    assert torch.equal(net.eval()(spectrogram, labels), other.eval()(spectrogram, labels))


def test_logits_can_be_negative_but_not_in_legacy_mode():
    torch.manual_seed(0)
    spectrogram = torch.randn(1, 1, 64, 64)
    assert ConditionedUNet().eval()(spectrogram).min() < 0
    assert ConditionedUNet(legacy=True).eval()(spectrogram).min() == 0


@pytest.mark.parametrize("mask", ["binary", "ratio"])
def test_label_multiply_silences_absent_instruments_exactly(mask):
    torch.manual_seed(0)
    net = separation.create("unet", conditioning="label-multiply", mask=mask).eval()
    context = Context(categories=torch.tensor([[3, -1], [0, 12]]))
    stems = net.separate(torch.randn(2, 64 * 256 - 1) * 0.1, context)
    sounding = stems.abs().sum(-1) > 0
    assert not sounding[0, [i for i in range(13) if i != 3]].any()
    assert not sounding[1, 1:12].any()
    if mask == "ratio":
        assert sounding[0, 3]
        assert sounding[1, [0, 12]].all()


def test_the_loss_of_label_multiply_is_finite_with_absent_instruments():
    net = separation.create("unet", conditioning="label-multiply")
    context = Context(categories=torch.tensor([[3, 5]]))
    sources = torch.randn(1, 2, 64 * 256 - 1)
    example = net.example(sources.sum(1), sources, context)
    loss = nn.functional.binary_cross_entropy_with_logits(
        net(example.mixture, context), example.target
    )
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_shares_add_up_to_the_mixture_over_the_instruments_that_play():
    net = separation.create(
        "unet",
        conditioning="label-multiply",
        mask="ratio",
        activation="softmax",
        frames=64,
    ).eval()
    assert net.front_end.samples == 64 * 256 - 1
    mixture = torch.randn(1, net.front_end.samples) / 10
    stems = net.separate(mixture, Context(categories=torch.tensor([[2, 5]])))
    torch.testing.assert_close(stems.sum(1), mixture, atol=1e-4, rtol=0)
    absent = [i for i in range(13) if i not in (2, 5)]
    assert not stems[:, absent].any()
    assert stems[:, [2, 5]].abs().amax(-1).min() > 0


def test_labels_mark_exactly_the_instruments_that_play():
    labels = Context(categories=torch.tensor([[3, 3, 5], [0, -1, -1]])).labels(13)
    assert labels.nonzero().tolist() == [[0, 3], [0, 5], [1, 0]]


def test_legacy_separation_reads_labels_of_ones():
    torch.manual_seed(0)
    options = {"conditioning": "film-bottleneck", "mask": "ratio", "legacy": True}
    net = separation.create("unet", **options).eval()
    mixture = torch.randn(1, 64 * 256 - 1) * 0.1
    given = net.separate(mixture, Context(categories=torch.tensor([[3, 5]])))
    assert torch.equal(given, net.separate(mixture, Context()))


def test_visual_context_ignores_empty_places_and_order():
    torch.manual_seed(0)
    net = separation.create("unet", conditioning="film-final", context="visual").eval()
    frames = torch.randint(0, 256, (1, 3, 2, 3, 32, 32), dtype=torch.uint8)
    mixture = torch.rand(1, 512, 64)
    with torch.no_grad():
        two = net(mixture, Context(frames=frames[:, :2]))
        reversed_two = net(mixture, Context(frames=frames[:, [1, 0]]))
        third_empty = net(mixture, Context(torch.tensor([[4, 2, -1]]), frames))
        three = net(mixture, Context(torch.tensor([[4, 2, 1]]), frames))
    torch.testing.assert_close(two, reversed_two)
    torch.testing.assert_close(two, third_empty)
    assert not torch.allclose(two, three)


@pytest.mark.parametrize("context", ["visual", "motion"])
def test_label_multiply_by_pictures_weighs_masks_by_what_is_recognised(context):
    torch.manual_seed(0)
    net = separation.create(
        "mhunet", conditioning="label-multiply", context=context, channels=(2, 3, 4, 4, 5, 6)
    ).train()
    frames = torch.randint(0, 256, (2, 2, 2, 3, 32, 32), dtype=torch.uint8)
    mixture, seen = torch.rand(2, 512, 64), Context(frames=frames)
    net(mixture, seen).sum().backward()
    linear = net.recognise[0]
    assert linear.weight.grad.abs().sum() > 0
    assert any(p is linear.weight for p in net.parts()["unet"])
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.copy_(torch.tensor([0.0] * 3 + [200.0] + [0.0] * 9))
        masks = net.eval().activate(net(mixture, seen))
    assert masks[:, 3].min() > 0
    assert not masks[:, [c for c in range(13) if c != 3]].any()


@pytest.mark.parametrize("fine_tune", [False, True])
def test_the_resnet_learns_only_when_fine_tuned(fine_tune):
    torch.manual_seed(0)
    net = separation.create(
        "unet", conditioning="film-bottleneck", context="motion", fine_tune=fine_tune
    ).train()
    frames = torch.randint(0, 256, (1, 2, 2, 3, 32, 32), dtype=torch.uint8)
    net(torch.rand(1, 512, 64), Context(frames=frames)).sum().backward()
    assert any(p.grad is not None for p in net.parts()["visual_trunk"]) is fine_tune
    assert all(p.grad is not None for p in net.parts()["lstm"])
    assert net.visual.frames.trunk.training is fine_tune


def test_noise_acts_in_training_only():
    net = separation.create("unet", noise=0.5, dropout=0.0)
    mixture = torch.rand(1, 512, 64)
    net.eval()
    assert torch.equal(net(mixture, Context()), net(mixture, Context()))
    net.train()
    assert not torch.equal(net(mixture, Context()), net(mixture, Context()))


def test_positive_class_weight_multiplies_bins_of_the_stem():
    net = separation.create("unet", positive_weight=5.0)
    sources = torch.randn(1, 2, 64 * 256 - 1)
    context = Context(categories=torch.tensor([[0, 1]]))
    example = net.example(sources.sum(1), sources, context)
    assert torch.equal(example.weight == 5, example.target == 1)
    assert torch.equal(example.weight == 1, example.target == 0)


def test_conflicting_options_are_refused():
    net = separation.create("unet", conditioning="film-bottleneck")
    with pytest.raises(UsageError, match="needs categories"):
        net(torch.rand(1, 512, 64), Context())
