"""An agent learns how many filters each layer can lose (AMC: He et al. 2018, arXiv 1802.03494)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context
from pruning import (
    Filter,
    Magnitude,
    Mask,
    Problem,
    Ratio,
    Trace,
    coupled,
    make_mask,
    prunable_filters,
    shrink,
    weight_names,
)
from pruning.ratios.amc import amc_search
from pruning.ratios.ddpg import DdpgSettings


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        trace = Trace(model, context.data.sample[:2])
        layers = prunable_filters(model, trace)

        def mask_at(model: nn.Module, ratio: Ratio, within: Mask | None) -> Mask:
            judge = Magnitude()
            mask = make_mask(model, criterion=judge, granularity=Filter(), ratio=ratio, layers=layers, within=within)
            return coupled(model, mask, trace)

        problem = Problem(
            model,
            tuple(weight_names(model, layers)),
            mask_at,
            evaluate=context.evaluate,
            example_inputs=context.data.sample[:1],
            shrink=lambda model, mask: shrink(model, mask, trace),  # MACs are counted on what is left
            multiple_of=config["multiple_of"],
        )
        found = amc_search(
            problem,
            config["macs_removed"],
            episodes=config["episodes"],
            max_sparsity=config["max_sparsity"],
            settings=DdpgSettings(explore=config["episodes"] // 4),
            seed=context.seed,
        )
        small = shrink(model, mask_at(model, found.ratio, None), trace)
        return context.train(small, epochs=config["epochs"], learning_rate=context.learning_rate)
