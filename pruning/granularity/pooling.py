"""How the scores of a group's weights become one: by their Lp norm.

`(Σ s^p)^(1/p)`; `p = inf` takes the largest. For magnitudes this is the norm of the group (p = 1: Li
et al. 2017, arXiv 1608.08710, section 3.1).
"""

from __future__ import annotations

import math

import torch


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
    largest = scores.amax(-1, keepdim=True)  # taken out first, so that no power of it under- or overflows
    scale = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    powers = (scores / scale).pow(p)
    return (powers.mean(-1) if normalise else powers.sum(-1)).pow(1 / p) * scale.squeeze(-1)
