"""Music Gesture: movements reach the mask, in step with the sound."""

import pytest
import torch
from torch import nn

from avpipe import separation
from avpipe.errors import AvpipeError
from avpipe.separation.interface import Context
from avpipe.separation.separators.music_gesture import Fusion


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    options = {"topology": "solos47", "shift": 50.0, "fine_tune": False}
    return separation.create("music-gesture", **options).eval()


def context(players=2, frames=32):
    return Context(
        frames=torch.randint(0, 256, (1, players, 1, 3, 32, 32), dtype=torch.uint8),
        keypoints=100 * torch.rand(1, players, frames, 47, 3),
    )


def logits(net, shown):
    torch.manual_seed(1)
    with torch.no_grad():
        return net(torch.rand(1, 256, 32), shown)


def test_stems_follow_their_players(net):
    shown = context()
    there = logits(net, shown)
    swapped = Context(frames=shown.frames.flip(1), keypoints=shown.keypoints.flip(1))
    torch.testing.assert_close(there, logits(net, swapped).flip(1))
    assert not torch.equal(there[:, 0], there[:, 1])


@pytest.mark.parametrize("field", ["frames", "keypoints"])
def test_pictures_and_movements_both_reach_the_mask(net, field):
    shown, other = context(1), context(1)
    changed = shown._replace(**{field: getattr(other, field)})
    assert not torch.equal(logits(net, shown), logits(net, changed))


def test_skeletons_are_shifted_in_training_only(net):
    shown = context(1)
    assert torch.equal(logits(net, shown), logits(net, shown))
    mixture = torch.rand(1, 256, 32)
    net.train()
    try:
        with torch.no_grad():
            assert not torch.equal(net(mixture, shown), net(mixture, shown))
    finally:
        net.eval()


def test_fusion_is_equations_2_and_3_at_every_time_step():
    torch.manual_seed(0)
    fusion = Fusion(5, 4).double()
    sound = torch.randn(1, 4, 3, 2, dtype=torch.float64)
    visual = torch.randn(1, 5, 2, 6, dtype=torch.float64)
    fused = fusion(sound, visual)
    for t in range(2):
        f_s, f_v = sound[0, :, :, t].T, fusion.project(visual[0, :, t].T)
        h = nn.functional.softmax(f_s @ f_v.T, -1) @ f_v + f_s
        torch.testing.assert_close(fused[0, :, :, t].T, fusion.mlp(h) + h)


def test_the_graph_has_eleven_layers_and_the_threshold_is_the_papers(net):
    assert len(net.graph.st_gcn_networks) == 11
    assert net.threshold == 0.7


def test_an_unknown_topology_is_refused():
    with pytest.raises(AvpipeError, match="solos48"):
        separation.create("music-gesture", topology="solos48")
