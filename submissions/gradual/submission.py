"""Weights are pruned while the network trains, along a cubic curve (Zhu & Gupta 2017, arXiv 1710.01878)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context, ParameterError
from pruning import Uniform, gradual, mask_rule


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        if config["epochs"] < 1:
            raise ParameterError("Gradual pruning happens while the network trains: epochs must be 1 or more.")

        mask_at = mask_rule(criterion="magnitude", granularity="element", ratio=Uniform)
        pruned, _ = gradual(
            model,
            mask_at,
            sparsity=config["sparsity"],
            train=context.train,
            epochs=config["epochs"],
            learning_rate=context.learning_rate,
            every=config["every"],
            end=config["end"],
        )
        return pruned
