"""As many weights for every processing element (ESE: Han et al. 2017, arXiv 1612.00694).

ESE deals the rows of a matrix out to N processing elements: row i goes to element i mod N. All wait
for the one with most non-zeros. So each element's rows are pruned by themselves, to one sparsity.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pruning.ratios.counting import check_sparsity, keep_best, kept_count


@dataclass(frozen=True)
class LoadBalanced:
    """The best weights of each processing element's rows, the same share of each.

    A row is all weights of one output: a filter of a convolution, a row of a linear layer. Where N
    divides the number of rows, all elements keep exactly as many weights. Where it does not, some
    have one row more, and the counts differ as the rows do: by one row's share, up to rounding.

    Attributes:
        sparsity: the share of weights removed; 0.9 is ESE's tenfold pruning.
        pe_count: processing elements (N); those beyond the number of rows stay idle.

    Raises:
        ValueError: a number out of its range.
    """

    sparsity: float = 0.9
    pe_count: int = 32

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity)
        if self.pe_count < 1:
            raise ValueError(f"pe_count is a number of processing elements, 1 or more, not {self.pe_count}.")

    def best(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        """See `Pattern.best`; single weights are not pooled, so `p` has no effect."""
        kept = torch.zeros(scores.shape, dtype=torch.bool)
        for element in range(min(self.pe_count, len(scores))):
            own = scores[element :: self.pe_count]
            count = kept_count(own.numel(), self.sparsity)
            kept[element :: self.pe_count] = keep_best(own.flatten(), count).reshape(own.shape)
        return kept
