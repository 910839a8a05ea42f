"""Weights of small second-order saliency fall in steps (Optimal Brain Damage: LeCun, Denker & Solla 1989)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context, ParameterError
from pruning import Global, Mask, OptimalBrainDamage, iterative, make_mask


class Entry:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        if config["estimate"] == "gauss_newton" and not context.data.sample.is_floating_point():
            raise ParameterError("Layers see a sample's tokens one by one here: choose estimate=hutchinson.")
        saliency = OptimalBrainDamage(
            estimate=config["estimate"], probes=config["probes"], seed=context.seed, max_batches=config["batches"]
        )

        def mask_at(model: nn.Module, sparsity: float, within: Mask | None) -> Mask:
            ratio, data = Global(sparsity), context.data.train
            return make_mask(model, criterion=saliency, granularity="element", ratio=ratio, data=data, within=within)

        pruned, _ = iterative(
            model,
            mask_at,
            sparsity=config["sparsity"],
            steps=config["steps"],
            train=context.train,
            epochs=config["epochs"],
            learning_rate=config["learning_rate_factor"] * context.recipe.learning_rate,
        )
        return pruned
