"""Prune, share the weights left, train the shared values (Deep Compression: Han et al. 2016, arXiv 1510.00149)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context
from pruning import Global, iterative, mask_rule, share_weights


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
        # Zero keeps a code of its own, so what was pruned stays pruned.
        shared = share_weights(pruned, {"conv": config["bits_conv"], "linear": config["bits_linear"]}, mask)
        rate = config["codebook_rate_factor"] * context.recipe.learning_rate
        return context.train(shared, epochs=config["epochs_codebook"], learning_rate=rate)
