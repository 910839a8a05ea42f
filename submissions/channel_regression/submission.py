"""Channels are chosen by LASSO, and the weights left are solved for (He, Zhang & Sun 2017, arXiv 1707.06168)."""

from __future__ import annotations

import copy
from functools import partial
from itertools import islice

from torch import nn

from harness.contract import Context
from pruning import Regression, Shrinkable, Uniform, reconstruct


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        dense, batches = copy.deepcopy(model), list(islice(context.data.train, config["batches"]))
        network = Shrinkable.of(model, context.data.sample[:2])
        mask = network.masks(
            criterion=Regression(positions=config["positions"], seed=context.seed),
            ratio=partial(Uniform, multiple_of=config["multiple_of"], keep_at_least=1),
            channels=True,
            data=batches,
        )(model, config["sparsity"], None)
        if config["reconstruct"]:
            model = reconstruct(model, dense, mask, batches, positions=config["positions"], seed=context.seed)
        small = network.shrink(model, mask)
        return context.train(small, epochs=config["epochs"], learning_rate=context.learning_rate)
