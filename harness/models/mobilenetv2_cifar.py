"""MobileNetV2 for 32×32 images (Sandler et al. 2018, arXiv 1801.04381, table 2).

The paper's table is for 224×224. Here the first convolution and the 32-channel stage keep stride 1,
so that the last feature map is 4×4 rather than a single pixel; all else is as in the table.
"""

from __future__ import annotations

import torch
from torch import nn

# expansion t, output channels c, repeats n, stride of the first s: table 2, but for the stride of the
# 32-channel stage, which is 2 there
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 1), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM, HEAD = 32, 1280


def rounded_to_eight(channels: float) -> int:
    """The nearest multiple of 8, at least 8 and never more than a tenth below `channels`."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class StridedDepthwise(nn.Conv2d):
    """A depthwise convolution with a stride, computed in float32 even under bfloat16 autocast.

    oneDNN has no fast bfloat16 gradient for this one: on a CPU it took nine times as long as in
    float32 and a third of the whole training step.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def _unit(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    layer = StridedDepthwise if groups > 1 and stride > 1 else nn.Conv2d
    return nn.Sequential(
        layer(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Expand, filter each channel by itself, project; add the input where the shape allows it."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = _unit(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = _unit(hidden, hidden, 3, stride, groups=hidden)
        self.project = nn.Conv2d(hidden, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.project(self.depthwise(self.expand(x))))
        return x + y if self.adds else y


class MobileNetV2Cifar(nn.Module):
    """`[n, 3, 32, 32]` → logits `[n, classes]`; `width` multiplies every channel count."""

    def __init__(self, width: float = 1.0, classes: int = 10) -> None:
        super().__init__()
        channels = rounded_to_eight(STEM * width)
        self.stem = _unit(3, channels, 3)
        blocks = []
        for expansion, outputs, repeats, stride in STAGES:
            wide = rounded_to_eight(outputs * width)
            for repeat in range(repeats):
                blocks.append(InvertedResidual(channels, wide, stride if repeat == 0 else 1, expansion))
                channels = wide
        self.blocks = nn.Sequential(*blocks)
        head = rounded_to_eight(HEAD * max(1.0, width))
        self.head = _unit(channels, head, 1)
        self.classifier = nn.Linear(head, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.head(self.blocks(self.stem(x))).mean((2, 3)))


def mobilenetv2_cifar() -> MobileNetV2Cifar:
    """Width 1: 2.2 M parameters, 77 M multiply–accumulates."""
    return MobileNetV2Cifar()


def mobilenetv2_cifar_half() -> MobileNetV2Cifar:
    """Width 0.5: 0.7 M parameters, 23 M multiply–accumulates."""
    return MobileNetV2Cifar(0.5)
