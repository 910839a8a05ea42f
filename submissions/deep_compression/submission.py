"""Prune, share the weights left, train the shared values (Deep Compression: Han et al. 2016, arXiv 1510.00149)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context
from pruning import Global, Mask, iterative, make_mask, share_weights


class Entry:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config, peak = context.config, context.recipe.learning_rate

        def mask_at(model: nn.Module, sparsity: float, within: Mask | None) -> Mask:
            return make_mask(model, criterion="magnitude", granularity="element", ratio=Global(sparsity), within=within)

        pruned, mask = iterative(
            model,
            mask_at,
            sparsity=config["sparsity"],
            steps=config["steps"],
            train=context.train,
            epochs=config["epochs"],
            learning_rate=config["learning_rate_factor"] * peak,
        )
        # Zero keeps a code of its own, so what was pruned stays pruned.
        shared = share_weights(pruned, {"conv": config["bits_conv"], "linear": config["bits_linear"]}, mask)
        rate = config["codebook_rate_factor"] * peak
        return context.train(shared, epochs=config["epochs_codebook"], learning_rate=rate)
