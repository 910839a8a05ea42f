"""The smallest weights are pruned in steps, with retraining after each (Han et al. 2015, arXiv 1506.02626)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context
from pruning import Global, iterative, mask_rule, remove_dead_neurons


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        mask_at = mask_rule(criterion="magnitude", granularity="element", ratio=Global)
        pruned, mask = iterative(
            model,
            mask_at,
            sparsity=config["sparsity"],
            steps=config["steps"],
            train=context.train,
            epochs=config["epochs"],
            learning_rate=context.learning_rate,
        )
        # A unit without inputs or without readers changes nothing: what is left of its weights goes too.
        return remove_dead_neurons(pruned, mask, context.data.sample[:2]).apply_(pruned)
