"""Channels that a sparse regression of the layer's output does without matter least.

He, Zhang & Sun 2017, arXiv 1707.06168. Give each input channel a coefficient β_c and minimise
‖Z - Σ_c β_c·X_c·W_cᵀ‖² + λ·‖β‖₁. As λ rises, channels leave one after another: first those
that say least, or nothing that others do not say. The second half of the method, solving for the
weights that remain, is `pruning.criteria.reconstruction`.

The paper raises λ until few enough channels are left. Here the whole path of solutions is found at
once, by least angle regression, and a channel's score is the largest λ at which it takes part. So
any ratio can draw the line, and masks of rising sparsity nest. W stays as it was trained; the paper
states the problem with ‖W_c‖ = 1, and solves for β and W in turn.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from pruning.criteria.batches import Batches, read
from pruning.criteria.contributions import check_positions, overlaps
from pruning.criteria.layout import Unit, for_inputs, layer_of


@dataclass(frozen=True)
class Regression:
    """The penalty λ at which a channel leaves the LASSO, as `[1, c_i, 1, …]`; needs data.

    In units of the strongest channel's energy. A score of 0 says that other channels make up for this
    one entirely. For the granularity of input channels; comparable within a layer only (`Uniform`).

    Attributes:
        positions: output positions to sample, on average for each sample; None for all.
        seed: of the sampling.
        max_batches: look at no more than these.
        p: inf, so that a channel's score is its own whatever its size.

    Raises:
        ValueError: there is no data; a layer is a grouped convolution, or the data do not pass it.
    """

    positions: int | None = 10
    seed: int = 0
    max_batches: int | None = None
    p: float = float("inf")
    unit: ClassVar[Unit] = "channel"
    comparable_across_layers: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positions(self.positions, type(self).__name__)

    def scores(self, model: nn.Module, names: Sequence[str], data: Batches | None = None) -> dict[str, torch.Tensor]:
        who = type(self).__name__
        batches = read(data, model, who, self.max_batches)
        found = overlaps(model, names, batches, reader=who, positions=self.positions, seed=self.seed)
        return {name: for_inputs(_leaving(overlap), layer_of(model, name)) for name, overlap in found.items()}


def _leaving(overlap: torch.Tensor) -> torch.Tensor:
    """For each channel the largest penalty at which its coefficient is not zero, float64 `[c_i]`.

    The regression needs inner products alone: of the contributions with one another, and with their
    sum Z.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import lars_path_gram

    strongest = float(overlap.diagonal().max())
    leaves = torch.zeros(len(overlap), dtype=torch.float64)
    if strongest <= 0:
        return leaves
    gram = overlap / strongest
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # "dropping a regressor": it is redundant
        penalties, _, path = lars_path_gram(
            gram.sum(1).numpy(), gram.numpy(), n_samples=1, method="lasso", max_iter=8 * len(gram)
        )
    # The path starts at the largest penalty; who is first seen at a knot has entered at the one before.
    seen = torch.from_numpy(path != 0)
    entered = seen.any(1)
    knots = seen.int().argmax(1)
    leaves[entered] = torch.from_numpy(penalties).double()[knots[entered] - 1]
    return leaves
