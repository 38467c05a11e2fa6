"""Spatial-temporal graph convolutions on skeletons (Yan et al. 2018), as Y-Net-g uses them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Mode = Literal["A", "B"]

WIDTHS: dict[Mode, tuple[int, ...]] = {
    "A": (64, 64, 128, 128, 256, 256),
    "B": (32, 32, 64, 64, 128, 128, 256, 256),
}
"""Channels of the blocks in the two published modes."""


class Layout(NamedTuple):
    """A skeleton as the published graphs have it."""

    joints: int
    edges: tuple[tuple[int, int], ...]
    centre: int
    """Joint towards which the partition of Yan et al. is directed."""


def _chains(*ranges: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Edges between neighbours of each half-open range."""
    return tuple(edge for start, stop in ranges for edge in pairwise(range(start, stop)))


def _hand(wrist: int, first: int) -> tuple[tuple[int, int], ...]:
    """Five fingers of four joints each, numbered from `first`, on a wrist."""
    starts = range(first, first + 20, 4)
    return tuple((wrist, s) for s in starts) + _chains(*((s, s + 4) for s in starts))


_ARMS = ((0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6))
_BODY = (
    *((4, 3), (3, 2), (7, 6), (6, 5), (13, 12), (12, 11), (10, 9), (9, 8), (11, 5), (8, 2)),
    *((5, 1), (2, 1), (0, 1), (15, 0), (14, 0), (17, 15), (16, 14)),
)

LAYOUTS = {
    "acappella": Layout(
        68,
        _chains(
            *((0, 17), (17, 22), (22, 27), (27, 31), (31, 36), (36, 42), (42, 48), (48, 60)),
            (60, 68),
        ),
        0,
    ),
    "upperbody": Layout(7, _ARMS, 0),
    "upperbody-with-hands": Layout(47, _ARMS + _hand(3, 7) + _hand(6, 27), 0),
    "openpose-with-hands": Layout(58, _BODY + _hand(4, 18) + _hand(7, 38), 0),
}
"""68 face landmarks; neck and arms; these with 20 joints a hand (solos47); COCO-18 with hands."""


def adjacency(layout: Layout) -> Tensor:
    """(3, V, V) weights of a joint itself, of its neighbours, and of those nearer the centre.

    Columns are divided by the joint's number of neighbours and itself. Distances to the centre
    are known up to one edge, as in the original: farther joints count as equally far.
    """
    linked = torch.eye(layout.joints, dtype=torch.bool)
    for a, b in layout.edges:
        linked[a, b] = linked[b, a] = True
    weights = linked / linked.sum(0)
    distance = torch.full((layout.joints,), torch.inf)
    distance[linked[layout.centre]] = 1
    distance[layout.centre] = 0
    itself = torch.eye(layout.joints)
    nearer = (distance[:, None] < distance[None, :]).float()
    return torch.stack(
        [weights * itself, weights * (1 - itself) * (1 - nearer), weights * (1 - itself) * nearer]
    )


class GraphConv(nn.Module):
    """One 1 x 1 convolution per partition, summed over the neighbours."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 3 * outputs, 1)

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """(B, C, T, V) and (3, V, V) -> (B, C', T, V)."""
        maps = self.conv(x)
        split = maps.reshape(len(maps), 3, -1, *maps.shape[2:])
        return torch.einsum("bkctv,kvw->bctw", split, graph)


class Block(nn.Module):
    """Graph convolution, convolution over five time steps, residual; its own edge weights."""

    def __init__(self, inputs: int, outputs: int, joints: int, residual: bool) -> None:
        super().__init__()
        stride = 2 if residual and inputs != outputs else 1
        self.edge_importance = nn.Parameter(torch.ones(3, joints, joints))
        self.gcn = GraphConv(inputs, outputs)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, (5, 1), (stride, 1), (2, 0)),
            nn.BatchNorm2d(outputs),
        )
        self.skips = residual
        self.residual = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, (stride, 1)), nn.BatchNorm2d(outputs))
            if stride == 2
            else None
        )

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C', T or T/2, V)."""
        y: Tensor = self.tcn(self.gcn(x, graph * self.edge_importance))
        if self.skips:
            y = y + (x if self.residual is None else self.residual(x))
        return torch.relu(y)


class STGCN(nn.Module):
    """Features of a skeleton: (B, C, T, V, 1) -> (B, C', T', V).

    Args:
        layout: of the skeleton.
        channels: C: 2 for positions, 3 with confidence.
        widths: channels of the blocks; where they change, T is halved (rounded up).
    """

    A: Tensor

    def __init__(self, layout: Layout, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("A", adjacency(layout))
        self.data_bn = nn.BatchNorm1d(channels * layout.joints)
        sizes = (channels, *widths)
        self.st_gcn_networks = nn.ModuleList(
            Block(i, o, layout.joints, residual=n > 0) for n, (i, o) in enumerate(pairwise(sizes))
        )

    def forward(self, skeleton: Tensor) -> Tensor:
        """See the class."""
        batch, channels, frames, joints, _ = skeleton.shape
        flat = skeleton.permute(0, 4, 3, 1, 2).reshape(batch, joints * channels, frames)
        x = self.data_bn(flat).reshape(batch, joints, channels, frames).permute(0, 2, 3, 1)
        for block in self.st_gcn_networks:
            x = block(x, self.A)
        features: Tensor = x
        return features
