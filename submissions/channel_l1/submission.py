"""Filters of small L1 norm are taken out, inside the residual blocks (Li et al. 2017, arXiv 1608.08710)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context
from pruning import Filter, Magnitude, Trace, Uniform, coupled, make_mask, prunable_filters, shrink


class Entry:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        trace = Trace(model, context.data.sample[:2])
        mask = make_mask(
            model,
            criterion=Magnitude(p=1),
            granularity=Filter(),
            ratio=Uniform(config["sparsity"], multiple_of=config["multiple_of"], keep_at_least=1),
            layers=prunable_filters(model, trace),
        )
        small = shrink(model, coupled(model, mask, trace), trace)
        peak = config["learning_rate_factor"] * context.recipe.learning_rate
        return context.train(small, epochs=config["epochs"], learning_rate=peak)
