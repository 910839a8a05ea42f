"""Rows of a kernel: finer than kernels, and still runs that a vector unit takes at once.

The one-dimensional sub-kernel vectors of Mao et al. 2017 (arXiv 1705.08922).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pruning.granularity.pooling import lp_norm


@dataclass(frozen=True)
class Vector:
    """The `k_w` weights of one row of one kernel: `[c_o, c_i, k_h, k_w]` has `c_o·c_i·k_h` of them, in that order.

    Of a 1-d convolution the row is the whole kernel. Linear layers have no kernels and are refused.

    Attributes:
        normalise: take the mean in place of the sum in the Lp norm, so that rows of different
            length compare between layers.
    """

    normalise: bool = False

    def group_size(self, shape: torch.Size) -> int:
        if len(shape) < 3:
            raise ValueError("a linear layer has no kernels to cut into rows; leave it out (layers=).")
        return shape[-1]

    def pool(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        rows = scores.reshape(-1, self.group_size(scores.shape))
        return lp_norm(rows.double(), p, normalise=self.normalise)

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        return kept.repeat_interleave(self.group_size(shape)).reshape(shape)
