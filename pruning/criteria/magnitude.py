"""Small weights matter least.

Han et al. 2015, arXiv 1506.02626, section 3, for single weights; Li et al. 2017, arXiv 1608.08710,
section 3.1, for filters, by the L1 norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from pruning.criteria.batches import Batches
from pruning.criteria.layout import Unit


@dataclass(frozen=True)
class Magnitude:
    """The absolute value of a weight; of a group, the Lp norm.

    Attributes:
        p: any positive number, or inf; without effect on single weights.
    """

    p: float = 1.0
    unit: ClassVar[Unit] = "weight"
    needs_data: ClassVar[bool] = False

    def scores(self, model: nn.Module, names: Sequence[str], data: Batches | None = None) -> dict[str, torch.Tensor]:
        return {name: model.get_parameter(name).detach().abs() for name in names}
