"""Allocations by name, called alike: `allocate(problem, sparsity, **options) → PerLayer`.

`sparsity` is the share to remove of what the rule counts: of the weights for ERK and the
sensitivity scan, of the model's cost (time where the problem has a latency, else MACs) for AMC and
NetAdapt.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from pruning.mask import Mask
from pruning.ratios.amc import amc_search
from pruning.ratios.cost import ROUNDING, Cost, cost_of
from pruning.ratios.counting import check_sparsity
from pruning.ratios.erk import erk
from pruning.ratios.netadapt import Step, netadapt
from pruning.ratios.per_layer import PerLayer, sparsity_of
from pruning.ratios.problem import Problem
from pruning.ratios.sensitivity import RATIOS_SCANNED, check_within_scan, choose_threshold, sensitivity_scan

Pruned = tuple[nn.Module, Mask | None, dict[str, int]]  # model, its mask, filters kept


@dataclass(frozen=True)
class Allocation:
    """An allocation by its function, `(problem, sparsity, **options) → PerLayer`.

    Attributes:
        options: those that are plain values, as they stand in a configuration.
        judges: it looks at the accuracy of pruned models, so the model must be a trained one.
    """

    function: Callable[..., PerLayer]
    options: tuple[str, ...] = ()
    judges: bool = True

    def __call__(self, problem: Problem, sparsity: float, **options: Any) -> PerLayer:
        return self.function(problem, sparsity, **options)


def allocate_erk(problem: Problem, sparsity: float) -> PerLayer:
    """Shares by the shapes of the layers alone: large layers lose more (see `erk`)."""
    return problem.ratio(erk(problem.shapes, sparsity).sparsity)


def allocate_sensitivity(
    problem: Problem, sparsity: float, *, ratios: Sequence[float] = RATIOS_SCANNED, **options: Any
) -> PerLayer:
    """Shares at which each layer costs about the same accuracy (`sensitivity_scan` takes the options).

    The threshold that gives `sparsity` in all is found by `choose_threshold`.

    Raises:
        ValueError: the scan's highest ratio is below `sparsity`; said before anything is evaluated.
    """
    check_within_scan(sparsity, max(ratios, default=1.0))
    scan = sensitivity_scan(problem, ratios, **options)
    return problem.ratio(choose_threshold(scan, problem.sizes, sparsity).sparsity)


def allocate_amc(problem: Problem, sparsity: float, **options: Any) -> PerLayer:
    """Shares that an agent learned by trying (`amc_search` takes the options)."""
    return amc_search(problem, sparsity, **options).ratio


def allocate_netadapt(
    problem: Problem,
    sparsity: float,
    *,
    cost: Cost | None = None,
    on_step: Callable[[Step[Pruned]], None] | None = None,
    **options: Any,
) -> PerLayer:
    """Shares found in small steps, each the one that costs least accuracy (`netadapt` takes the options).

    The ratio is that of the last step. Filters (or what the problem's groups are) are counted along its
    `group_dim`. Models are masked, not shrunk, and each proposal is fine-tuned by the problem's `train`, if it
    has one.

    Args:
        cost: of given sparsities; default `cost_of(problem)`. It is asked for every number of
            filters of every layer, so let a measured one be a table.
        on_step: called after each iteration.
    """
    check_sparsity(sparsity)
    judge, cost = problem.evaluator("NetAdapt"), cost or cost_of(problem)
    widths = problem.widths

    def prune(pruned: Pruned, name: str, count: int) -> Pruned:
        model, earlier, kept = pruned
        kept = {**kept, name: count}
        mask = problem.mask_at(model, problem.ratio(sparsity_of(kept, widths)), earlier)
        return mask.apply_(copy.deepcopy(model)), mask, kept

    def short_term(pruned: Pruned) -> Pruned:
        model, mask, kept = pruned
        return (problem.train(model, mask) if problem.train and mask is not None else model), mask, kept

    start: Pruned = (problem.model, None, dict(widths))
    steps = netadapt(
        start,
        widths,
        prune=prune,
        short_term=short_term,
        evaluate=lambda pruned: judge(pruned[0]),
        resource=lambda kept: cost(sparsity_of(kept, widths)),
        budget=(1 - sparsity) * cost(dict.fromkeys(widths, 0.0)) * (1 + ROUNDING),
        multiple_of=problem.multiple_of,
        keep_at_least=max(problem.keep_at_least, 1),
        **options,
    )
    kept = widths
    for step in steps:
        kept = dict(step.kept)
        if on_step is not None:
            on_step(step)
    return problem.ratio(sparsity_of(kept, widths))


ALLOCATIONS: Mapping[str, Allocation] = {
    "erk": Allocation(allocate_erk, judges=False),
    "sensitivity": Allocation(allocate_sensitivity, options=("ratios",)),
    "amc": Allocation(allocate_amc, options=("max_sparsity", "episodes", "seed")),
    "netadapt": Allocation(allocate_netadapt, options=("first_step", "decay")),
}
