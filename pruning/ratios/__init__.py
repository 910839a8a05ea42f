"""How many groups are pruned, and in which layer: one file a rule.

A ratio sees nothing but the scores of the groups, layer by layer. `sparsity` is the share of
*groups* that is removed; all groups of a layer have one size, so within a layer it is also the
share of weights.

A rule that needs more than scores (shapes, accuracy, cost) is an allocation: it looks at a
`Problem` and returns a `PerLayer` ratio, with a share for each layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch

from pruning.ratios.allocations import ALLOCATIONS, Allocation
from pruning.ratios.global_threshold import Global
from pruning.ratios.per_layer import PerLayer
from pruning.ratios.problem import Problem
from pruning.ratios.uniform import Uniform

__all__ = ["ALLOCATIONS", "RATIOS", "Allocation", "Global", "PerLayer", "Problem", "Ratio", "Uniform"]


class Ratio(Protocol):
    """Chooses the groups to keep."""

    def select(self, scores: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Parameter name → scores `[groups]` in, groups kept, bool `[groups]`, out."""
        ...


RATIOS: Mapping[str, Callable[..., Ratio]] = {"uniform": Uniform, "global": Global, "per_layer": PerLayer}
