"""Filters of small L1 norm are taken out, inside the residual blocks (Li et al. 2017, arXiv 1608.08710)."""

from __future__ import annotations

from functools import partial

from torch import nn

from harness.contract import Context
from pruning import Magnitude, Shrinkable, Uniform


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        ratio = partial(Uniform, multiple_of=config["multiple_of"], keep_at_least=1)
        network = Shrinkable.of(model, context.data.sample[:2])
        mask = network.masks(criterion=Magnitude(p=1), ratio=ratio)(model, config["sparsity"], None)
        small = network.shrink(model, mask)
        return context.train(small, epochs=config["epochs"], learning_rate=context.learning_rate)
