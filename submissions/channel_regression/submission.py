"""Channels are chosen by LASSO, and the weights left are solved for (He, Zhang & Sun 2017, arXiv 1707.06168)."""

from __future__ import annotations

import copy
from itertools import islice

from torch import nn

from harness.contract import Context
from pruning import (
    Channel,
    Regression,
    Trace,
    Uniform,
    coupled,
    from_channels,
    make_mask,
    prunable_filters,
    reconstruct,
    shrink,
)


class Entry:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        dense, trace = copy.deepcopy(model), Trace(model, context.data.sample[:2])
        batches = list(islice(context.data.train, config["batches"]))
        # The layers that read what can be taken out: their input channels are judged.
        readers = {reader for name in prunable_filters(model, trace) for reader in trace.stream(name).readers}
        mask = make_mask(
            model,
            criterion=Regression(positions=config["positions"], seed=context.seed),
            granularity=Channel(),
            ratio=Uniform(config["sparsity"], multiple_of=config["multiple_of"], keep_at_least=1),
            layers=sorted(readers),
            data=batches,
        )
        # A channel that nobody reads falls where it is made, with its bias and batch norm.
        mask = coupled(model, from_channels(model, mask, trace), trace)
        if config["reconstruct"]:
            model = reconstruct(model, dense, mask, batches, positions=config["positions"], seed=context.seed)
        small = shrink(model, mask, trace)
        peak = config["learning_rate_factor"] * context.recipe.learning_rate
        return context.train(small, epochs=config["epochs"], learning_rate=peak)
