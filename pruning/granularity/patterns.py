"""Each kernel keeps one of a few patterns (PatDNN, Niu et al. 2020, arXiv 2001.00138).

Free choice in each kernel would leave irregular holes; a handful of patterns lets a compiler emit
one piece of code for each. The set is drawn from the weights: the *natural pattern* of a kernel is
its centre with its best other weights, and the most frequent natural patterns make the set. Then
every kernel keeps the pattern of the set that preserves most of its score.

The paper draws one set for the whole network; here each layer has its own, since a pattern sees one
tensor. Removing whole kernels as well (connectivity pruning) is the granularity `Kernel`:
`make_mask(..., granularity=KernelPatterns(), within=make_mask(..., granularity=Kernel(), ...))`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from pruning.granularity.pooling import lp_norm


@dataclass(frozen=True)
class KernelPatterns:
    """Keep `entries` weights of every kernel, in at most `count` different patterns.

    Attributes:
        entries: weights kept in a kernel, its centre among them.
        count: patterns in the set; fewer where the kernels have fewer natural patterns.

    Raises:
        ValueError: a number below 1.
    """

    entries: int = 4
    count: int = 8

    def __post_init__(self) -> None:
        if self.entries < 1 or self.count < 1:
            raise ValueError(f"Patterns need 1 entry and 1 pattern or more, not {self.entries} and {self.count}.")

    def best(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        """See `Pattern`; kernels need an odd size and a centre: `[c_o, c_i, 3, 3]`, `[c_o, c_i, 5]`."""
        size = math.prod(scores.shape[2:])
        if scores.ndim < 3 or size % 2 == 0 or size < self.entries:
            raise ValueError(
                f"patterns of {self.entries} need kernels with a centre and at least {self.entries} weights, "
                "such as 3 × 3; leave the layer out (layers=)."
            )
        kernels = scores.reshape(-1, size).double()
        patterns = self.choose(kernels)
        fit = _preserved(kernels, patterns, p).argmax(1)  # of equals the first, so the more frequent
        return torch.zeros(kernels.shape, dtype=torch.bool).scatter_(1, patterns[fit], True).reshape(scores.shape)

    def choose(self, kernels: torch.Tensor) -> torch.Tensor:
        """Scores `[kernels, size]` → the most frequent natural patterns, positions `[≤ count, entries]`.

        Of equally frequent patterns the one with the lower positions comes first. Kernels that are
        gone whole (all scores -inf) have no vote, unless there are no others.
        """
        alive = (kernels > -torch.inf).any(1)
        natural = self._natural(kernels[alive] if bool(alive.any()) else kernels)
        number = torch.zeros(len(natural), dtype=torch.int64)  # of each kernel's pattern, in rising order
        for position in natural.unbind(1):
            number = torch.unique(number * kernels.shape[1] + position, return_inverse=True)[1]
        votes = number.bincount()
        patterns = natural.new_empty(len(votes), self.entries)
        patterns[number] = natural
        return patterns[votes.argsort(descending=True, stable=True)[: self.count]]

    def _natural(self, kernels: torch.Tensor) -> torch.Tensor:
        """The positions of the centre and the best others, in rising order, `[kernels, entries]`."""
        centre = kernels.shape[1] // 2
        others = torch.cat([kernels[:, :centre], kernels[:, centre + 1 :]], 1)
        best = others.argsort(dim=1, descending=True, stable=True)[:, : self.entries - 1]
        best = best + (best >= centre)  # positions in the kernel again
        return torch.cat([best, torch.full((len(best), 1), centre)], 1).sort(1).values


def _preserved(kernels: torch.Tensor, patterns: torch.Tensor, p: float) -> torch.Tensor:
    """The Lp norm of what each pattern keeps of each kernel, `[kernels, patterns]`.

    Only patterns that keep the fewest weights that are gone are in the running; the others get -inf.
    """
    kept = kernels[:, patterns]  # [kernels, patterns, entries]
    gone = kept == -torch.inf
    lost = gone.sum(-1)
    preserved = lp_norm(kept.masked_fill_(gone, 0), p)
    return preserved.masked_fill(lost > lost.amin(1, keepdim=True), -torch.inf)
