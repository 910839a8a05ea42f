"""Filters whose loss the network would hardly feel are taken out (Molchanov et al. 2019, arXiv 1906.10771)."""

from __future__ import annotations

from functools import partial

from torch import nn

from harness.contract import Context
from pruning import Global, Shrinkable, Taylor, iterative


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        ratio = partial(Global, multiple_of=config["multiple_of"], keep_at_least=1)
        network = Shrinkable.of(model, context.data.sample[:2])
        mask_at = network.masks(
            criterion=Taylor(unit="filter", average="importances", max_batches=config["batches"]),
            ratio=ratio,
            data=context.data.train,
        )

        pruned, mask = iterative(
            model,
            mask_at,
            sparsity=config["sparsity"],
            steps=config["steps"],
            train=context.train,
            epochs=config["epochs"],
            learning_rate=context.learning_rate,
        )
        return network.shrink(pruned, mask)
