"""Networks of linear layers and ReLU alone: every weight is a matrix, as EIE and its like want it.

LeNet-300-100 is of LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to
document recognition", Proceedings of the IEEE 86(11), section III, which had a scaled tanh; with
ReLU it became the first network that pruning is tried on (Han et al. 2015, arXiv 1506.02626, table 3).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn


class Mlp(nn.Module):
    """Images `[n, c, h, w]` → logits `[n, widths[-1]]`, with ReLU between the layers.

    Args:
        widths: of the flattened input (c·h·w), of each hidden layer, and the number of classes.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers[:-1])
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.flatten(1))


def lenet300() -> Mlp:
    """784-300-100-10 for MNIST: 266,610 parameters, 266,200 multiply–accumulates."""
    return Mlp((28 * 28, 300, 100, 10))


def digits_mlp() -> Mlp:
    """64-100-50-10 for 8×8 images, in the manner of LeNet-300-100: 12,060 parameters."""
    return Mlp((8 * 8, 100, 50, 10))
