"""How much each weight matters: one file a criterion.

A criterion gives a score to every weight, and the lowest fall first. It knows neither groups nor
counts: the granularity pools its scores, the ratio draws the line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import nn

from pruning.criteria.magnitude import Magnitude
from pruning.criteria.random import Random

__all__ = ["CRITERIA", "Batches", "Criterion", "Magnitude", "Random"]

Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


class Criterion(Protocol):
    """Scores for the weights of a model.

    Attributes:
        p: the norm by which the scores of a group's weights become the group's score.
    """

    @property
    def p(self) -> float: ...

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


CRITERIA: Mapping[str, Callable[..., Criterion]] = {"magnitude": Magnitude, "random": Random}
