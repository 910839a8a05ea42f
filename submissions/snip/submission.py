"""Connections that the loss hardly feels are cut before training (SNIP: Lee et al. 2019, arXiv 1810.02340)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context
from pruning import Global, Snip, fine_tune, make_mask


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        fresh = context.fresh_model(context.seed)  # the trained reference is not used
        mask = make_mask(
            fresh,
            criterion=Snip(max_batches=config["batches"]),
            granularity="element",
            ratio=Global(config["sparsity"]),
            data=context.data.train,
        )
        return fine_tune(fresh, mask, train=context.train, epochs=config["epochs"], learning_rate=context.learning_rate)
