"""What networks see of a face: numbers of every frame, and dilated convolutions over these, the
video network of LLCP (Ephrat et al. 2018).
"""

from torch import Tensor, nn

from avpipe.separation.separators._visual import Pretrained, normalised, resnet

KERNELS = (7, 5, 5, 5, 5, 5)
DILATIONS = (1, 1, 2, 4, 8, 16)


class FaceVectors(nn.Module):
    """512 numbers of every face crop: ResNet-18 without its classifier.

    The papers take the embeddings of a network that recognises people (FaceNet), which is personal
    data of whoever sings. These are learnt with the rest, to separate; no name can be had of them.
    """

    def __init__(self, pretrained: Pretrained) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*list(resnet("resnet18", pretrained).children())[:-1])

    def forward(self, crops: Tensor) -> Tensor:
        """(B, T, 3, H, W), uint8 or float in [0, 1] -> (B, 512, T)."""
        pixels = normalised(crops, next(self.parameters()))
        vectors: Tensor = self.trunk(pixels.flatten(0, 1)).reshape(*crops.shape[:2], -1)
        return vectors.transpose(1, 2)


class FaceNetwork(nn.Module):
    """Embeddings (B, 512, T) -> features (B, 256, T), each >= 0."""

    def __init__(self) -> None:
        super().__init__()
        for i, (kernel, dilation) in enumerate(zip(KERNELS, DILATIONS, strict=True), 1):
            inputs = 512 if i == 1 else 256
            padding = dilation * (kernel - 1) // 2
            conv = nn.Conv2d(inputs, 256, (kernel, 1), 1, (padding, 0), (dilation, 1))
            self.add_module(f"conv{i}", conv)
            self.add_module(f"batch_norm{i}", nn.BatchNorm2d(256))

    def forward(self, embeddings: Tensor) -> Tensor:
        """See the class."""
        x = embeddings.unsqueeze(3)
        for i in range(1, len(KERNELS) + 1):
            x = self.get_submodule(f"conv{i}")(x)
            x = self.get_submodule(f"batch_norm{i}")(x).relu()
        return x.squeeze(3)
