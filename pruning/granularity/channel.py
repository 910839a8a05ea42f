"""Whole input channels: what a layer no longer reads, the layer before need not compute.

Channels are chosen so by He et al. 2017 (arXiv 1707.06168).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from pruning.granularity.pooling import lp_norm


@dataclass(frozen=True)
class Channel:
    """All weights that read one input: `[:, i]`, a column of a linear layer.

    The groups are the second dimension of the weight. In a grouped convolution that dimension
    counts the channels inside a group, so a group of weights there reads one channel of each.

    Attributes:
        normalise: take the mean in place of the sum in the Lp norm. Without it layers with more or
            larger filters have larger scores; within one layer it changes nothing.
    """

    normalise: bool = False

    shrinkable: ClassVar[bool] = True

    def group_size(self, shape: torch.Size) -> int:
        return shape[0] * math.prod(shape[2:])

    def pool(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        return lp_norm(scores.transpose(0, 1).flatten(1).double(), p, normalise=self.normalise)

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        return kept.reshape(1, -1, *[1] * (len(shape) - 2)).expand(shape).clone()
