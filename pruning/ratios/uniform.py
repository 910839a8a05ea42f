"""Every layer loses the same share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from pruning.ratios.counting import check_rounding, check_sparsity, keep_best, kept_count, rounded_up


@dataclass(frozen=True)
class Uniform:
    """Remove the share `sparsity` of the groups of each layer (see `counting` for the rounding).

    Attributes:
        multiple_of: round the number of groups kept in a layer up to a multiple of this; hardware
            likes channels in eights.
        keep_at_least: groups that every layer keeps.

    Raises:
        ValueError: a number out of its range.
    """

    sparsity: float
    multiple_of: int = 1
    keep_at_least: int = 0

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity)
        check_rounding(self.multiple_of, self.keep_at_least)

    def select(self, scores: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: keep_best(of_layer, self._count(len(of_layer))) for name, of_layer in scores.items()}

    def _count(self, groups: int) -> int:
        kept = kept_count(groups, self.sparsity)
        return rounded_up(kept, groups, multiple_of=self.multiple_of, keep_at_least=self.keep_at_least)
