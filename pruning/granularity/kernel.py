"""Whole kernels: the connection between one input channel and one output channel.

The kernels of Mao et al. 2017 (arXiv 1705.08922); "connectivity pruning" in PatDNN (Niu et al. 2020,
arXiv 2001.00138), where it goes together with patterns inside the kernels that stay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from pruning.granularity.pooling import lp_norm


@dataclass(frozen=True)
class Kernel:
    """The `k_h·k_w` weights of one kernel: `[c_o, c_i, k_h, k_w]` has `c_o·c_i` of them, in that order.

    Linear layers have no kernels and are refused.

    Attributes:
        normalise: take the mean in place of the sum in the Lp norm, so that kernels of different
            size (1×1 and 3×3) compare between layers.
    """

    normalise: bool = False

    def group_size(self, shape: torch.Size) -> int:
        if len(shape) < 3:
            raise ValueError("a linear layer has no kernels; leave it out (layers=), or cut it by elements.")
        return math.prod(shape[2:])

    def pool(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        kernels = scores.reshape(-1, self.group_size(scores.shape))
        return lp_norm(kernels.double(), p, normalise=self.normalise)

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        return kept.repeat_interleave(self.group_size(shape)).reshape(shape)
