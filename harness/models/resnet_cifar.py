"""ResNet for CIFAR-10 (He et al. 2016, arXiv 1512.03385, section 4.2).

A 3×3 convolution, three stages of n residual blocks with 16, 32 and 64 filters, global average
pooling and one linear layer: 6n + 2 layers. The shortcut is option A: where the shape changes,
every second pixel is taken and the new channels are zeros, so that it has no parameters.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


class ShortcutA(nn.Module):
    """Every second pixel, and zeros for the channels that are new: no parameters."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        new = out_channels - in_channels
        self.pad = (0, 0, 0, 0, new // 2, new - new // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x[:, :, ::2, ::2], self.pad)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch norm, added to the shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        changes = in_channels != out_channels
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, 2 if changes else 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = ShortcutA(in_channels, out_channels) if changes else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


class ResNetCifar(nn.Module):
    """A ResNet of 6·`blocks_per_stage` + 2 layers: `[n, 3, 32, 32]` → logits `[n, classes]`."""

    def __init__(self, blocks_per_stage: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks_per_stage)
        self.layer2 = _stage(16, 32, blocks_per_stage)
        self.layer3 = _stage(32, 64, blocks_per_stage)
        self.fc = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


def _stage(in_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
    widths = [in_channels] + [out_channels] * blocks
    return nn.Sequential(*(BasicBlock(a, b) for a, b in pairwise(widths)))


def resnet20() -> ResNetCifar:
    """ResNet-20: 0.27 M parameters, 41 M multiply–accumulates at 32×32."""
    return ResNetCifar(blocks_per_stage=3)
