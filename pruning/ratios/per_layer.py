"""Every layer loses a share of its own, as an allocation has set it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from pruning.names import nearest
from pruning.ratios.counting import check_rounding, keep_best, kept_count, rounded_up


@dataclass(frozen=True)
class PerLayer:
    """Remove the share `sparsity[name]` of the groups of parameter `name` (see `counting` for the rounding).

    Attributes:
        sparsity: parameter name → share, in 0…1 without 1: a layer that loses all cuts the network through.
        multiple_of: round the number of groups kept in a layer up to a multiple of this.
        keep_at_least: groups that every layer keeps.

    Raises:
        ValueError: a number out of its range; on selection, a layer without a share or a share without a layer.
    """

    sparsity: Mapping[str, float]
    multiple_of: int = 1
    keep_at_least: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.sparsity, Mapping):
            raise ValueError(f"PerLayer takes a mapping from parameter name to sparsity, not {self.sparsity!r}.")
        for name, share in self.sparsity.items():
            if not 0 <= share < 1:
                raise ValueError(f"The sparsity of {name} is the share that it loses, in 0…1 without 1, not {share}.")
        check_rounding(self.multiple_of, self.keep_at_least)
        object.__setattr__(self, "sparsity", dict(self.sparsity))

    def select(self, scores: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        for name in scores:
            self._share(name)
        for name in self.sparsity:
            if name not in scores:
                raise ValueError(f"There is a sparsity for {name!r}, which is not pruned here. {nearest(name, scores)}")
        return {name: keep_best(of_layer, self.count(name, len(of_layer))) for name, of_layer in scores.items()}

    def count(self, name: str, groups: int) -> int:
        """How many of its `groups` parameter `name` keeps."""
        kept = kept_count(groups, self._share(name))
        return rounded_up(kept, groups, multiple_of=self.multiple_of, keep_at_least=self.keep_at_least)

    def _share(self, name: str) -> float:
        if name not in self.sparsity:
            raise ValueError(f"There is no sparsity for {name!r}. {nearest(name, self.sparsity)}")
        return self.sparsity[name]


def apportion(wanted: Mapping[str, float], sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """Whole numbers near `wanted`, each in 1…`sizes[name]`, that sum to `total`.

    Rounding down, then giving what is left to those farthest below what they wanted (largest
    remainders): an overall rate is met to the weight, where rounding each layer would miss it.

    Raises:
        ValueError: `total` cannot be met within those bounds.
    """
    if not len(sizes) <= total <= sum(sizes.values()):
        raise ValueError(
            f"{total} weights cannot be spread over {len(sizes)} layers of {sum(sizes.values())} weights in all "
            "so that each keeps at least one. Lower the sparsity."
        )
    counts = {name: min(max(int(wanted[name]), 1), size) for name, size in sizes.items()}
    left = total - sum(counts.values())
    step = 1 if left > 0 else -1
    for _ in range(abs(left)):
        free = [name for name, size in sizes.items() if 1 <= counts[name] + step <= size]
        chosen = max(free, key=lambda name: step * (wanted[name] - counts[name]))
        counts[chosen] += step
    return counts


def sparsity_of(kept: Mapping[str, int], sizes: Mapping[str, int]) -> dict[str, float]:
    """Name → share removed, where `kept[name]` of `sizes[name]` stay."""
    return {name: 1 - kept[name] / sizes[name] for name in sizes}
