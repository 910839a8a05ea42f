"""One threshold over all layers: each gives what it can spare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from pruning.ratios.counting import check_rounding, check_sparsity, keep_best, kept_count, rounded_up


@dataclass(frozen=True)
class Global:
    """Remove the share `sparsity` of all groups, the lowest scores of all layers together.

    Scores of different layers must compare. Groups of different size do not, unless the
    granularity normalises them (`Filter(normalise=True)`). Ties fall by the order of the layers,
    then by index.

    Attributes:
        multiple_of: round the number of groups kept in each layer up to a multiple of this; then
            fewer fall than `sparsity` says.
        keep_at_least: groups that every layer keeps, so that none is cut through.

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
        if not scores:
            return {}
        lengths = [len(of_layer) for of_layer in scores.values()]
        kept = keep_best(torch.cat(list(scores.values())), kept_count(sum(lengths), self.sparsity))
        parts = kept.split(lengths)
        return {
            name: self._rounded(of_layer, part) for (name, of_layer), part in zip(scores.items(), parts, strict=True)
        }

    def _rounded(self, scores: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        count = int(kept.sum())
        rounded = rounded_up(count, len(kept), multiple_of=self.multiple_of, keep_at_least=self.keep_at_least)
        return kept if rounded == count else keep_best(scores, rounded)
