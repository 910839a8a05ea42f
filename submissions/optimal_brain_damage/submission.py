"""Weights of small second-order saliency are pruned in steps (Optimal Brain Damage: LeCun, Denker & Solla 1989)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context, ParameterError
from pruning import Global, OptimalBrainDamage, iterative, mask_rule


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        if config["estimate"] == "gauss_newton" and not context.data.sample.is_floating_point():
            raise ParameterError("Layers see a sample's tokens one by one here: choose estimate=hutchinson.")
        saliency = OptimalBrainDamage(
            estimate=config["estimate"], probes=config["probes"], seed=context.seed, max_batches=config["batches"]
        )

        mask_at = mask_rule(criterion=saliency, granularity="element", ratio=Global, data=context.data.train)
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
