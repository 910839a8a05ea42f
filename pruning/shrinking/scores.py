"""Scores of weights, checked, for choices that reach over several layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from pruning.criteria import CRITERIA, Batches, Criterion
from pruning.names import choose


def scores_of(
    model: nn.Module, names: Sequence[str], criterion: Criterion | str, data: Batches | None
) -> tuple[dict[str, torch.Tensor], float]:
    """Parameter name → a score for each weight, in the parameter's shape on the CPU; and the norm that pools them.

    Raises:
        ValueError: an unknown criterion, or a score that is not a number.
    """
    judge: Criterion = choose("criterion", criterion, CRITERIA)() if isinstance(criterion, str) else criterion
    scores = judge.scores(model, names, data)
    for name in names:
        if bool(scores[name].isnan().any()):
            raise ValueError(f"{judge} gives a score to {name} that is not a number. Has the training diverged?")
    return {name: scores[name].cpu().expand(model.get_parameter(name).shape) for name in names}, judge.p
