"""VGG with batch norm for 32×32 images, after Simonyan & Zisserman 2015, arXiv 1409.1556.

Eight 3×3 convolutions in four stages, each followed by batch norm (Ioffe & Szegedy 2015,
arXiv 1502.03167) and ReLU, a 2×2 max pooling after each stage; then the mean over the remaining
2×2 pixels and one linear layer in place of the paper's three.
"""

from __future__ import annotations

import torch
from torch import nn

STAGES = ((64, 128), (256, 256), (512, 512), (512, 512))


class VggCifar(nn.Module):
    """`[n, 3, 32, 32]` → logits `[n, classes]`."""

    def __init__(self, stages: tuple[tuple[int, ...], ...] = STAGES, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for widths in stages:
            for width in widths:
                layers += [
                    nn.Conv2d(channels, width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                ]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


def vgg_cifar() -> VggCifar:
    """64-128-M-256-256-M-512-512-M-512-512-M: 9.2 M parameters, 0.6 G multiply–accumulates."""
    return VggCifar()
