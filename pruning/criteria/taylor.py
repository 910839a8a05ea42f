"""What the loss would change, to first order, if a weight were zero: |g·w|.

Molchanov et al. 2017, arXiv 1611.06440, for feature maps; Molchanov et al. 2019, arXiv 1906.10771,
for weights and groups of them. Setting w to zero changes the loss by -g·w + …, with g the gradient.

Of a group, the first-order change is the *sum* of its weights' changes, where opposite signs
cancel: the 2019 paper scores (Σ g·w)². Pooling sums |g·w|, which lets nothing cancel: an upper bound.
The two are offered as `unit="weight"` (the bound, for every granularity) and `unit="filter"` or
`"channel"` (the change itself, |Σ g·w|; the square orders groups alike).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import nn

from pruning.criteria.batches import Batches, read
from pruning.criteria.gradients import Loss, mean_gradients
from pruning.criteria.layout import Unit

Average = Literal["gradients", "importances"]


@dataclass(frozen=True)
class Taylor:
    """First-order change of the loss; needs data.

    Attributes:
        unit: sum g·w over each weight alone, each filter (`[c_o, 1, …]`), or each input channel
            (`[1, c_i, 1, …]`) before the absolute value is taken.
        average: "gradients" takes |mean g · w|, for which only the data matter; "importances" takes
            the mean of |g·w| over batches, as the 2019 paper does with its mini-batches, and tells
            more where the model has converged, since the mean gradient is then near zero.
        loss: `(outputs, labels) → scalar`, a mean over samples.
        max_batches: look at no more than these.

    Raises:
        ValueError: `unit` or `average` is not one of these; there is no data.
    """

    unit: Unit = "weight"
    average: Average = "gradients"
    loss: Loss = field(default=F.cross_entropy, repr=False)
    max_batches: int | None = None

    def __post_init__(self) -> None:
        for what, value, known in (("unit", self.unit, Unit), ("average", self.average, Average)):
            if value not in get_args(known):
                raise ValueError(f"{what} of Taylor is one of {', '.join(get_args(known))}, not {value!r}.")

    @property
    def p(self) -> float:
        """1 for weights; inf where the score is the group's already."""
        return 1.0 if self.unit == "weight" else float("inf")

    def scores(self, model: nn.Module, names: Sequence[str], data: Batches | None = None) -> dict[str, torch.Tensor]:
        batches = read(data, model, type(self).__name__, self.max_batches)
        weights = {name: model.get_parameter(name).detach() for name in names}

        def importance(name: str, gradient: torch.Tensor) -> torch.Tensor:
            change = gradient * weights[name]
            if self.unit != "weight":
                kept = 0 if self.unit == "filter" else 1
                change = change.sum([dim for dim in range(change.ndim) if dim != kept], keepdim=True)
            return change.abs()

        if self.average == "importances":
            return mean_gradients(model, names, batches, self.loss, of=importance)
        gradients = mean_gradients(model, names, batches, self.loss)
        return {name: importance(name, gradient) for name, gradient in gradients.items()}
