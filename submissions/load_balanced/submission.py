"""Every processing element gets as many weights as the others (ESE: Han et al. 2017, arXiv 1612.00694)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context
from pruning import LoadBalanced, Mask, iterative, make_mask


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config

        def mask_at(model: nn.Module, sparsity: float, within: Mask | None) -> Mask:
            balanced = LoadBalanced(sparsity, config["pe_count"])
            return make_mask(model, criterion="magnitude", granularity=balanced, within=within)

        pruned, _ = iterative(
            model,
            mask_at,
            sparsity=config["sparsity"],
            steps=config["steps"],
            train=context.train,
            epochs=config["epochs"],
            learning_rate=context.learning_rate,
        )
        return pruned
