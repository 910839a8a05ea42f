"""Units without which the error would hardly rise are taken out (Skeletonization: Mozer & Smolensky 1989)."""

from __future__ import annotations

from functools import partial

from torch import nn

from harness.contract import Context
from pruning import Global, Relevance, Shrinkable, iterative


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        ratio = partial(Global, multiple_of=config["multiple_of"], keep_at_least=1)
        network = Shrinkable.of(model, context.data.sample[:2])
        mask_at = network.masks(
            criterion=Relevance(max_batches=config["batches"]), ratio=ratio, data=context.data.train
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
