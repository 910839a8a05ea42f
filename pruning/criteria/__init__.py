"""How much each weight matters: one file a criterion.

A criterion gives a score to every weight, and the lowest are pruned first. It knows neither groups nor
counts: the granularity pools its scores, the ratio draws the line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import nn

from pruning.criteria.apoz import APoZ
from pruning.criteria.batch_norm import BatchNormScale
from pruning.criteria.batches import Batches
from pruning.criteria.feature_map import FeatureMap
from pruning.criteria.layout import Unit
from pruning.criteria.magnitude import Magnitude
from pruning.criteria.random import Random
from pruning.criteria.reconstruction import reconstruct
from pruning.criteria.regression import Regression
from pruning.criteria.relevance import Relevance
from pruning.criteria.second_order import OptimalBrainDamage
from pruning.criteria.snip import Snip
from pruning.criteria.taylor import Taylor

__all__ = [
    "CRITERIA",
    "APoZ",
    "BatchNormScale",
    "Batches",
    "Criterion",
    "FeatureMap",
    "Magnitude",
    "OptimalBrainDamage",
    "Random",
    "Regression",
    "Relevance",
    "Snip",
    "Taylor",
    "Unit",
    "reconstruct",
]


class Criterion(Protocol):
    """Scores for the weights of a model.

    Attributes:
        p: the norm by which the scores of a group's weights become the group's score.
        unit: what has a score of its own: each weight, each filter or each input channel. Scores of
            filters say nothing about a filter's single weights.
        needs_data: whether it looks at activations or gradients; may be left out, and is true then.
        comparable_across_layers: whether one threshold for all layers makes sense; may be left out, and is true then.
    """

    @property
    def p(self) -> float: ...

    @property
    def unit(self) -> Unit: ...

    def scores(self, model: nn.Module, names: Sequence[str], data: Batches | None = None) -> dict[str, torch.Tensor]:
        """Score the parameters `names` of `model`, which is left unchanged.

        Args:
            data: batches of `(inputs, labels)`, for criteria that look at activations or gradients.

        Returns:
            Parameter name → scores, broadcastable to the parameter's shape (a criterion that
            scores whole filters gives `[c_o, 1, 1, 1]`); higher matters more, inf is never cut
            before a finite score.

        Raises:
            ValueError: the criterion needs data, and there is none.
        """
        ...


CRITERIA: Mapping[str, Callable[..., Criterion]] = {
    "magnitude": Magnitude,
    "random": Random,
    "batch_norm": BatchNormScale,
    "apoz": APoZ,
    "relevance": Relevance,
    "taylor": Taylor,
    "snip": Snip,
    "optimal_brain_damage": OptimalBrainDamage,
    "feature_map": FeatureMap,
    "regression": Regression,
}
