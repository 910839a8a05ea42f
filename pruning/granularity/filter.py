"""Whole filters, the rows of a linear layer (Li et al. 2017, arXiv 1608.08710, section 3.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from pruning.granularity.pooling import lp_norm


@dataclass(frozen=True)
class Filter:
    """All weights of one output: a filter of a convolution, a row of a linear layer.

    Attributes:
        normalise: take the mean in place of the sum in the Lp norm. Without it larger filters have
            larger scores, and a threshold over all layers removes the small ones first; within
            one layer it changes nothing.
    """

    normalise: bool = False

    shrinkable: ClassVar[bool] = True

    def group_size(self, shape: torch.Size) -> int:
        return math.prod(shape[1:])

    def pool(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        return lp_norm(scores.flatten(1).double(), p, normalise=self.normalise)

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        return kept.reshape(-1, *[1] * (len(shape) - 1)).expand(shape).clone()
