"""Networks with hardly a channel, for tests of what happens around them."""

from functools import partial

import pytest
from torch import nn

from avpipe.separation import sight
from avpipe.separation.separators import (
    _by_instrument,
    _deeplab,
    _faces,
    _visual,
    appearance,
    llcp,
    music_gesture,
    sop,
    wave_unet,
    ynet,
)


class ThinResNet(nn.Module):
    """The parts of a ResNet under their names, with hardly a channel before the last."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 7, 4, 3), nn.BatchNorm2d(4)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        self.layer1, self.layer2 = nn.Sequential(), nn.Sequential()
        self.layer3 = nn.Sequential(nn.Conv2d(4, 4, 3, 2, 1))
        self.layer4 = nn.Sequential(nn.Conv2d(4, features, 3, 2, 1), nn.ReLU())
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(features, 1000)


def make_thin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Widths, depths and pictures that take no time."""

    def resnet(name: str, _: str) -> nn.Module:
        return ThinResNet({"resnet18": 512, "resnet50": 2048}[name])

    for where in (_visual, _faces):
        monkeypatch.setattr(where, "resnet", resnet)
    monkeypatch.setattr(sight, "SIZE", 64)
    monkeypatch.setattr(sop, "UNet", partial(sop.UNet, width=4))
    monkeypatch.setattr(_deeplab, "WIDTH", 8)
    monkeypatch.setattr(appearance.UNet, "CHANNELS", (1, *(8,) * 7))
    monkeypatch.setattr(_by_instrument, "VISUAL_SIZE", 32)
    monkeypatch.setattr(music_gesture, "SOUND_WIDTHS", (4, 8, 8, 16))
    monkeypatch.setattr(music_gesture, "GRAPH_WIDTHS", (4,) * 6 + (8,) * 5)
    thin = {4: ((4, 8, 8, 16), "ffff"), 7: ((4, 8, 8, 8, 16, 16), "fffftt")}
    monkeypatch.setattr(ynet, "BLOCKS", thin)
    monkeypatch.setattr(llcp, "WIDTH", 2)
    monkeypatch.setattr(wave_unet, "LEVELS", 4)
    monkeypatch.setattr(wave_unet, "CLIP", 4_096)
