"""Units without which the error would hardly rise are taken out (Skeletonization: Mozer & Smolensky 1989)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context
from pruning import Filter, Global, Mask, Relevance, Trace, coupled, iterative, make_mask, prunable_filters, shrink


class Entry:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        trace = Trace(model, context.data.sample[:2])
        layers = prunable_filters(model, trace)
        judge = Relevance(max_batches=config["batches"])

        def mask_at(model: nn.Module, sparsity: float, within: Mask | None) -> Mask:
            ratio = Global(sparsity, multiple_of=config["multiple_of"], keep_at_least=1)
            mask = make_mask(
                model,
                criterion=judge,
                granularity=Filter(),
                ratio=ratio,
                layers=layers,
                data=context.data.train,
                within=within,
            )
            return coupled(model, mask, trace)  # biases and batch norms fall with their filters

        pruned, mask = iterative(
            model,
            mask_at,
            sparsity=config["sparsity"],
            steps=config["steps"],
            train=context.train,
            epochs=config["epochs"],
            learning_rate=config["learning_rate_factor"] * context.recipe.learning_rate,
        )
        return shrink(pruned, mask, trace)
