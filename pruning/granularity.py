"""What falls together: single weights, whole filters, and the patterns between.

A granularity cuts a weight tensor into groups of equal size. It says how the scores of a group's
weights become one score, and turns "these groups are kept" back into a mask over the weights
(Mao et al. 2017, arXiv 1705.08922, section 3). Weights are in PyTorch's layout: linear
`[out, in]`, convolution `[c_o, c_i, k_h, k_w]`.

Scores pool by their Lp norm, `(Σ s^p)^(1/p)`; `p = inf` takes the largest. For magnitudes this is
the norm of the group (p = 1: Li et al. 2017, arXiv 1608.08710, section 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch


class Granularity(Protocol):
    """How a weight tensor of a given shape falls into groups; the group order is fixed by the shape."""

    def group_size(self, shape: torch.Size) -> int:
        """Weights in one group."""
        ...

    def pool(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        """Scores of single weights, in the weight's shape → one score a group, float64 `[groups]`."""
        ...

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Groups kept, bool `[groups]` → weights kept, bool in `shape`."""
        ...


@dataclass(frozen=True)
class Element:
    """Each weight by itself: the finest, and irregular; groups are in row-major order."""

    def group_size(self, shape: torch.Size) -> int:
        return 1

    def pool(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        return scores.flatten().double()

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        return kept.reshape(shape)


@dataclass(frozen=True)
class Filter:
    """All weights of one output: a filter of a convolution, a row of a linear layer.

    Attributes:
        normalise: take the mean in place of the sum in the Lp norm. Without it larger filters have
            larger scores, and a threshold over all layers removes the small ones first; within
            one layer it changes nothing.
    """

    normalise: bool = False

    def group_size(self, shape: torch.Size) -> int:
        return math.prod(shape[1:])

    def pool(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        return lp_norm(scores.flatten(1).double(), p, normalise=self.normalise)

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        return kept.reshape(-1, *[1] * (len(shape) - 1)).expand(shape).clone()


def lp_norm(scores: torch.Tensor, p: float, *, normalise: bool = False) -> torch.Tensor:
    """`(Σ s^p)^(1/p)` over the last dimension, or `(mean s^p)^(1/p)`.

    Negative scores (some criteria are signed) pool by sum or mean alone.

    Raises:
        ValueError: `p` is not positive, or a score is negative and `p` is not 1.
    """
    if not p > 0:
        raise ValueError(f"A norm needs p > 0, not {p}.")
    if p == 1:
        return scores.mean(-1) if normalise else scores.sum(-1)
    if bool((scores < 0).any()):
        raise ValueError(f"Negative scores cannot be pooled with p = {p}; use p = 1, their sum.")
    if math.isinf(p):
        return scores.amax(-1)
    powers = scores.pow(p)
    return (powers.mean(-1) if normalise else powers.sum(-1)).pow(1 / p)


GRANULARITIES: Mapping[str, Callable[..., Granularity]] = {"element": Element, "filter": Filter}
